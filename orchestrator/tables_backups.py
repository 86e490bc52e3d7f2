"""Backups of applications, and what opens the vault where they are."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from orchestrator.database import Base
from orchestrator.tables import key, now, one_of

BACKUP_STATES = ("making", "ready", "deleted", "failed")


class Backup(Base):
    """An archive of an application's data in the vault (a service too). Only `orchestrator.backups` writes its state.

    archive: its name in the service's repository; borg_id: by which the vault knows it, whatever it is called;
    bytes, files: what is saved; added: by how many bytes the repository grew. All known once it is made.
    meters: what the application counted right before; None when it could not. proved_at: when it was last seen to be
    restored whole elsewhere, in so many proof_seconds; unproved_at: when that failed.
    """

    __tablename__ = "backups"
    id: Mapped[int] = key()
    member_id: Mapped[int] = mapped_column(ForeignKey("members.id"))
    service_id: Mapped[int] = mapped_column(ForeignKey("services.id"))
    vault_id: Mapped[int] = mapped_column(ForeignKey("services.id"), index=True)
    archive: Mapped[str]
    state: Mapped[str] = mapped_column(server_default="making")
    scheduled: Mapped[bool]
    borg_id: Mapped[str | None]
    bytes: Mapped[int | None]
    added: Mapped[int | None]
    files: Mapped[int | None]
    meters: Mapped[dict[str, Any] | None]
    proved_at: Mapped[datetime | None]
    proof_seconds: Mapped[int | None]
    unproved_at: Mapped[datetime | None]
    requested_by: Mapped[str]
    created_at: Mapped[datetime]
    made_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    __table_args__ = (
        UniqueConstraint("service_id", "archive"),
        Index("ix_backups_member_id_id", "member_id", "id"),
        Index("ix_backups_service_id_id", "service_id", "id"),
        CheckConstraint(one_of("state", BACKUP_STATES), "state"),
        CheckConstraint("(ended_at IS NOT NULL) = (state IN ('deleted', 'failed'))", "ended"),
        CheckConstraint("(proved_at IS NULL) = (proof_seconds IS NULL)", "proof"),
        CheckConstraint(
            "state <> 'ready' OR (borg_id IS NOT NULL AND bytes >= 0 AND added IS NOT NULL AND files >= 0"
            " AND made_at IS NOT NULL)",
            "whole",
        ),
    )


class BackupClient(Base):
    """A service as a client of the vault: its own key and passphrase, sealed; workers alone read these.

    vault_id, host_key: the vault that lets it in, and how that proves itself; None until one does. quota_gib: what that
    was told of how much its repository may take. late_since: when it was told that its backups are late; ended_at: the
    service is gone, its repository goes next.
    """

    __tablename__ = "backup_clients"
    service_id: Mapped[int] = mapped_column(ForeignKey("services.id"), primary_key=True, autoincrement=False)
    member_id: Mapped[int] = mapped_column(ForeignKey("members.id"), index=True)
    public_key: Mapped[str]
    private_key: Mapped[str] = mapped_column(deferred=True)
    passphrase: Mapped[str] = mapped_column(deferred=True)
    vault_id: Mapped[int | None] = mapped_column(ForeignKey("services.id"), index=True)
    host_key: Mapped[str | None]
    quota_gib: Mapped[int | None]
    made_at: Mapped[datetime] = now()
    late_since: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    __table_args__ = (CheckConstraint("(vault_id IS NULL) = (host_key IS NULL)", "let_in"),)
