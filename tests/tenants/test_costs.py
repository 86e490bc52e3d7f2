"""What a month costs so far: the statement's cents by day, the same kept and live, and a forecast that comes true."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa

from orchestrator.database import member_session, territory_session
from orchestrator.tables import Member, Service
from tenants import costs, costs_days, costs_year, periods
from tenants.tables import Budget, StatementLine
from tenants.tables_costs import CostDay, CostService
from tests.tenants.ledger import LATER, PARIS, at
from tests.tenants.test_month import write_month

pytestmark = pytest.mark.slow

MEMBERS = ("aubrac", "breval", "cidre", "desert")


@pytest.fixture(autouse=True)
def _written(staff: sa.Engine) -> None:
    with territory_session(staff, "test") as session:
        write_month(session)


def ids(engine: sa.Engine) -> dict[str, int]:
    with territory_session(engine, "test") as session:
        return {member.slug: member.id for member in session.scalars(sa.select(Member))}


def month(engine: sa.Engine, slug: str, when: datetime, label: str = "2026-03") -> costs.Costs:
    member_id = ids(engine)[slug]
    with territory_session(engine, "test") as session:
        return costs.month(session, member_id, label, when, PARIS)


def totals(found: costs.Costs) -> dict[str, Any]:
    return {"amount": found.amount, "days": sum(day.amount for day in found.days)}


def draft_and_close(staff: sa.Engine) -> None:
    with territory_session(staff, "test") as session:
        periods.draft(session, "2026-03", _sharing(session), LATER, PARIS)
        assert periods.check(session, "2026-03") == []
    with territory_session(staff, "test") as session:
        periods.close(session, "2026-03", LATER)


def _sharing(session: Any) -> Any:
    from tenants import finance

    return finance.Sharing()


def test_days_of_a_past_month_sum_to_the_lines(staff: sa.Engine) -> None:
    live = {slug: month(staff, slug, LATER) for slug in MEMBERS}
    draft_and_close(staff)
    for slug in MEMBERS:
        closed = month(staff, slug, LATER)
        assert closed == live[slug]  # what events tell is what was stated
        with territory_session(staff, "test") as session:
            lines = session.scalars(
                sa.select(StatementLine).where(
                    StatementLine.member_id == ids(staff)[slug], StatementLine.kind == "usage"
                )
            ).all()
        assert closed.amount == sum((line.amount for line in lines), Decimal(0))
        assert sum((day.amount for day in closed.days), Decimal(0)) == closed.amount
        by_meter: dict[int, Decimal] = {}
        for line in lines:
            by_meter[line.meter_id] = by_meter.get(line.meter_id, Decimal(0)) + line.amount
        assert {part.id: part.amount for part in closed.meters} == by_meter
        assert sum((part.amount for part in closed.services), Decimal(0)) == closed.amount
        assert (len(closed.days), closed.ahead) == (31, 0)
    assert live["breval"].amount == Decimal("9.60")
    assert live["aubrac"].amount == Decimal("17.50")


def test_a_day_that_is_over_never_changes(staff: sa.Engine) -> None:
    seen: dict[date, Decimal] = {}
    for hours in range(6, 31 * 24, 17):
        now = at("2026-02-28 23:00") + timedelta(hours=hours)
        found = month(staff, "breval", now)
        for day in found.days[:-1]:
            assert seen.setdefault(day.day, day.amount) == day.amount
        assert sum((day.amount for day in found.days), Decimal(0)) == found.amount


def test_a_forecast_comes_true_when_nothing_changes(staff: sa.Engine) -> None:
    early = month(staff, "aubrac", at("2026-03-02 10:00"))
    # The price that changes on the 15th is known.
    assert early.forecast == month(staff, "aubrac", LATER).amount == Decimal("17.50")
    assert early.amount < early.forecast
    assert month(staff, "cidre", at("2026-03-31 20:59")).forecast == 0  # what does not exist yet is not foreseen
    assert month(staff, "aubrac", at("2026-04-10 00:00"), "2026-04").amount > 0
    assert month(staff, "desert", LATER).days[0] == costs.Day(date(2026, 3, 1), Decimal("0.00"))


def test_a_forecast_ends_at_a_planned_deletion(owner: sa.Engine, staff: sa.Engine, worker: sa.Engine) -> None:
    """A service whose deletion is planned costs until then; what is over or protected is not touched by the plan."""
    now, plan, end = at("2026-03-15 12:00"), at("2026-03-18 12:00"), at("2026-04-01 00:00")
    before = month(staff, "aubrac", now)

    def planned(when: datetime | None, protected: bool = False) -> costs.Costs:
        with territory_session(owner, "test") as session:
            session.execute(sa.update(Service).values(delete_after=when, protected=protected))
        return month(staff, "aubrac", now)

    found = planned(plan)
    assert (found.amount, found.days) == (before.amount, before.days)
    lasts = Decimal((plan - now) / (end - now))
    assert abs(found.ahead - before.ahead * lasts) < Decimal("0.05")
    assert 0 < found.ahead < before.ahead
    assert planned(now - timedelta(hours=1)).ahead == 0, "it is due: a worker is about to"
    assert planned(plan, protected=True).ahead == before.ahead, "it stays"
    planned(plan)
    with territory_session(worker, "test") as session:
        costs_days.count(session, now, PARIS)
    with territory_session(staff, "test") as session:
        territory = {part.name: part for part in costs_days.territory(session, "2026-03", now, PARIS).members}
    assert territory["Aubrac"].ahead == found.ahead


def test_a_month_is_the_same_whether_its_days_were_counted_or_not(staff: sa.Engine, worker: sa.Engine) -> None:
    for now in map(at, ("2026-03-12 10:00", "2026-03-15 00:30", "2026-03-24 22:00", "2026-03-31 20:59:59.5")):
        with territory_session(worker, "worker 1") as session:
            session.execute(sa.delete(CostDay))
            session.execute(sa.delete(CostService))
        live = {slug: month(staff, slug, now) for slug in MEMBERS}
        with territory_session(worker, "worker 1") as session:
            costs_days.count(session, now, PARIS)
        assert {slug: month(staff, slug, now) for slug in MEMBERS} == live


def test_what_was_counted_is_read_while_it_is_new(staff: sa.Engine, worker: sa.Engine) -> None:
    """The same figures a little later; once they are old, or of another month, what events tell now."""
    now = at("2026-03-24 22:00")
    live = month(staff, "breval", now)
    with territory_session(worker, "worker 1") as session:
        costs_days.count(session, now - timedelta(days=30), PARIS)
        costs_days.count(session, now, PARIS)
        assert set(session.scalars(sa.select(CostService.until))) == {now}, "nothing of an older count stays"
    assert month(staff, "breval", now + timedelta(minutes=9)) == live
    late = now + timedelta(minutes=11)
    assert month(staff, "breval", late).until == late
    before = now - timedelta(minutes=1)
    assert month(staff, "breval", before).until == before, "a count that is to come tells nothing"
    assert month(staff, "breval", now, "2026-02").until == at("2026-02-28 23:00")


def test_a_service_costs_what_the_month_says_of_it(staff: sa.Engine, worker: sa.Engine) -> None:
    """As counted while that is new and of the same month, else as events tell: always as the month does."""
    midnight, counted = at("2026-03-31 22:00"), at("2026-03-31 21:55")
    with territory_session(worker, "worker 1") as session:
        costs_days.count(session, counted, PARIS)
    for now in (counted, midnight - timedelta(minutes=1), midnight + timedelta(minutes=1), at("2026-04-02 08:00")):
        parts = {part.id: part for part in month(staff, "breval", now, periods.label_of(now, PARIS)).services}
        assert parts or now > midnight
        with territory_session(staff, "test") as session:
            for service in session.scalars(sa.select(Service).where(Service.member_id == ids(staff)["breval"])):
                found = costs.service_so_far(session, service, now, PARIS)
                assert found == parts.get(service.id, (service.id, service.name, 0, 0))


def test_kept_days_are_the_live_ones(staff: sa.Engine, worker: sa.Engine) -> None:
    members = ids(staff)
    for now in map(at, ("2026-03-12 10:00", "2026-03-12 18:30", "2026-03-12 22:59:59", "2026-03-27 08:00",
                        "2026-04-02 08:00", "2026-04-02 09:00")):  # fmt: skip
        with territory_session(worker, "worker 1") as session:
            costs_days.count(session, now, PARIS)
        for label in ("2026-03", "2026-04"):
            with territory_session(staff, "test") as session:
                whole = costs_days.territory(session, label, now, PARIS)
            if now < at("2026-03-31 22:00") and label == "2026-04":
                assert (whole.amount, whole.members) == (0, ())
                continue
            each = {slug: month(staff, slug, now, label) for slug in MEMBERS}
            for slug, found in each.items():
                assert sum((day.amount for day in found.days), Decimal(0)) == found.amount, slug
            assert whole.amount == sum(found.amount for found in each.values())
            assert whole.ahead == sum(found.ahead for found in each.values())
            assert {part.name: part.amount for part in whole.meters} == _by_meter(each)
            kept = {part.id: (part.amount, part.ahead) for part in whole.members}
            for slug, found in each.items():
                assert kept.get(members[slug], (0, 0)) == (found.amount, found.ahead)
            days = {day.day: day.amount for day in whole.days}
            for number, day in enumerate(next(iter(each.values())).days):
                assert days.get(day.day, 0) == sum(found.days[number].amount for found in each.values())


def _by_meter(each: dict[str, costs.Costs]) -> dict[str, Decimal]:
    found: dict[str, Decimal] = {}
    for one in each.values():
        for part in one.meters:
            found[part.name] = found.get(part.name, Decimal(0)) + part.amount
    return found


def test_a_member_sees_its_own(staff: sa.Engine, web: sa.Engine, worker: sa.Engine) -> None:
    members = ids(staff)
    with territory_session(worker, "worker 1") as session:
        costs_days.count(session, at("2026-03-27 08:00"), PARIS)
    with member_session(web, members["breval"], "agent") as session:
        assert costs.so_far(session, members["breval"], at("2026-03-27 08:00"), PARIS).amount > 0
        assert costs.so_far(session, members["aubrac"], at("2026-03-27 08:00"), PARIS).amount == 0
        for counted in (CostDay, CostService):
            assert set(session.scalars(sa.select(counted.member_id))) == {members["breval"]}


def test_how_much_of_the_budget_is_used(owner: sa.Engine, staff: sa.Engine, worker: sa.Engine) -> None:
    aubrac = ids(staff)["aubrac"]
    with territory_session(owner, "test") as session:
        session.add(Budget(member_id=aubrac, year=2026, amount=Decimal(100)))
    now = at("2026-04-10 00:00")
    for when in (at("2026-03-10 00:00"), now):
        with territory_session(worker, "worker 1") as session:
            costs_days.count(session, when, PARIS)

    def use() -> costs_year.BudgetUse:
        with territory_session(staff, "test") as session:
            return costs_year.budget_use(
                session, aubrac, now, PARIS, costs.so_far(session, aubrac, now, PARIS)
            )  # fmt: skip

    before = use()
    assert (before.stated, before.unstated) == (0, Decimal("17.50"))
    draft_and_close(staff)
    after = use()
    assert (after.stated, after.unstated, after.used) == (Decimal("17.50"), 0, before.used)
    assert after.share == (after.used / 100).quantize(Decimal("0.0001"))
    assert after.forecast == after.used + after.ahead > after.used
