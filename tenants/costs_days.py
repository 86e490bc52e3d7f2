"""What each day cost each member, kept in `cost_days`, and each service, in `cost_services`: counted by a worker.

For twenty thousand services the present month can't be worked out while somebody waits for a page. Every few minutes
the days since the last count are counted again; the first count of a day counts its whole month again, so that facts
that came late are caught up. The pages say to which instant that was.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator.database import territory_session
from orchestrator.steps import Runtime
from tenants import metering, periods
from tenants.costs import LINES, NOTHING, Costs, Day, Mark, Part, marks_of, parameters, parameters_of
from tenants.tables import Period
from tenants.tables_costs import CostDay, CostService

LOCK = 0x434F5354  # advisory lock: one worker counts at a time
# The first mark only says what the lines were before the days that are counted. A line at a mark is the whole month
# until then, so the last marks make what each service costs.
WRITE = """
, services_counted AS (
    INSERT INTO cost_services (service_id, member_id, amount, ahead, until)
    SELECT service_id, member_id, coalesce(sum(amount) FILTER (WHERE at = :now), 0),
        coalesce(sum(amount - before) FILTER (WHERE at > :now), 0), :now
    FROM rounded WHERE at >= :now AND service_id IS NOT NULL GROUP BY service_id, member_id
    ON CONFLICT (service_id) DO UPDATE SET amount = excluded.amount, ahead = excluded.ahead, until = excluded.until
)
INSERT INTO cost_days (member_id, day, meter_id, amount, ahead, until)
SELECT member_id, day, meter_id, sum(amount), sum(ahead), :now FROM (
    SELECT member_id, coalesce(day, :today) AS day, meter_id,
        CASE WHEN at <= :now THEN amount - before ELSE 0 END AS amount,
        CASE WHEN at > :now THEN amount - before ELSE 0 END AS ahead
    FROM rounded WHERE at > :since) parts
GROUP BY member_id, day, meter_id
"""
READ = """
SELECT grouping(member_id, meter_id, day) AS of, member_id, meter_id, day,
    sum(amount) AS amount, sum(ahead) AS ahead, max(until) AS until
FROM cost_days WHERE day BETWEEN :first AND :last
GROUP BY GROUPING SETS ((member_id), (meter_id), (day), ()) ORDER BY 1, 2, 3, 4
"""


def count(session: Session, at: datetime, timezone: str) -> None:
    """Bring `cost_days` up to `at`; nothing when another worker does so now."""
    if not session.scalar(sa.select(sa.func.pg_try_advisory_xact_lock(LOCK))):
        return
    zone = ZoneInfo(timezone)
    today = at.astimezone(zone).date()
    last = session.scalar(sa.select(sa.func.max(CostDay.day)))
    first = today if last == today else (last or today).replace(day=1)
    while first <= today:
        following = (first.replace(day=1) + timedelta(days=32)).replace(day=1)
        _count(session, first, min(today, following - timedelta(days=1)), at, timezone)
        first = following


def _count(session: Session, first: date, last: date, at: datetime, timezone: str) -> None:
    """Count the days from `first` to `last` of one month again."""
    label = f"{first:%Y-%m}"
    period = Period(label=label, during=periods.bounds(label, timezone), sample=False)
    assert period.during.lower and period.during.upper
    now = min(at, period.during.upper)
    marks: list[Mark] = marks_of(period, now, timezone)
    before = [mark for mark in marks if mark[0] and mark[0] < first][-1:]
    since = before[0][1] if before else period.during.lower
    kept = before + [mark for mark in marks if not mark[0] or mark[0] >= first]
    session.execute(sa.delete(CostDay).where(CostDay.day >= first, CostDay.day <= last))
    # What was to come belonged to an earlier present.
    session.execute(
        sa.update(CostDay).where(CostDay.day >= first.replace(day=1), CostDay.ahead != 0).values(ahead=NOTHING)
    )
    session.execute(
        sa.text(LINES.format(source=metering.DERIVED) + WRITE),
        parameters(session, period, None, None)
        | parameters_of(kept)
        | {"now": now, "known": now, "since": since, "today": last},
    )
    session.execute(sa.delete(CostService).where(CostService.until != now))


def territory(session: Session, label: str, at: datetime, timezone: str) -> Costs:
    """What the month costs all members (or the one that the session sees), as it was counted last; two queries."""
    during = periods.bounds(label, timezone)
    assert during.lower and during.upper
    first = during.lower.astimezone(ZoneInfo(timezone)).date()
    last = (during.upper.astimezone(ZoneInfo(timezone)) - timedelta(hours=1)).date()
    rows = session.execute(sa.text(READ), {"first": first, "last": last}).all()
    names = {
        (kind, id): name
        for kind, id, name in session.execute(
            sa.text("SELECT 'p', id, name FROM members UNION ALL SELECT 'm', id, code FROM meters")
        )
    }
    members = [Part(r.member_id, names["p", r.member_id], r.amount, r.ahead) for r in rows if r.of == 0b011]
    meters = [Part(r.meter_id, names["m", r.meter_id], r.amount, r.ahead) for r in rows if r.of == 0b101]
    total = next((row for row in rows if row.of == 0b111), None)
    return Costs(
        label=label,
        until=total.until if total and total.until else min(at, during.upper),
        amount=total.amount if total and total.amount is not None else NOTHING,
        ahead=total.ahead if total and total.ahead is not None else NOTHING,
        services=(),
        meters=tuple(meters),
        days=tuple(Day(r.day, r.amount) for r in rows if r.of == 0b110),
        members=tuple(sorted(members, key=lambda part: (-part.forecast, part.id))),
    )


def run(runtime: Runtime) -> None:
    """The duty: count."""
    settings = runtime.settings
    with territory_session(runtime.engine, f"worker {settings.worker_id}") as session:
        count(session, datetime.now(UTC), settings.timezone)
