"""The duty that backups are made by themselves: clients enrolled, the vault tended, what is due made and
proved, lateness told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial

import sqlalchemy as sa
import structlog
from sqlalchemy.orm import Session

from orchestrator import audit, vaults
from orchestrator import backups as kept
from orchestrator.database import territory_session
from orchestrator.errors import Conflict
from orchestrator.settings import Settings
from orchestrator.steps import Runtime
from orchestrator.tables import FLOW_LIVE, Flow, Service
from orchestrator.tables_backups import Backup, BackupClient
from tenants import backups, operations, schedules, starting

log = structlog.get_logger()

AGAIN = timedelta(hours=3)  # after a backup that failed
PROVE_EVERY, PROVE_AGAIN = timedelta(days=30), timedelta(days=1)
NIGHT = timedelta(hours=5)  # from the hour of backups on: acts on a service wait while it is proved
TEND_AGAIN = timedelta(hours=1)  # after the vault could not be tended


def enrol(session: Session, settings: Settings) -> int:
    """Make clients of the services that are to be backed up and are none yet; how many. Machines only where there is a
    vault: a territory may do without one.
    """
    known = sa.exists().where(BackupClient.service_id == Service.id)
    wanted = kept.OF_APPLICATIONS.is_not(None)
    if vaults.present(session) is not None:
        wanted |= kept.IS_MACHINE
    new = session.scalars(
        sa.select(Service).where(
            wanted,
            Service.state.not_in(("creating", "deleting", "deleted", "failed")),
            ~known,
        )
    ).all()
    for service in new:
        vaults.enrol(session, settings, service)
    return len(new)


def tend(session: Session, at: datetime) -> Flow | None:
    """Queue the flow that brings the vault's list of clients up to date, if it is not; None when nothing is to do now.

    Whatever the vault was since (restored, made anew), it is tended after it.
    """
    vault = vaults.present(session)
    if vault is None or vault.state != "active" or not _to_tend(session, vault, at):
        return None
    try:
        return operations.ask_for(session, vault.id, "tend_vault", "vault.tend")
    except Conflict:  # something else is done to it: the next time
        return None


def _to_tend(session: Session, vault: Service, at: datetime) -> bool:
    tended = sa.select(sa.func.max(Flow.ended_at)).where(Flow.service_id == vault.id, Flow.kind == "tend_vault")
    if (failed := session.scalar(tended.where(Flow.state == "failed"))) and failed > at - TEND_AGAIN:
        return False
    done = session.scalar(tended.where(Flow.state == "done"))
    if done is None or done < vault.changed_at:
        return True
    gone = BackupClient.ended_at.is_not(None) & (BackupClient.vault_id == vault.id)
    return bool(session.scalar(sa.select(sa.exists().where(gone)))) or any(
        (client.vault_id, client.quota_gib) != (vault.id, vaults.quota_gib(service))
        for client, service in vaults.clients(session)
    )


def make_due(session: Session, at: datetime, hour: int, timezone: str) -> list[int]:
    """Queue the backups that are due; the ids of their services. What was missed is made up by one.

    Due is a service without a good backup since the last due instant, unless one failed just now. One that is busy
    waits for the next time.
    """
    due = schedules.last_due(hour, schedules.EVERY_DAY, at, timezone)
    mine = Backup.service_id == BackupClient.service_id
    good = sa.exists().where(mine, Backup.state == "ready", Backup.made_at >= due)
    tried = sa.exists().where(mine, Backup.created_at > at - AGAIN, Backup.state.in_(("making", "failed")))
    vault = vaults.present(session)
    if vault is None or vault.state != "active":
        return []  # there is nobody to give it to: that it is late is told in time
    waiting = session.scalars(
        sa.select(BackupClient.service_id)
        .join(Service, Service.id == BackupClient.service_id)
        .where(BackupClient.vault_id == vault.id, BackupClient.ended_at.is_(None), Service.state == "active",
               kept.SCHEDULE.is_not(None), Service.delete_after.is_(None), ~good, ~tried)
        .order_by(BackupClient.service_id)
    ).all()  # fmt: skip
    return [
        service_id
        for service_id in waiting
        if starting.unless_busy(session, partial(backups.back_up, session, service_id, at, scheduled=True))
    ]


def prove_due(session: Session, at: datetime, hour: int, timezone: str) -> int | None:
    """Queue the proof of a service that has none of the last month: of its newest good backup. The id of the service.

    At night, one at a time, first who waits longest; after one that failed the next night's backup is tried.
    """
    vault = vaults.present(session)
    if vault is None or vault.state != "active" or _proving(session):
        return None
    if at > schedules.last_due(hour, schedules.EVERY_DAY, at, timezone) + NIGHT:
        return None
    mine = Backup.service_id == Service.id
    proved, failed = (sa.select(sa.func.max(column)).where(mine).scalar_subquery()
                      for column in (Backup.proved_at, Backup.unproved_at))  # fmt: skip
    good = mine & (Backup.vault_id == vault.id) & (Backup.state == "ready") & Backup.meters.is_not(None)
    newest = sa.select(sa.func.max(Backup.id)).where(good).scalar_subquery()
    waiting = session.execute(
        sa.select(Service.id, newest)
        .where(Service.state == "active", Service.nightly, Service.delete_after.is_(None), newest.is_not(None),
               proved.is_(None) | (proved < at - PROVE_EVERY), failed.is_(None) | (failed < at - PROVE_AGAIN))
        .order_by(proved.nulls_first(), Service.id)
    ).all()  # fmt: skip
    for service_id, backup_id in waiting:
        if starting.unless_busy(session, partial(backups.prove, session, service_id, backup_id)):
            return int(service_id)
    return None


def _proving(session: Session) -> bool:
    live = sa.exists().where(Flow.kind == "prove_backup", Flow.state.in_(FLOW_LIVE))
    return bool(session.scalar(sa.select(live)))


def watch(session: Session, at: datetime) -> list[int]:
    """Write which services have become late: their last good backup is older than their schedule allows.

    Each is told once, until a good one is made; one that is being made is waited for. The ids of the services.
    """
    mine = Backup.service_id == BackupClient.service_id
    last = sa.select(sa.func.max(Backup.made_at)).where(mine, Backup.state == "ready").scalar_subquery()
    making = sa.exists().where(mine, Backup.state == "making")
    rows = session.execute(
        sa.select(BackupClient, last, kept.SCHEDULE)
        .join(Service, Service.id == BackupClient.service_id)
        .where(BackupClient.late_since.is_(None), BackupClient.ended_at.is_(None), Service.state == "active", ~making,
               kept.SCHEDULE.in_(backups.ALLOWED))
        .with_for_update(of=BackupClient, skip_locked=True)
    ).all()  # fmt: skip
    late = [(client, made) for client, made, named in rows if (made or client.made_at) < at - backups.ALLOWED[named]]
    for client, made in late:
        client.late_since = at
        session.flush()
        detail = {"last": made.isoformat() if made else None}
        audit.record(session, "backup.late", f"service {client.service_id}", member_id=client.member_id, detail=detail)
    return [client.service_id for client, _ in late]


def work(session: Session, settings: Settings, at: datetime) -> None:
    """One round."""
    enrolled, tended = enrol(session, settings), tend(session, at)
    made = make_due(session, at, settings.backup_hour, settings.timezone)
    proving = prove_due(session, at, settings.backup_hour, settings.timezone)
    late = watch(session, at)
    if enrolled or tended or made or proving or late:
        log.info("backups", enrolled=enrolled, tended=tended is not None, made=made, proving=proving, late=late)


def run(runtime: Runtime) -> None:
    """The duty."""
    with territory_session(runtime.engine, f"worker {runtime.settings.worker_id}") as session:
        work(session, runtime.settings, datetime.now(UTC))
