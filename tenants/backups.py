"""Backups of applications: what may be asked for, what is there, and whether it is late."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator import audit, backups, vaults
from orchestrator.errors import Conflict, Text
from orchestrator.tables import Flow, Service
from orchestrator.tables_backups import Backup, BackupClient
from tenants import operations, reading, schedules, starting

# How old the last good backup may be, by the schedule that the stack declares: that, and six hours to try again.
ALLOWED = {"daily": timedelta(hours=30)}
MOST = 50  # rows of the list


@dataclass(frozen=True)
class Kept:
    """What is kept of a service. rows: all but those erased, newest first; last: the newest good one, age: its age;
    proof: the one that was proved last; refuted: when a trial failed since; keep: how many are kept for days, weeks,
    months; machine: it is one's files; due: when the next is made by itself, None when none is; refused: why none can
    be asked for now.
    """

    rows: list[Backup]
    last: Backup | None
    age: timedelta | None
    late: bool
    proof: Backup | None
    refuted: datetime | None
    keep: dict[str, int]
    machine: bool
    due: datetime | None
    refused: Conflict | None


def declared(service: Service) -> Mapping[str, Any] | None:
    """Schedule and keep of a service; None when it can't be backed up."""
    return backups.declared(service.specification)


def is_machine(service: Service) -> bool:
    """Whether its files are kept, and come back beside those that are there; else an application's data."""
    return "stack" not in service.specification


def switch(session: Session, service_id: int, on: bool) -> Service:
    """Back a machine up every night from now on, or only when people ask for it. What is in the vault stays there.

    Nothing happens when it is so already. Raises not_found, Conflict not_a_machine.
    """
    service = reading.find(session, Service, service_id, lock=True)
    if not is_machine(service):
        raise Conflict(
            "not_a_machine",
            Text("« {name} » est une application : elle est sauvegardée comme elle le déclare.", name=service.name),
            "Choisissez une machine.",
        )
    if service.nightly != on:
        service.nightly = on
        session.flush()
        action = "backup.start" if on else "backup.stop"
        audit.record(session, action, f"service {service.id}", member_id=service.member_id)
    return service


def back_up(session: Session, service_id: int, at: datetime, *, scheduled: bool = False) -> tuple[Backup, Flow]:
    """Put a copy of a service's data into the vault now: the backup that begins, and the flow that makes it.

    scheduled: nobody asked for it. Raises not_found, Conflict not_backed_up, no_vault and what `operations.ask_for`
    raises.
    """
    service, vault_id = _client(session, service_id)
    made = backups.declare(session, service, vault_id, at, scheduled=scheduled)
    flow = operations.ask_for(session, service.id, "backup_service", "backup.make", backup_id=made.id)
    return made, flow


def _client(session: Session, service_id: int) -> tuple[Service, int]:
    """A service that is free, locked so that it stays so, and the vault that lets it in."""
    service = reading.find(session, Service, service_id, lock=True)
    starting.check_free(session, service)
    return service, _vault_of(session, service)


def restore(session: Session, service_id: int, backup_id: int) -> Flow:
    """Make an application's data what it was when it was backed up; what was written since is lost. A machine's files
    come back beside those that are there.

    Raises not_found, backup_not_found, Conflict backup_state, service_protected, not_backed_up, no_vault and what
    `operations.ask_for` raises.
    """
    chosen = _chosen(session, service_id, backup_id, backups.check_ready)
    if is_machine(reading.find(session, Service, service_id)):
        return operations.ask_for(session, service_id, "restore_files", "backup.restore", backup_id=chosen.id)
    return operations.ask_for(
        session, service_id, "restore_service", "backup.restore", harmful=True, backup_id=chosen.id
    )


def prove(session: Session, service_id: int, backup_id: int) -> Flow:
    """Restore a backup in a place of its own, to see that it is whole. The service itself is not touched.

    Raises not_found, backup_not_found, Conflict backup_state, backup_uncounted, not_backed_up, no_vault and what
    `operations.ask_for` raises.
    """
    chosen = _chosen(session, service_id, backup_id, backups.check_provable)
    return operations.ask_for(session, service_id, "prove_backup", "backup.prove", backup_id=chosen.id)


def _chosen(session: Session, service_id: int, backup_id: int, check: Callable[[Backup], None]) -> Backup:
    """The backup, if `check` lets it pass and the vault that has it is open. No flow can erase it meanwhile."""
    service, vault_id = _client(session, service_id)
    found = backups.find(session, min(backup_id, reading.BEYOND), service.id)
    check(found)
    if vault_id != found.vault_id:
        raise vaults.missing(service)
    return found


def last_proof(session: Session, service_id: int) -> Backup | None:
    """The backup of a service that was proved last, whatever became of it since."""
    proved = sa.select(Backup).where(Backup.service_id == service_id, Backup.proved_at.is_not(None))
    return session.scalar(proved.order_by(Backup.proved_at.desc()).limit(1))


def _refuted(session: Session, service_id: int, proof: Backup | None) -> datetime | None:
    last = session.scalar(sa.select(sa.func.max(Backup.unproved_at)).where(Backup.service_id == service_id))
    return last if last and (proof is None or proof.proved_at is None or last > proof.proved_at) else None


def _vault_of(session: Session, service: Service) -> int:
    """The vault that lets the service in. A member does not see the vault itself, only that."""
    if declared(service) is None:
        raise Conflict(
            "not_backed_up",
            Text("« {name} » ne se sauvegarde pas dans le coffre.", name=service.name),
            "Faites-en un instantané.",
        )
    client = session.get(BackupClient, service.id)
    if client is None or client.vault_id is None:
        raise vaults.missing(service)
    return client.vault_id


def listed(session: Session, service_id: int) -> list[Backup]:
    """The backups of a service that exist, are being made or failed, newest first. What failed hides no good one."""
    query = sa.select(Backup).where(Backup.service_id == service_id, Backup.state != "deleted")
    chosen = session.scalars(query.order_by(Backup.state == "failed", Backup.id.desc()).limit(MOST))
    return sorted(chosen, key=lambda row: -row.id)


def kept(session: Session, service: Service, at: datetime, hour: int, timezone: str) -> Kept | None:
    """What is kept of a service; None when it is not backed up. hour: local, from which the night's are made."""
    wanted = declared(service)
    if wanted is None:
        return None
    proof = last_proof(session, service.id)
    rows, client = listed(session, service.id), session.get(BackupClient, service.id)
    open_ = client is not None and client.vault_id is not None
    last = next((row for row in rows if row.state == "ready"), None)
    return Kept(
        rows=rows,
        last=last,
        age=at - last.made_at if last and last.made_at else None,
        late=service.nightly and client is not None and client.late_since is not None,
        proof=proof,
        refuted=_refuted(session, service.id, proof),
        keep=dict(wanted["keep"]),
        machine=is_machine(service),
        due=schedules.next_due(hour, schedules.EVERY_DAY, at, timezone) if service.nightly and open_ else None,
        refused=_refusal(session, service),
    )


def _refusal(session: Session, service: Service) -> Conflict | None:
    try:
        _vault_of(session, service)
        if service.state != "active":
            raise starting.not_allowed_now(service)
        starting.check_free(session, service)
    except Conflict as refused:
        return refused
    return None
