"""What came to be known of a month after it was closed → adjustment lines of the next one that is open.

First what each resource's closed month lacked or had too much, from one instant to another (`usage_corrections`); then
that month is rated again, at its own prices, by the same query, for the members concerned: a line is the difference
with what was billed of it until now. So a closed month and its adjustments sum to what it would cost if closed now.
Shares of its common costs are not made again (ADR 18).
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from orchestrator.tables import Member, Service
from tenants import metering
from tenants.rating import ROUNDED, USED
from tenants.tables import Meter, Period, Price, Statement, StatementLine, UsageCorrection

# Closed months before this one, with the resources of which something was told since. Where an earlier month is still
# open, that one takes them. An hour, for transactions that had not ended when closing began.
TOUCHED = """
SELECT c.id, array_agg(t.resource_id) AS resources
FROM periods p JOIN periods c ON c.state = 'closed' AND NOT c.sample AND c.during << p.during
CROSS JOIN LATERAL (
    SELECT e.resource_id FROM resource_events e
    WHERE e.recorded_at > c.sealed_from - interval '1 hour' AND e.at < upper(c.during)
    UNION
    SELECT r.id FROM services s JOIN resources r ON r.service_id = s.id
    WHERE s.state = 'failed' AND s.changed_at > c.sealed_from - interval '1 hour' AND s.created_at < upper(c.during)
) t
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
LINES = f"""
WITH whose AS (
    SELECT DISTINCT member_id FROM usage_corrections WHERE period_id = :period AND corrects_id = :corrects
), used AS ({USED.format(source=CORRECTED)}
), rated AS (
    SELECT service_id, member_id, meter_id, price_id, unit_seconds, {ROUNDED} AS amount FROM used
), billed AS (
    SELECT l.service_id, l.member_id, l.meter_id, l.price_id, sum(l.unit_seconds) AS unit_seconds,
        sum(l.amount) AS amount, min(l.position) FILTER (WHERE l.kind = 'usage') AS position
    FROM statement_lines l JOIN periods q ON q.id = l.period_id AND q.state = 'closed'
    WHERE l.member_id IN (TABLE whose) AND (l.period_id = :corrects AND l.kind = 'usage'
        OR l.corrects_id = :corrects AND l.kind = 'adjustment')
    GROUP BY l.service_id, l.member_id, l.meter_id, l.price_id
), lacking AS (
    SELECT service_id, member_id, meter_id, price_id, b.position,
        trim_scale(coalesce(r.unit_seconds, 0) - coalesce(b.unit_seconds, 0)) AS unit_seconds,
        coalesce(r.amount, 0) - coalesce(b.amount, 0) AS amount
    FROM rated r FULL JOIN billed b USING (service_id, member_id, meter_id, price_id)
), taken AS (
    SELECT statement_id, max(position) AS last FROM statement_lines WHERE period_id = :period GROUP BY statement_id
)
INSERT INTO statement_lines (statement_id, period_id, member_id, position, kind, service_id, meter_id, price_id,
    unit_seconds, amount, corrects_id, corrects_position)
SELECT t.id, :period, k.member_id, coalesce(taken.last, 0) + row_number() OVER
    (PARTITION BY k.member_id ORDER BY v.name COLLATE "C", k.service_id, k.meter_id, lower(p.during)),
    'adjustment', k.service_id, k.meter_id, k.price_id, k.unit_seconds, k.amount, :corrects, k.position
FROM lacking k JOIN services v ON v.id = k.service_id JOIN prices p ON p.id = k.price_id
JOIN statements t ON t.period_id = :period AND t.member_id = k.member_id
LEFT JOIN taken ON taken.statement_id = t.id
WHERE (k.unit_seconds, k.amount) <> (0, 0)
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


def correct(session: Session, period: Period) -> None:
    """Write anew what the period corrects of closed months: of each resource, when, and from how much to how much."""
    session.execute(sa.text("DELETE FROM usage_corrections WHERE period_id = :period"), {"period": period.id})
    for closed, resources in _touched(session, period):
        session.execute(sa.text(CORRECT), _chosen(period, closed, resources))


def rate(session: Session, period: Period) -> None:
    """Write the lines of those corrections after the period's usage lines, the oldest month first."""
    query = sa.text("""
        SELECT c.id FROM periods c WHERE EXISTS (SELECT FROM usage_corrections k
            WHERE k.period_id = :period AND k.corrects_id = c.id) ORDER BY c.during""")
    for closed in session.scalars(query, {"period": period.id}).all():
        session.execute(sa.text(LINES), {"period": period.id, "corrects": closed})


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
            closed.label.label("corrects"), one.corrects_position, Service.name.label("service"),
            Meter.code.label("meter"), Meter.unit, one.unit_seconds, Price.hourly, Price.book, one.amount,
        )
        .join(Period, Period.id == one.period_id).join(closed, closed.id == one.corrects_id)
        .join(Member, Member.id == one.member_id).join(Service, Service.id == one.service_id)
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


def stale(session: Session, period: Period) -> list[tuple[str, str | None, str | None]]:
    """(closed month and resource, what events correct now, what is stored), where they differ."""
    touched = {closed.id: (closed, resources) for closed, resources in _touched(session, period)}
    stored = sa.text("SELECT DISTINCT corrects_id FROM usage_corrections WHERE period_id = :period")
    for closed_id in session.scalars(stored, {"period": period.id}).all():
        touched.setdefault(closed_id, (session.get_one(Period, closed_id), []))
    return [
        (subject, now, kept)
        for closed, resources in touched.values()
        for subject, now, kept in session.execute(sa.text(STALE), _chosen(period, closed, resources))
    ]


def _touched(session: Session, period: Period) -> list[tuple[Period, list[int]]]:
    rows = session.execute(sa.text(TOUCHED), {"period": period.id}).all()
    return [(session.get_one(Period, closed), resources) for closed, resources in rows]


def _chosen(period: Period, closed: Period, resources: list[int]) -> dict[str, Any]:
    assert closed.during.upper
    return metering.parameters(closed, closed.during.upper, resource_ids=resources) | {"carrier": period.id}
