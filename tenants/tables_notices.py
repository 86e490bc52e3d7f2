"""What is told to people by mail and to programs by webhook."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import CheckConstraint, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from orchestrator.database import Base
from orchestrator.tables import key, now, one_of

MAIL_STATES = ("queued", "sent", "failed")
LANGUAGES = ("fr", "en")


class Mail(Base):
    """A mail to one receiver; `facts` fill its template when it is sent, and are erased once it has left.

    entry_id: the audit entry that it tells, so that it is told once; no reference, the trail is purged one day.
    """

    __tablename__ = "mails"
    id: Mapped[int] = key()
    ref: Mapped[UUID] = mapped_column(unique=True, server_default=sa.func.gen_random_uuid())
    receiver: Mapped[str]
    template: Mapped[str]
    language: Mapped[str]
    facts: Mapped[dict[str, Any]]
    entry_id: Mapped[int | None]
    state: Mapped[str] = mapped_column(server_default="queued")
    attempts: Mapped[int] = mapped_column(server_default="0")
    due_at: Mapped[datetime] = now()
    error: Mapped[str | None]
    queued_at: Mapped[datetime] = now()
    sent_at: Mapped[datetime | None]
    __table_args__ = (
        UniqueConstraint("entry_id", "receiver", "template"),
        CheckConstraint(one_of("state", MAIL_STATES), "state"),
        CheckConstraint("(state = 'sent') = (sent_at IS NOT NULL)", "sent"),
        CheckConstraint(one_of("language", LANGUAGES), "language"),
        CheckConstraint("receiver ~ '^[^@[:space:]]+@[^@[:space:]]+$'", "receiver"),
        Index("ix_mails_due_at", "due_at", postgresql_where=sa.text("state = 'queued'")),
    )
