"""What was answered to requests that carry a key."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from orchestrator.database import Base
from orchestrator.tables import key


class RequestAnswer(Base):
    """The answer to one request of an asker (an account or a machine) in a house; member_id None: the territory.

    digest: of method, path and body; answer: the body, sealed, for it may hold a secret that is shown once.
    """

    __tablename__ = "request_answers"
    id: Mapped[int] = key()
    member_id: Mapped[int | None] = mapped_column(ForeignKey("members.id"))
    asker: Mapped[str]
    request_key: Mapped[str]
    digest: Mapped[bytes]
    status: Mapped[int]
    answer: Mapped[bytes]
    at: Mapped[datetime]
    __table_args__ = (
        UniqueConstraint("member_id", "asker", "request_key", postgresql_nulls_not_distinct=True),
        Index("ix_request_answers_at", "at"),
    )
