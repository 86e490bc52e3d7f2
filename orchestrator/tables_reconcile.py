"""Until when the cloud was read, and so until when the ledger knows what happened there; what it told of itself."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from orchestrator.database import Base
from orchestrator.tables import now


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


class CloudNotification(Base):
    """What the cloud told of a thing in a member's project, kept for two days: whatever order they come in, they are
    judged in that of their moments, together. Only `orchestrator.notifications` writes it.

    id: the sender's; at: when what it tells was done; judged_at: since when the ledger has it, or needs it not.
    """

    __tablename__ = "cloud_notifications"
    id: Mapped[str] = mapped_column(primary_key=True)
    member_id: Mapped[int] = mapped_column(ForeignKey("members.id"))
    kind: Mapped[str]
    cloud_id: Mapped[str]
    at: Mapped[datetime]
    told: Mapped[dict[str, Any]]
    read_at: Mapped[datetime] = now()
    judged_at: Mapped[datetime | None]
    __table_args__ = (
        Index("ix_cloud_notifications_thing", "kind", "cloud_id"),
        Index("ix_cloud_notifications_waiting", "member_id", postgresql_where=sa.text("judged_at IS NULL")),
        Index("ix_cloud_notifications_read_at", "read_at"),
    )


class CloudFeed(Base):
    """Where notifications come from (`file`, `queue`), and how far they were read.

    file, position: which file, and the bytes of it that were read; last_at: the newest moment that one told.
    """

    __tablename__ = "cloud_feeds"
    kind: Mapped[str] = mapped_column(primary_key=True)
    file: Mapped[str] = mapped_column(server_default="")
    position: Mapped[int] = mapped_column(server_default=sa.text("0"))
    read_at: Mapped[datetime | None]
    last_at: Mapped[datetime | None]
