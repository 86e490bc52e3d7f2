"""Until when the cloud was read, and so until when the ledger knows what happened there."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from orchestrator.database import Base


class CloudReading(Base):
    """The comparison of a member's project with the ledger. Only `orchestrator.reconcile` writes it.

    read_until: all that the cloud said of before this instant is written; None: it was never read whole. changed_since:
    from when on the next comparison asks for changes. tried_at: when one last began; error_code: why it failed.
    """

    __tablename__ = "cloud_readings"
    member_id: Mapped[int] = mapped_column(ForeignKey("members.id"), primary_key=True, autoincrement=False)
    read_until: Mapped[datetime | None]
    changed_since: Mapped[datetime | None]
    tried_at: Mapped[datetime | None]
    error_code: Mapped[str | None]
