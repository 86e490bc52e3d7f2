"""What a month costs, so far and by its end: the same facts, prices and rounding as the statement that will come.

A line of a statement is a service's use of a meter at one price, rounded once. A day's part of it is what the rounded
line was at the day's end less what it was at its beginning: the days sum to the line to the cent, and a day that is
over never changes again (with the largest remainder, a later day could move a cent of an earlier one).
The forecast lets what exists now go on, at its present size, to the month's end, at the prices known for that time;
what waits to be deleted, to that instant.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator.tables import Service
from tenants import metering, periods
from tenants.prices import midnight
from tenants.prices_book import ROUNDED, book, stepped
from tenants.rating import FEES, MINIMUMS
from tenants.tables import Period, Price
from tenants.tables_costs import CostService

NOTHING = Decimal("0.00")
# A drafted month has its intervals stored, as the statement was made from them; else events tell them.
STORED = """
SELECT r.service_id, u.member_id, u.meter_id, u.quantity, u.during
FROM usage_intervals u JOIN resources r ON r.id = u.resource_id
WHERE u.period_id = :period AND (CAST(:member AS bigint) IS NULL OR u.member_id = :member)
"""
# Use at one price each, until then (or until a deletion that is planned).
USED = """
{book}, going AS MATERIALIZED (
    SELECT id AS service_id, greatest(delete_after, CAST(:now AS timestamptz)) AS at
    FROM services WHERE delete_after IS NOT NULL AND NOT protected
), held AS (
    SELECT d.service_id, d.member_id, d.meter_id, p.price_id, p.payer, p.hourly, p.steps IS NOT NULL AS in_steps,
        d.quantity, greatest(lower(d.during), lower(p.during)) AS since,
        least(upper(d.during), upper(p.during), going.at) AS until
    FROM ({source}) d JOIN members y ON y.id = d.member_id
    JOIN book p ON p.meter_id = d.meter_id AND p.payer = y.kind AND p.during && d.during
    LEFT JOIN going ON going.service_id = d.service_id
    WHERE CAST(:service AS bigint) IS NULL OR d.service_id = :service
)
"""
# marks: the instants at which each line is rounded; the first is where counting begins, `day` the local day that ends
# there, null for the part that is still to come. (No line is old at a mark that lies before it.)
LINES = f"""
WITH marks AS (
    SELECT m.day, m.at FROM unnest(CAST(:days AS date[]), CAST(:ats AS timestamptz[])) m (day, at)
), {USED.replace("{book}", book())}, used AS (
    SELECT member_id, service_id, meter_id, price_id, payer, hourly, in_steps, day, at,
        sum(quantity * extract(epoch FROM least(until, at) - since)) AS unit_seconds
    FROM held JOIN marks ON since < at AND since < until
    GROUP BY member_id, service_id, meter_id, price_id, payer, hourly, in_steps, day, at
), {stepped("member_id, service_id, meter_id, price_id, day, at", ", at")}, every_use AS (
    SELECT *, {ROUNDED} AS amount FROM lines WHERE CAST(:only AS bigint) IS NULL OR service_id = :only
), priced AS MATERIALIZED (  -- what a minimum is compared with: the month's whole
    SELECT member_id, service_id, amount FROM every_use
    WHERE at = :ends AND EXISTS (SELECT FROM book b JOIN meters m ON m.id = b.meter_id WHERE m.basis = 'month')
), {FEES}, {MINIMUMS}, every_line AS (
    SELECT member_id, service_id, meter_id, price_id, step, hourly, day, at, unit_seconds, amount FROM every_use
    UNION ALL
    SELECT f.member_id, f.service_id, f.meter_id, f.price_id, NULL, f.amount, m.day, m.at, NULL, f.amount
    FROM fees f JOIN activated a USING (service_id) JOIN marks m ON m.at > a.at
    WHERE CAST(:only AS bigint) IS NULL OR f.service_id = :only
    UNION ALL
    SELECT l.member_id, l.service_id, l.meter_id, l.price_id, NULL, NULL, m.day, m.at, NULL, l.amount
    FROM (TABLE of_services UNION ALL SELECT * FROM of_members WHERE CAST(:only AS bigint) IS NULL) l
    JOIN marks m ON m.at = :ends
), rounded AS (
    SELECT *, lag(amount, 1, 0.00) OVER (PARTITION BY member_id, service_id, meter_id, price_id, step ORDER BY at)
        AS before FROM every_line
)
"""  # noqa: S608  (no input in it)
# With the service's name, or the meter's code; services dearest first.
NAMED = """
SELECT grouped.*, coalesce(s.name, m.code) AS name
FROM grouped LEFT JOIN services s ON s.id = grouped.service_id LEFT JOIN meters m ON m.id = grouped.meter_id
ORDER BY of, CASE of WHEN 3 THEN -(amount + ahead) END, grouped.service_id, grouped.meter_id, day
"""
# so far and to come, by service, by meter, by day and in all
DAY_BY_DAY = f""", grouped AS (
    SELECT grouping(service_id, meter_id, day) AS of, service_id, meter_id, day,
        coalesce(sum(amount - before) FILTER (WHERE at <= :now), 0.00) AS amount,
        coalesce(sum(amount - before) FILTER (WHERE at > :now), 0.00) AS ahead
    FROM rounded GROUP BY GROUPING SETS ((service_id), (meter_id), (day), ())
)
{NAMED}"""  # noqa: S608  (no input in it)
# The same, as a worker counted it; until: to which instant.
COUNTED = f"""
WITH grouped AS (
    SELECT 4 + grouping(meter_id, day) AS of, CAST(NULL AS bigint) AS service_id, meter_id, day,
        sum(amount) AS amount, sum(ahead) AS ahead, max(until) AS until
    FROM cost_days WHERE member_id = :member AND day BETWEEN :first AND :last
    GROUP BY GROUPING SETS ((meter_id), (day), ())
    UNION ALL
    SELECT 3, service_id, NULL, NULL, amount, ahead, until FROM cost_services WHERE member_id = :member
)
{NAMED}"""  # noqa: S608  (no input in it)
COUNTED_FOR = timedelta(minutes=10)  # so long after it what was counted is shown; a worker counts more often
BY_SERVICE, BY_METER, BY_DAY, IN_ALL = 0b011, 0b101, 0b110, 0b111


class Part(NamedTuple):
    """A service's or a meter's part: euros so far and still to come. (A member may have a thousand: a light type.)"""

    id: int
    name: str
    amount: Decimal
    ahead: Decimal

    @property
    def forecast(self) -> Decimal:
        return self.amount + self.ahead


@dataclass(frozen=True)
class Day:
    """A local day and what it cost, in euros."""

    day: date
    amount: Decimal


@dataclass(frozen=True)
class Costs:
    """What a month costs in euros: until the instant `until`, and still to come (`ahead`).

    services: dearest first (none for the territory); meters: in the price book's order; days: every day so far.
    members: for the territory, by member, dearest first.
    """

    label: str
    until: datetime
    amount: Decimal
    ahead: Decimal
    services: tuple[Part, ...]
    meters: tuple[Part, ...]
    days: tuple[Day, ...]
    members: tuple[Part, ...] = ()

    @property
    def forecast(self) -> Decimal:
        return self.amount + self.ahead


def month(
    session: Session, member_id: int, label: str, at: datetime, timezone: str, *, service_id: int | None = None
) -> Costs:
    """What the month `label` (2026-11) costs a member, or one of its services, as known at `at`. Three queries at most.

    Of a month that was drafted, what its statement was made from. Of the present month, what a worker counted in the
    last minutes, to that instant (`until`). Raises InvalidInput invalid_period.
    """
    period = session.scalar(sa.select(Period).where(Period.label == label))
    stored = period is not None and period.metered_until is not None and period.metered_until == period.during.upper
    period = period or Period(label=label, during=periods.bounds(label, timezone), sample=False)
    assert period.during.lower and period.during.upper
    if not service_id and period.during.lower <= at < period.during.upper:
        counted = _counted(session, member_id, period, at, timezone)
        if counted:
            return counted
    now = min(at, period.during.upper)
    marks = marks_of(period, now, timezone)
    # Up to the month's end: what still exists is thought on; the marks cut at `now`.
    chosen = parameters(session, period, member_id, service_id)
    query = (LINES + DAY_BY_DAY).format(source=STORED if stored else metering.DERIVED)
    rows = session.execute(sa.text(query), chosen | parameters_of(marks) | {"now": now, "known": now}).all()
    return _costs(label, now, rows, marks)


def _counted(session: Session, member_id: int, period: Period, at: datetime, timezone: str) -> Costs | None:
    """What a worker counted of the present month, unless that was too long ago or is still to come."""
    days = [day for day, _ in marks_of(period, at, timezone) if day]
    given = {"member": member_id, "first": days[0], "last": days[-1]} if days else None
    rows = session.execute(sa.text(COUNTED), given).all() if given else []
    until = next((row.until for row in rows if row.of == IN_ALL), None)
    if until is None or not timedelta(0) <= at - until <= COUNTED_FOR:
        return None
    return _costs(period.label, until, rows, marks_of(period, until, timezone))


def so_far(session: Session, member_id: int, at: datetime, timezone: str) -> Costs:
    """What the present month costs a member."""
    return month(session, member_id, periods.label_of(at, timezone), at, timezone)


def service_so_far(session: Session, service: Service, at: datetime, timezone: str) -> Part:
    """What the present month costs a service: as a worker counted it in the last minutes, else to this instant."""
    label, counted = periods.label_of(at, timezone), session.get(CostService, service.id)
    if (
        counted
        and timedelta(0) <= at - counted.until <= COUNTED_FOR
        and periods.label_of(counted.until, timezone) == label
    ):
        return Part(service.id, service.name, counted.amount, counted.ahead)
    found = month(session, service.member_id, label, at, timezone, service_id=service.id)
    return Part(service.id, service.name, found.amount, found.ahead)


def parameters(session: Session, period: Period, member_id: int | None, service_id: int | None) -> dict[str, Any]:
    """What LINES needs beside the marks: usage to the period's end, of a member, of which one service is shown.

    Where a price has steps, what one service costs depends on what its member's others use.
    """
    assert period.during.upper
    in_steps = sa.select(sa.exists().where(Price.steps.is_not(None), Price.during.overlaps(period.during)))
    within = None if service_id and session.scalar(in_steps) else service_id
    chosen = metering.parameters(period, period.during.upper, member_id=member_id, service_id=within)
    return chosen | {"ends": period.during.upper, "only": service_id}


Mark = tuple[date | None, datetime]


def marks_of(period: Period, now: datetime, timezone: str) -> list[Mark]:
    """The end of each local day until `now`, `now` itself, and the period's end for what is to come."""
    assert period.during.lower and period.during.upper
    zone = ZoneInfo(timezone)
    day, marks = period.during.lower.astimezone(zone).date(), list[Mark]()
    while (begins := midnight(day, timezone)) < now:
        following = day + timedelta(days=1)
        marks.append((day, min(midnight(following, timezone), now)))
        assert begins < marks[-1][1]
        day = following
    return marks if now >= period.during.upper else [*marks, (None, period.during.upper)]


def parameters_of(marks: Iterable[Mark]) -> dict[str, Any]:
    """The marks as the queries take them."""
    listed = list(marks)
    return {"days": [day for day, _ in listed], "ats": [at.astimezone(UTC) for _, at in listed]}


def _costs(label: str, now: datetime, rows: Any, marks: list[Mark]) -> Costs:
    by: dict[int, list[Any]] = {BY_SERVICE: [], BY_METER: [], BY_DAY: [], IN_ALL: []}
    for row in rows:
        by[row.of].append(row)
    services = [Part(row.service_id, row.name, row.amount, row.ahead) for row in by[BY_SERVICE] if row.service_id]
    meters = [Part(row.meter_id, row.name, row.amount, row.ahead) for row in by[BY_METER]]
    total = by[IN_ALL][0] if by[IN_ALL] else None
    spent = {row.day: row.amount for row in by[BY_DAY]}
    return Costs(
        label=label,
        until=now,
        amount=total.amount if total else NOTHING,
        ahead=total.ahead if total else NOTHING,
        services=tuple(services),
        meters=tuple(meters),
        days=tuple(Day(day, spent.get(day, NOTHING)) for day, _ in marks if day),
    )
