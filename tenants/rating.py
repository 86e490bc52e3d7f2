"""Usage intervals × price book → the usage lines of statements: one for each service, meter and price."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Session

from tenants.prices import missing_price
from tenants.tables import Period

UNPRICED = """
WITH book AS (SELECT meter_id, range_agg(during) AS covered FROM prices GROUP BY meter_id)
SELECT m.code, lower(tstzmultirange(u.during) - coalesce(b.covered, '{}')) AS at
FROM usage_intervals u JOIN meters m ON m.id = u.meter_id LEFT JOIN book b ON b.meter_id = u.meter_id
WHERE u.period_id = :period AND m.sku IS NOT NULL AND (b.covered @> u.during) IS NOT TRUE
UNION ALL
SELECT m.code, lower(tstzmultirange(c.during) - coalesce(b.covered, '{}')) AS at
FROM usage_corrections c JOIN meters m ON m.id = c.meter_id LEFT JOIN book b ON b.meter_id = c.meter_id
WHERE c.period_id = :period AND (b.covered @> c.during) IS NOT TRUE
ORDER BY at, code LIMIT 1
"""
# Every active member has a statement, and whoever used something or is corrected something.
STATEMENTS = """
INSERT INTO statements (period_id, member_id, total, population)
SELECT :period, m.id, 0, m.population FROM members m
WHERE m.state = 'active' OR EXISTS (SELECT FROM usage_intervals u WHERE u.period_id = :period AND u.member_id = m.id)
    OR EXISTS (SELECT FROM usage_corrections c WHERE c.period_id = :period AND c.member_id = m.id)
    OR EXISTS (SELECT FROM disputes d WHERE d.state = 'settled' AND d.member_id = m.id
        AND NOT EXISTS (SELECT FROM statement_lines l JOIN periods q ON q.id = l.period_id
            WHERE l.dispute_id = d.id AND q.state = 'closed'))
ORDER BY m.siret COLLATE "C"
"""
# Rounded once for each line, half up (EN 16931), by whole division: a quotient with an end could round twice.
ROUNDED = "div(unit_seconds * hourly * 100 + 1800, 3600) * 0.01"
# {source}: of which usage.
USED = """
    SELECT r.service_id, u.member_id, u.meter_id, p.id AS price_id, p.hourly, lower(p.during) AS since,
        trim_scale(sum(u.quantity * extract(epoch FROM
            least(upper(u.during), upper(p.during)) - greatest(lower(u.during), lower(p.during))))) AS unit_seconds
    FROM ({source}) u JOIN resources r ON r.id = u.resource_id
    JOIN prices p ON p.meter_id = u.meter_id AND p.during && u.during
    GROUP BY r.service_id, u.member_id, u.meter_id, p.id
"""
STORED = "SELECT * FROM usage_intervals WHERE period_id = :period"
LINES = f"""
WITH used AS ({USED.format(source=STORED)})
INSERT INTO statement_lines
    (statement_id, period_id, member_id, position, kind, service_id, meter_id, price_id, unit_seconds, amount)
SELECT t.id, :period, u.member_id, row_number() OVER
    (PARTITION BY u.member_id ORDER BY v.name COLLATE "C", u.service_id, u.meter_id, u.since),
    'usage', u.service_id, u.meter_id, u.price_id, u.unit_seconds, {ROUNDED}
FROM used u JOIN services v ON v.id = u.service_id
JOIN statements t ON t.period_id = :period AND t.member_id = u.member_id
"""  # noqa: S608  (no input in it)
TOTALS = """
UPDATE statements t SET total = coalesce(
    (SELECT sum(l.amount) FROM statement_lines l WHERE l.statement_id = t.id), 0)
WHERE t.period_id = :period
"""


def rate(session: Session, period: Period) -> None:
    """Write the period's statements and their usage lines anew. Raises Conflict missing_price."""
    chosen = {"period": period.id}
    unpriced = session.execute(sa.text(UNPRICED), chosen).first()
    if unpriced:
        raise missing_price(*unpriced)
    session.execute(sa.text("DELETE FROM statement_lines WHERE period_id = :period"), chosen)
    session.execute(sa.text("DELETE FROM statements WHERE period_id = :period"), chosen)
    session.execute(sa.text(STATEMENTS), chosen)
    session.execute(sa.text(LINES), chosen)


def total(session: Session, period: Period) -> None:
    """Write each statement's total: the exact sum of its lines."""
    session.execute(sa.text(TOTALS), {"period": period.id})
