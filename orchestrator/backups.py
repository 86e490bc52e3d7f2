"""The state of a backup, written here and nowhere else, with its audit entry; and what is left when a service goes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator import audit
from orchestrator.errors import Conflict, NotFound, Text
from orchestrator.tables import FLOW_LIVE, Flow, Service
from orchestrator.tables_backups import Backup, BackupClient

ALLOWED: dict[str, tuple[str, ...]] = {
    "making": ("ready", "failed"),
    "ready": ("deleted",),
    "deleted": (),
    "failed": (),
}
ENDED = ("deleted", "failed")
# How a machine's files are kept; what an application wants its stack declares.
OF_MACHINES: dict[str, Any] = {"schedule": "daily", "keep": {"daily": 7, "weekly": 4, "monthly": 6}}
IS_MACHINE = Service.specification["play"].as_string() == "vm"
OF_APPLICATIONS = Service.specification["stack"]["backup"]["schedule"].as_string()
# Of a row of services; null when it is made by nobody but people.
SCHEDULE = sa.case((IS_MACHINE & Service.nightly, OF_MACHINES["schedule"]), (IS_MACHINE, None), else_=OF_APPLICATIONS)


def declared(specification: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Schedule and keep of what is made so, or None when it can't be backed up."""
    if specification.get("play") == "vm":
        return OF_MACHINES
    found: Mapping[str, Any] | None = specification.get("stack", {}).get("backup")
    return found


def declare(session: Session, service: Service, vault_id: int, at: datetime, *, scheduled: bool) -> Backup:
    """A new row for a backup of the service, which a flow `backup_service {backup_id}` then makes."""
    backup = Backup(
        member_id=service.member_id,
        service_id=service.id,
        vault_id=vault_id,
        archive=f"{at.astimezone(UTC):%Y-%m-%dT%H-%M-%S}",
        scheduled=scheduled,
        requested_by=session.info["actor"],
        created_at=at,
    )
    session.add(backup)
    session.flush()
    return backup


def find(session: Session, backup_id: int, service_id: int) -> Backup:
    """The service's backup. Raises NotFound `backup_not_found`."""
    found = session.get(Backup, backup_id)
    if found is None or found.service_id != service_id:
        raise NotFound("backup_not_found", "Cette sauvegarde n’existe pas.", "Choisissez-en une autre.")
    return found


def check_ready(backup: Backup) -> None:
    """Raise Conflict `backup_state` unless the backup can be restored."""
    if backup.state != "ready":
        raise _wrong(backup, "ready")


def check_provable(backup: Backup) -> None:
    """Raise Conflict `backup_state`, or `backup_uncounted` when there is nothing to compare its data with."""
    check_ready(backup)
    if backup.meters is None:
        raise Conflict(
            "backup_uncounted",
            Text("Rien n’a été compté avec la sauvegarde {archive}.", archive=backup.archive),
            "Faites une nouvelle sauvegarde, puis prouvez celle-là.",
        )


def prove(session: Session, backup_id: int, at: datetime, seconds: float) -> None:
    """The backup was restored elsewhere, in so many seconds, and nothing was missing."""
    backup = session.get_one(Backup, backup_id, with_for_update=True)
    backup.proved_at, backup.proof_seconds, backup.unproved_at = at, round(seconds), None
    _tell_proof(session, backup, "backup.proved", seconds=backup.proof_seconds)


def refute(session: Session, backup_id: int, at: datetime) -> None:
    """The backup could not be restored elsewhere, or something was missing."""
    backup = session.get_one(Backup, backup_id, with_for_update=True)
    backup.unproved_at = at
    _tell_proof(session, backup, "backup.unproved")


def _tell_proof(session: Session, backup: Backup, action: str, **more: Any) -> None:
    session.flush()
    detail = {"backup": backup.id, "made": backup.made_at.isoformat() if backup.made_at else None, **more}
    audit.record(session, action, f"service {backup.service_id}", member_id=backup.member_id, detail=detail)


def keep(session: Session, backup_id: int, at: datetime, made: Mapping[str, Any]) -> None:
    """The archive is in the vault: `made` is what the play `backup` tells of it. Its service is not late any more."""
    backup = session.get_one(Backup, backup_id, with_for_update=True)
    if backup.state == "ready":
        return
    backup.borg_id, backup.made_at = str(made["id"]), at
    backup.bytes, backup.added, backup.files = (int(made[name]) for name in ("bytes", "added", "files"))
    change_state(session, backup_id, "ready", at)
    own = BackupClient.service_id == backup.service_id
    session.execute(sa.update(BackupClient).where(own).values(late_since=None))


def change_state(session: Session, backup_id: int, to: str, at: datetime) -> None:
    """Bring a backup to the state `to`, at an instant; nothing when it is there already.

    Raises Conflict `backup_state` when ALLOWED does not lead there.
    """
    backup = session.get_one(Backup, backup_id, with_for_update=True)
    before = backup.state
    if before == to:
        return
    if to not in ALLOWED[before]:
        raise _wrong(backup, to)
    backup.state = to
    if to in ENDED:
        backup.ended_at = at
    session.flush()
    detail = {"from": before, "to": to, "service": backup.service_id, "bytes": backup.bytes}
    audit.record(session, "backup.state", f"backup {backup_id}", member_id=backup.member_id, detail=detail)


def give_up(session: Session, flow: Flow) -> None:
    """The backup that a flow was to make will not be, unless it is there already."""
    if (
        flow.kind in ("backup_service", "move_service")
        and session.get_one(Backup, flow.parameters["backup_id"]).state == "making"
    ):
        change_state(session, flow.parameters["backup_id"], "failed", datetime.now(UTC))


def being_read(session: Session, service_id: int) -> set[int]:
    """The backups of a service that other services are being given: they must not go meanwhile."""
    given = Flow.parameters["backup_id"].as_integer()
    query = sa.select(given).where(
        Flow.state.in_(FLOW_LIVE), Flow.parameters["copies"].as_integer() == service_id, given.is_not(None)
    )
    return set(session.scalars(query))


def forget(session: Session, service_id: int) -> None:
    """A service is gone: nobody can open its backups any more, and the vault deletes its repository soon.

    If it was a vault, what it held is gone with it, and its clients have none.
    """
    at = datetime.now(UTC)
    lost = sa.select(Backup).where(
        (Backup.service_id == service_id) | (Backup.vault_id == service_id), Backup.state.not_in(ENDED)
    )
    for backup in session.scalars(lost).all():
        change_state(session, backup.id, "failed" if backup.state == "making" else "deleted", at)
    own, here = BackupClient.service_id == service_id, BackupClient.vault_id == service_id
    session.execute(sa.delete(BackupClient).where(own & BackupClient.vault_id.is_(None)))
    session.execute(sa.update(BackupClient).where(own).values(private_key="", passphrase="", ended_at=at))
    session.execute(sa.delete(BackupClient).where(here, BackupClient.ended_at.is_not(None)))
    session.execute(sa.update(BackupClient).where(here).values(vault_id=None, host_key=None))


def _wrong(backup: Backup, wanted: str) -> Conflict:
    return Conflict(
        "backup_state",
        Text("La sauvegarde {archive} n’est pas dans un état qui le permet.", archive=backup.archive),
        "Choisissez-en une autre.",
        facts={"state": backup.state, "wanted": wanted},
    )
