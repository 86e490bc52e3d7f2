"""Scheduled snapshots: due once, by local time, whatever the clock does; what is kept is never the last good one."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from orchestrator import retention
from orchestrator.database import member_session, territory_session
from orchestrator.errors import Conflict, InvalidInput
from orchestrator.tables import AuditEntry, Flow, Service, Snapshot
from tenants import operations, schedules
from tenants.tables_schedules import ScheduledSnapshot
from tests.tenants.ordering import member, seed
from tests.tenants.test_changes import create, refused

PARIS = "Europe/Paris"
MONDAY = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _seeded(owner: sa.Engine) -> None:
    seed(owner)


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type]


def test_one_a_day_on_the_days_when_the_clock_changes() -> None:
    # 29 March 2026, 02:00 does not exist; 25 October 2026, 02:00 comes twice.
    assert schedules.due_on(date(2026, 3, 28), 2, PARIS) == utc(2026, 3, 28, 1)
    assert schedules.due_on(date(2026, 3, 29), 2, PARIS) == utc(2026, 3, 29, 1)  # 03:00 there
    assert schedules.due_on(date(2026, 3, 30), 2, PARIS) == utc(2026, 3, 30, 0)
    assert schedules.due_on(date(2026, 10, 25), 2, PARIS) == utc(2026, 10, 25, 0)  # the first time
    for day in (date(2026, 3, 28), date(2026, 10, 24)):
        begins = datetime.combine(day, datetime.min.time(), ZoneInfo(PARIS)).astimezone(UTC)
        ticks = [begins + timedelta(minutes=10 * n) for n in range(3 * 24 * 6)]
        for hour in range(24):
            dues = {schedules.last_due(hour, schedules.EVERY_DAY, tick, PARIS) for tick in ticks}
            assert len(dues) in (3, 4)  # three days, and the one before if the hour is not yet come
            assert all(a < b for a, b in zip(sorted(dues), sorted(dues)[1:], strict=False))


def test_weekdays_are_local() -> None:
    # Monday 00:30 in Paris is Sunday in UTC.
    assert schedules.last_due(0, [1], utc(2026, 11, 22, 23, 30), PARIS) == utc(2026, 11, 22, 23)
    assert schedules.last_due(0, [1], utc(2026, 11, 22, 22, 30), PARIS) == utc(2026, 11, 15, 23)
    assert schedules.next_due(0, [1], utc(2026, 11, 22, 23), PARIS) == utc(2026, 11, 29, 23)


def test_what_is_kept() -> None:
    days = [(n, utc(2026, 11, 1, 2) + timedelta(days=n)) for n in range(60)]  # 1 November to 30 December
    kept = {n for n, _ in days} - set(retention.superfluous(days, 7, 4, 2, PARIS))
    # The last seven days; of the last four weeks their newest (30, 27, 20, 13 December); 30 November for its month.
    assert kept == {53, 54, 55, 56, 57, 58, 59, 49, 42, 29}
    assert retention.superfluous(days[:1], 0, 0, 1, PARIS) == []
    assert 59 not in retention.superfluous(days, 1, 0, 0, PARIS)
    assert retention.superfluous([], 7, 4, 2, PARIS) == []


def put(web: sa.Engine, member_id: int, service: int, at: datetime = MONDAY, **more: Any) -> None:
    with member_session(web, member_id, "agent") as session:
        schedules.put(session, service, at, **{"hour": 2, "most": 30, **more})


def make(worker: sa.Engine, at: datetime, most: int = 30) -> list[int]:
    with territory_session(worker, "worker 1") as session:
        return schedules.make_due(session, at, PARIS, most)


def finish(owner: sa.Engine, at: datetime) -> None:
    """Every snapshot is made, every flow done."""
    with territory_session(owner, "tests") as session:
        session.execute(
            sa.update(Snapshot).where(Snapshot.state == "making").values(state="ready", ready_at=at, size_gib=10)
        )
        session.execute(sa.update(Flow).where(Flow.state == "queued").values(state="done", ended_at=at))


@pytest.mark.slow
def test_due_once_and_one_for_all_that_was_missed(owner: sa.Engine, web: sa.Engine, worker: sa.Engine) -> None:
    brevaux = member(owner)
    service = create(owner, web, brevaux)
    put(web, brevaux, service)
    assert make(worker, MONDAY) == []
    assert make(worker, utc(2026, 11, 24, 0, 59)) == []
    assert make(worker, utc(2026, 11, 24, 1)) == [service]
    assert make(worker, utc(2026, 11, 24, 1, 1)) == []
    finish(owner, MONDAY)
    assert make(worker, utc(2026, 11, 29, 18)) == [service]  # the worker slept for four days: one
    with territory_session(owner, "tests") as session:
        dues = session.scalars(sa.select(ScheduledSnapshot.due_at).order_by(ScheduledSnapshot.due_at)).all()
        assert dues == [utc(2026, 11, 24, 1), utc(2026, 11, 29, 1)]
        names = session.scalars(sa.select(Snapshot.name).order_by(Snapshot.id)).all()
        assert names == ["auto 2026-11-24 02:00", "auto 2026-11-29 02:00"]


@pytest.mark.slow
def test_a_busy_service_waits_a_full_one_is_passed_over(owner: sa.Engine, web: sa.Engine, worker: sa.Engine) -> None:
    brevaux = member(owner)
    service = create(owner, web, brevaux)
    put(web, brevaux, service)
    with member_session(web, brevaux, "agent") as session:
        operations.reboot(session, service)
    assert make(worker, utc(2026, 11, 24, 1)) == []
    finish(owner, MONDAY)
    assert make(worker, utc(2026, 11, 24, 1, 5)) == [service]
    finish(owner, MONDAY)
    assert make(worker, utc(2026, 11, 25, 1), most=1) == []
    assert make(worker, utc(2026, 11, 25, 1, 5), most=30) == []  # that night is over
    with territory_session(owner, "tests") as session:
        told = session.scalars(sa.select(AuditEntry.action)).all()
        assert told.count("schedule.skip") == 1
        session.execute(sa.update(Service).values(delete_after=MONDAY))
    assert make(worker, utc(2026, 11, 26, 1)) == []


@pytest.mark.slow
def test_pruning_keeps_what_was_promised(owner: sa.Engine, web: sa.Engine, worker: sa.Engine) -> None:
    brevaux = member(owner)
    service = create(owner, web, brevaux)
    put(web, brevaux, service, daily=2, weekly=0, monthly=0)
    for day in range(24, 29):
        assert make(worker, utc(2026, 11, day, 1)) == [service]
        finish(owner, MONDAY)
    gone = []
    for _ in range(4):
        with territory_session(worker, "worker 1") as session:
            gone += schedules.prune(session, PARIS)
        with territory_session(owner, "tests") as session:
            session.execute(sa.update(Snapshot).where(Snapshot.id.in_(gone)).values(state="deleted", ended_at=MONDAY))
        finish(owner, MONDAY)
    assert gone == [1, 2, 3]
    with member_session(web, brevaux, "agent") as session:
        schedules.remove(session, service)
    assert make(worker, utc(2026, 12, 24, 1)) == []


def test_a_schedule_has_a_form(owner: sa.Engine, web: sa.Engine) -> None:
    brevaux = member(owner)
    service = create(owner, web, brevaux)
    for wrong in ({"hour": 24}, {"weekdays": []}, {"weekdays": [8]}, {"daily": 0, "weekly": 0}, {"most": 11}):
        refused("invalid_schedule", InvalidInput, put, web, brevaux, service, **wrong)
    with territory_session(owner, "tests") as session:
        session.execute(sa.update(Service).values(state="deleted"))
    refused("not_allowed_now", Conflict, put, web, brevaux, service)
