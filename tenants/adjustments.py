"""What came to be known of a month after it was closed → adjustment lines of the next one that is open.

First what each resource's closed month lacked or had too much, from one instant to another (`usage_corrections`); then
that month is rated again, at its own prices, by the same query, for the members concerned: a line of use, of a fee or
of a minimum is the difference with what was billed of it until now. So a closed month and its adjustments sum to what
it would cost if closed now. Shares of its common costs are not made again (ADR 18).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from orchestrator.tables import Member, Service
from tenants import checks_due, metering
from tenants.rating import FEES_OF_WHOSE, rated
from tenants.statements import ALL_SERVICES
from tenants.tables import Meter, Period, Price, Statement, StatementLine, UsageCorrection

# Closed months before this one, with the resources of which something was told since: since it was closed, or the last
# month after it, which corrected what was told until then. Where an earlier month is still open, that one takes them.
# An hour, for transactions that had not ended when closing began. All of a service together: what an application counts
# is its last server's, and would be told again of an earlier one that is looked at alone.
TOUCHED = """
SELECT c.id, array_agg(DISTINCT r.id) AS resources
FROM periods p JOIN periods c ON c.state = 'closed' AND NOT c.sample AND c.during << p.during
CROSS JOIN LATERAL (
    SELECT greatest(c.sealed_from, max(q.sealed_from)) - interval '1 hour' AS at FROM periods q
    WHERE q.state = 'closed' AND NOT q.sample AND q.during >> c.during AND q.during << p.during
) since
CROSS JOIN LATERAL (
    SELECT e.resource_id FROM resource_events e WHERE e.recorded_at > since.at AND e.at < upper(c.during)
    UNION
    SELECT r.id FROM services s JOIN resources r ON r.service_id = s.id
    WHERE s.state = 'failed' AND s.changed_at > since.at AND s.created_at < upper(c.during)
) t
JOIN resources one ON one.id = t.resource_id JOIN resources r ON r.service_id = one.service_id
WHERE p.id = :period AND NOT p.sample AND NOT EXISTS (SELECT FROM periods o
    WHERE o.state <> 'closed' AND NOT o.sample AND o.during >> c.during AND o.during << p.during)
GROUP BY c.id ORDER BY c.during
"""
# A quantity is a step from each instant to the next; :period is the closed month, :carrier the one that corrects it.
CHANGES = f"""
WITH now AS (
    SELECT d.* FROM ({metering.DERIVED}) d JOIN meters m ON m.id = d.meter_id AND m.sku IS NOT NULL
), whose AS (
    SELECT DISTINCT member_id FROM resources WHERE id = ANY(CAST(:resources AS bigint[]))
), known AS (
    SELECT resource_id, member_id, meter_id, quantity, during FROM usage_intervals
    WHERE period_id = :period AND member_id IN (TABLE whose) AND resource_id = ANY(:resources)
    UNION ALL
    SELECT k.resource_id, k.member_id, k.meter_id, k.quantity - k.counted, k.during
    FROM usage_corrections k JOIN periods q ON q.id = k.period_id AND q.state = 'closed'
    WHERE k.corrects_id = :period AND k.member_id IN (TABLE whose) AND k.resource_id = ANY(:resources)
), steps AS (
    SELECT resource_id, member_id, meter_id, lower(during) AS at, 0 AS counted, quantity FROM now
    UNION ALL SELECT resource_id, member_id, meter_id, upper(during), 0, -quantity FROM now
    UNION ALL SELECT resource_id, member_id, meter_id, lower(during), quantity, 0 FROM known
    UNION ALL SELECT resource_id, member_id, meter_id, upper(during), -quantity, 0 FROM known
), held AS (
    SELECT resource_id, member_id, meter_id, tstzrange(at, lead(at) OVER line) AS during,
        sum(sum(counted)) OVER line AS counted, sum(sum(quantity)) OVER line AS quantity
    FROM steps GROUP BY resource_id, member_id, meter_id, at
    WINDOW line AS (PARTITION BY resource_id, member_id, meter_id ORDER BY at)
)
SELECT h.resource_id, h.member_id, h.meter_id, trim_scale(h.counted) AS counted, trim_scale(h.quantity) AS quantity,
    unnest(range_agg(h.during)) AS during
FROM held h JOIN meters m ON m.id = h.meter_id AND m.sku IS NOT NULL WHERE h.counted <> h.quantity
GROUP BY h.resource_id, h.member_id, h.meter_id, trim_scale(h.counted), trim_scale(h.quantity)
"""  # noqa: S608  (no input in it)
CORRECT = f"""
INSERT INTO usage_corrections
    (period_id, corrects_id, resource_id, member_id, meter_id, counted, quantity, during)
SELECT :carrier, :period, resource_id, member_id, meter_id, counted, quantity, during
FROM ({CHANGES}) c ORDER BY resource_id, meter_id, during
"""  # noqa: S608
# What the closed month was, with all that corrects it. Quantities may be below zero: they are only summed.
CORRECTED = """
SELECT resource_id, member_id, meter_id, quantity, during FROM usage_intervals
WHERE period_id = :corrects AND member_id IN (TABLE whose)
UNION ALL
SELECT k.resource_id, k.member_id, k.meter_id, k.quantity - k.counted, k.during
FROM usage_corrections k JOIN periods q ON q.id = k.period_id
WHERE k.corrects_id = :corrects AND k.member_id IN (TABLE whose) AND (q.state = 'closed' OR q.id = :period)
"""
WHOSE = "whose AS (SELECT DISTINCT member_id FROM resources WHERE id = ANY(CAST(:resources AS bigint[])))"
# All that was billed of the closed month until now to these members: its own lines, and what corrected it since.
BILLED = """
SELECT l.* FROM statement_lines l JOIN periods q ON q.id = l.period_id AND q.state = 'closed'
WHERE l.member_id IN (TABLE whose) AND (l.period_id = :corrects AND l.kind IN ('usage', 'fee', 'minimum')
    OR l.corrects_id = :corrects AND l.kind = 'adjustment')
"""
# A member that left and is corrected nothing but a fee has no statement yet.
LINES = f"""
WITH {WHOSE}, {rated(source=CORRECTED, fees=FEES_OF_WHOSE)}, billed AS (
    SELECT coalesce(service_id, 0) AS service, member_id, meter_id, price_id, coalesce(step, 0) AS step,
        sum(unit_seconds) AS unit_seconds, sum(amount) AS amount,
        min(position) FILTER (WHERE kind <> 'adjustment') AS position
    FROM ({BILLED}) l GROUP BY coalesce(service_id, 0), member_id, meter_id, price_id, coalesce(step, 0)
), worth AS (
    SELECT coalesce(service_id, 0) AS service, member_id, meter_id, price_id, coalesce(step, 0) AS step, unit_seconds,
        amount FROM rated
), lacking AS (
    SELECT nullif(service, 0) AS service_id, member_id, meter_id, price_id, step, b.position,
        CASE m.basis WHEN 'hour' THEN trim_scale(coalesce(w.unit_seconds, 0) - coalesce(b.unit_seconds, 0)) END
            AS unit_seconds, coalesce(w.amount, 0) - coalesce(b.amount, 0) AS amount
    FROM worth w FULL JOIN billed b USING (service, member_id, meter_id, price_id, step)
    JOIN meters m ON m.id = meter_id
    WHERE (coalesce(w.unit_seconds, 0), coalesce(w.amount, 0))
        <> (coalesce(b.unit_seconds, 0), coalesce(b.amount, 0))
), stated AS (
    INSERT INTO statements (period_id, member_id, total, weighs)
    SELECT DISTINCT CAST(:period AS bigint), member_id, 0, false FROM lacking
    WHERE member_id NOT IN (SELECT member_id FROM statements WHERE period_id = :period)
    RETURNING id, member_id
), taken AS (
    SELECT statement_id, max(position) AS last FROM statement_lines WHERE period_id = :period GROUP BY statement_id
)
INSERT INTO statement_lines (statement_id, period_id, member_id, position, kind, service_id, meter_id, price_id,
    step, unit_seconds, amount, corrects_id, corrects_position)
SELECT t.id, :period, k.member_id, coalesce(taken.last, 0) + row_number() OVER
    (PARTITION BY k.member_id ORDER BY v.name COLLATE "C", k.service_id, k.meter_id, lower(p.during), k.step),
    'adjustment', k.service_id, k.meter_id, k.price_id, nullif(k.step, 0), k.unit_seconds, k.amount,
    :corrects, k.position
FROM lacking k LEFT JOIN services v ON v.id = k.service_id JOIN prices p ON p.id = k.price_id
JOIN (SELECT id, member_id FROM statements WHERE period_id = :period UNION ALL TABLE stated) t
    ON t.member_id = k.member_id
LEFT JOIN taken ON taken.statement_id = t.id
"""  # noqa: S608
# The fees and minimums of a closed month as they are due now, and what was billed of them with this month's lines.
UNDUE = f"""
WITH {WHOSE}, told AS ({BILLED.replace("q.state = 'closed'", "(q.state = 'closed' OR q.id = :period)")}),
{
    checks_due.due(
        fees=FEES_OF_WHOSE,
        used="SELECT member_id, service_id, sum(amount) AS amount FROM told WHERE unit_seconds IS NOT NULL"
        " GROUP BY member_id, service_id HAVING sum(unit_seconds) <> 0",
        billed="SELECT CASE m.basis WHEN 'once' THEN 'fee' ELSE 'minimum' END AS kind, member_id, service_id, price_id,"
        " sum(amount) AS amount FROM told JOIN meters m ON m.id = meter_id WHERE unit_seconds IS NULL"
        " GROUP BY m.basis, member_id, service_id, price_id HAVING sum(amount) <> 0",
    )
}
"""  # noqa: S608
# What would be corrected now and what is stored must be the same set.
STALE = f"""
WITH now AS (SELECT resource_id, meter_id, counted, quantity, during FROM ({CHANGES}) changes),
    kept AS (SELECT resource_id, meter_id, counted, quantity, during FROM usage_corrections
        WHERE period_id = :carrier AND corrects_id = :period)
SELECT concat(q.label, ' ressource ', d.resource_id),
    string_agg(concat(d.quantity, ' ', d.during), ' ' ORDER BY d.during) FILTER (WHERE d.told),
    string_agg(concat(d.quantity, ' ', d.during), ' ' ORDER BY d.during) FILTER (WHERE NOT d.told)
FROM ((SELECT *, true AS told FROM (TABLE now EXCEPT TABLE kept) more)
    UNION ALL (SELECT *, false FROM (TABLE kept EXCEPT TABLE now) less)) d, periods q
WHERE q.id = :period GROUP BY q.label, d.resource_id ORDER BY d.resource_id
"""  # noqa: S608


Touched = list[tuple[Period, list[int]]]


def correct(session: Session, period: Period) -> Touched:
    """Write anew what the period corrects of closed months: of each resource, when, and from how much to how much.

    Returns these months, the oldest first, each with the resources of which something was told since it was closed.
    """
    session.execute(sa.text("DELETE FROM usage_corrections WHERE period_id = :period"), {"period": period.id})
    touched = _touched(session, period)
    for closed, resources in touched:
        session.execute(sa.text(CORRECT), _chosen(period, closed, resources))
    return touched


def rate(session: Session, period: Period, touched: Touched) -> None:
    """Write the lines of what `correct` found after the period's own lines, the oldest month first: of use, and of the
    fees and minimums that follow from it.
    """
    for closed, resources in touched:
        session.execute(sa.text(LINES), _rated(period, closed, resources))


def any_of(session: Session, period: Period) -> bool:
    """Whether the period corrects anything."""
    lines = sa.select(StatementLine.id).where(
        StatementLine.period_id == period.id, StatementLine.corrects_id.is_not(None)
    )
    found = sa.select(UsageCorrection.id).where(UsageCorrection.period_id == period.id)
    return bool(session.scalar(sa.select(lines.exists() | found.exists())))


def listed(session: Session, period: str | None = None, *, corrected: int | None = None) -> list[dict[str, Any]]:
    """Adjustment lines of a month, or those that correct what a statement says (`corrected`, its id).

    The latest month first, then by member and place; a member's session sees its own.
    """
    one, closed = StatementLine, aliased(Period)
    query = (
        sa.select(
            one.statement_id.label("statement"), one.position, Period.label.label("period"),
            Member.slug.label("member"), Member.name,
            closed.label.label("corrects"), one.corrects_position,
            sa.func.coalesce(Service.name, ALL_SERVICES).label("service"),
            Meter.code.label("meter"), Meter.unit, one.unit_seconds, Price.hourly, Price.book, one.amount,
        )
        .join(Period, Period.id == one.period_id).join(closed, closed.id == one.corrects_id)
        .join(Member, Member.id == one.member_id).outerjoin(Service, Service.id == one.service_id)
        .join(Meter, Meter.id == one.meter_id).join(Price, Price.id == one.price_id)
        .where(one.kind == "adjustment")
        .order_by(Period.label.desc(), Member.siret.collate("C"), one.position)
    )  # fmt: skip
    if period is not None:
        query = query.where(Period.label == period)
    if corrected is not None:
        told = aliased(Statement)
        query = query.join(told, (told.period_id == one.corrects_id) & (told.member_id == one.member_id))
        query = query.where(told.id == corrected)
    return [dict(row) for row in session.execute(query).mappings()]


def stale(session: Session, period: Period) -> Iterator[tuple[str, str, str | None, str | None]]:
    """(check, closed month and resource or due, what it is now, what is stored), where they differ."""
    touched = {closed.id: (closed, resources) for closed, resources in _touched(session, period)}
    stored = sa.text("SELECT DISTINCT corrects_id FROM usage_corrections WHERE period_id = :period")
    for closed_id in session.scalars(stored, {"period": period.id}).all():
        touched.setdefault(closed_id, (session.get_one(Period, closed_id), []))
    for closed, resources in touched.values():
        for subject, now, kept in session.execute(sa.text(STALE), _chosen(period, closed, resources)):
            yield "corrections_are_events", subject, now, kept
        for subject, due, billed in session.execute(sa.text(UNDUE), _rated(period, closed, resources)):
            yield "adjusted_fees_and_minimums_are_due", f"{closed.label} {subject}", due, billed


def _touched(session: Session, period: Period) -> Touched:
    rows = session.execute(sa.text(TOUCHED), {"period": period.id}).all()
    return [(session.get_one(Period, closed), resources) for closed, resources in rows]


def _chosen(period: Period, closed: Period, resources: list[int]) -> dict[str, Any]:
    assert closed.during.upper
    return metering.parameters(closed, closed.during.upper, resource_ids=resources) | {"carrier": period.id}


def _rated(period: Period, closed: Period, resources: list[int]) -> dict[str, Any]:
    assert closed.during.upper
    chosen = metering.parameters(closed, closed.during.upper, resource_ids=resources)
    return chosen | {"period": period.id, "corrects": closed.id, "ends": closed.during.upper}
