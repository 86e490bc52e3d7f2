"""Scheduled snapshots: when one is due in local time, who keeps it, and the duty that makes and deletes them.

A due instant is a local day and hour. On the day when the clock goes forward over it, it comes an hour late; on the
day when the hour comes twice, the first counts: one a day, always. What was missed is made up by one, not by many.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import sqlalchemy as sa
import structlog
from sqlalchemy.orm import Session

from orchestrator import audit, retention
from orchestrator.database import territory_session
from orchestrator.errors import Conflict, InvalidInput, Text
from orchestrator.steps import Runtime
from orchestrator.tables import Service, Snapshot
from tenants import operations, reading
from tenants.tables_schedules import ScheduledSnapshot, SnapshotSchedule

log = structlog.get_logger()

EVERY_DAY = (1, 2, 3, 4, 5, 6, 7)
LIVING = ("active", "stopped")


def due_on(day: date, hour: int, timezone: str) -> datetime:
    """The instant, in UTC, at which it is `hour` on a local day: the first one, or an hour later where none is."""
    return datetime.combine(day, time(hour), ZoneInfo(timezone)).astimezone(UTC)


def last_due(hour: int, weekdays: Sequence[int], at: datetime, timezone: str) -> datetime:
    """The newest due instant that is not after `at`."""
    today = at.astimezone(ZoneInfo(timezone)).date()
    for back in range(9):
        day = today - timedelta(days=back)
        if day.isoweekday() in weekdays and due_on(day, hour, timezone) <= at:
            return due_on(day, hour, timezone)
    raise ValueError("no weekday")


def next_due(hour: int, weekdays: Sequence[int], at: datetime, timezone: str) -> datetime:
    """The first due instant after `at`."""
    today = at.astimezone(ZoneInfo(timezone)).date()
    days = [today + timedelta(days=ahead) for ahead in range(9)]
    dues = [due_on(day, hour, timezone) for day in days if day.isoweekday() in weekdays]
    return next(due for due in dues if due > at)


def put(
    session: Session,
    service_id: int,
    at: datetime,
    *,
    hour: int,
    weekdays: Sequence[int] = EVERY_DAY,
    daily: int = 7,
    weekly: int = 4,
    monthly: int = 0,
    most: int,
) -> SnapshotSchedule:
    """Snapshot a service from now on at an hour (local, 0-23) on some weekdays (1 Monday … 7), and keep so many.

    `most`: how many snapshots a service may have; one more than is kept exists while the next is made.
    Raises InvalidInput invalid_schedule, Conflict not_allowed_now or deletion_planned.
    """
    days = sorted(set(weekdays))
    _check(hour, days, daily + weekly + monthly, min(daily, weekly, monthly), most)
    service = reading.find(session, Service, service_id, lock=True)
    if service.state in ("deleting", "deleted", "failed") or service.delete_after is not None:
        raise Conflict(
            "not_allowed_now",
            Text("« {name} » va être supprimé ou l’est déjà.", name=service.name),
            "Choisissez un autre service.",
            facts={"state": service.state},
        )
    schedule = session.get(SnapshotSchedule, service.id) or SnapshotSchedule(
        service_id=service.id, member_id=service.member_id
    )
    schedule.hour, schedule.weekdays = hour, days
    schedule.daily, schedule.weekly, schedule.monthly = daily, weekly, monthly
    # What was due before nobody wanted.
    schedule.handled_until = schedule.changed_at = at
    schedule.changed_by = session.info["actor"]
    session.add(schedule)
    session.flush()
    detail = {"hour": hour, "weekdays": days, "daily": daily, "weekly": weekly, "monthly": monthly}
    audit.record(session, "schedule.put", f"service {service.id}", member_id=service.member_id, detail=detail)
    return schedule


def _check(hour: int, weekdays: Sequence[int], kept: int, least: int, most: int) -> None:
    if not 0 <= hour <= 23 or not weekdays or not set(weekdays) <= set(EVERY_DAY) or least < 0 or kept == 0:
        raise InvalidInput(
            "invalid_schedule",
            "Il faut une heure de 0 à 23, au moins un jour de la semaine et au moins un instantané à garder.",
            "Corrigez le calendrier.",
        )
    if kept >= most:
        raise InvalidInput(
            "invalid_schedule",
            Text("Un service a {most} instantanés au plus : gardez-en moins de {most}.", most=most),
            "Gardez moins d’instantanés.",
            facts={"limit": most},
        )


def remove(session: Session, service_id: int) -> None:
    """Make no more scheduled snapshots; those that exist are kept until somebody deletes them."""
    service = reading.find(session, Service, service_id, lock=True)
    schedule = session.get(SnapshotSchedule, service.id)
    if schedule is not None:
        session.delete(schedule)
        session.flush()
        audit.record(session, "schedule.remove", f"service {service.id}", member_id=service.member_id)


def make_due(session: Session, at: datetime, timezone: str, most: int) -> list[int]:
    """Queue the snapshots that are due, one for each schedule at most; the ids of their services.

    A service that is busy waits for the next time; one that is full or gone is passed over, and that is written down.
    """
    made = []
    for schedule in session.scalars(
        sa.select(SnapshotSchedule)
        .join(Service, Service.id == SnapshotSchedule.service_id)
        .where(Service.state.in_(LIVING), Service.delete_after.is_(None), SnapshotSchedule.handled_until < at)
        .order_by(SnapshotSchedule.service_id)
        .with_for_update(of=SnapshotSchedule, skip_locked=True)
    ):
        due = last_due(schedule.hour, schedule.weekdays, at, timezone)
        if due > schedule.handled_until and _make(session, schedule, due, timezone, most):
            made.append(schedule.service_id)
    return made


def _make(session: Session, schedule: SnapshotSchedule, due: datetime, timezone: str, most: int) -> bool:
    """Queue one; False when it has to wait or is passed over."""
    name = f"auto {due.astimezone(ZoneInfo(timezone)):%Y-%m-%d %H:%M}"
    try:
        snapshot, _ = operations.snapshot(session, schedule.service_id, name, most=most, scheduled=True)
    except Conflict as conflict:
        if conflict.code == "snapshot_quota":
            schedule.handled_until = due
            subject = f"service {schedule.service_id}"
            audit.record(session, "schedule.skip", subject, member_id=schedule.member_id, detail=conflict.facts)
        return False
    session.add(
        ScheduledSnapshot(
            member_id=schedule.member_id, service_id=schedule.service_id, due_at=due, snapshot_id=snapshot.id
        )
    )
    schedule.handled_until = due
    session.flush()
    return True


def prune(session: Session, timezone: str) -> list[int]:
    """Queue the deletion of one superfluous snapshot of each service that is free; the ids of the snapshots."""
    query = (
        sa.select(SnapshotSchedule, Snapshot.id, ScheduledSnapshot.due_at)
        .join(ScheduledSnapshot, ScheduledSnapshot.service_id == SnapshotSchedule.service_id)
        .join(Snapshot, Snapshot.id == ScheduledSnapshot.snapshot_id)
        .where(Snapshot.state == "ready")
    )
    by_service: dict[int, tuple[SnapshotSchedule, list[tuple[int, datetime]]]] = {}
    for schedule, snapshot_id, due in session.execute(query):
        by_service.setdefault(schedule.service_id, (schedule, []))[1].append((snapshot_id, due))
    gone = []
    for service_id, (schedule, taken) in sorted(by_service.items()):
        beyond = retention.superfluous(taken, schedule.daily, schedule.weekly, schedule.monthly, timezone)
        for snapshot_id in beyond[:1]:
            try:
                operations.delete_snapshot(session, service_id, snapshot_id)
                gone.append(snapshot_id)
            except Conflict:  # busy: the next time
                continue
    return gone


def run(runtime: Runtime) -> None:
    """The duty: delete what is beyond retention, then make what is due."""
    settings = runtime.settings
    actor = f"worker {settings.worker_id}"
    with territory_session(runtime.engine, actor) as session:
        gone = prune(session, settings.timezone)
    with territory_session(runtime.engine, actor) as session:
        made = make_due(session, datetime.now(UTC), settings.timezone, settings.snapshots_per_service)
    if made or gone:
        log.info("scheduled snapshots", made=made, deleted=gone)
