"""What a member takes along of an application: one archive, kept for some days."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from orchestrator.database import Base
from orchestrator.tables import key, one_of

EXPORT_STATES = ("making", "ready", "removed", "failed")


class Export(Base):
    """An archive of an application's data and papers. Only `orchestrator.exports` writes its state.

    title: what the archive is called, and the folder in it; file: its name here, which nobody guesses.
    papers: the texts that go with the data, by name, as they were when it was asked for; none once it is made.
    source: the folder in the guest. bytes, sha256: of the archive; files: of the data. Known once it is made.
    """

    __tablename__ = "exports"
    id: Mapped[int] = key()
    member_id: Mapped[int] = mapped_column(ForeignKey("members.id"))
    service_id: Mapped[int] = mapped_column(ForeignKey("services.id"))
    title: Mapped[str]
    file: Mapped[str]
    state: Mapped[str] = mapped_column(server_default="making")
    papers: Mapped[dict[str, Any]] = mapped_column(deferred=True)
    source: Mapped[str | None]
    bytes: Mapped[int | None]
    sha256: Mapped[str | None]
    files: Mapped[int | None]
    requested_by: Mapped[str]
    created_at: Mapped[datetime]
    made_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    __table_args__ = (
        Index("ix_exports_member_id_id", "member_id", "id"),
        Index("ix_exports_service_id_id", "service_id", "id"),
        CheckConstraint(one_of("state", EXPORT_STATES), "state"),
        CheckConstraint("file ~ '^[0-9a-f]{64}$'", "file"),
        CheckConstraint("(ended_at IS NOT NULL) = (state IN ('removed', 'failed'))", "ended"),
        CheckConstraint(
            "state NOT IN ('ready', 'removed') OR (bytes > 0 AND sha256 IS NOT NULL AND files >= 0"
            " AND made_at IS NOT NULL AND expires_at IS NOT NULL)",
            "whole",
        ),
    )
