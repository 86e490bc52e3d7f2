"""Usage intervals × price book → the lines of statements that follow from use: one for each service, meter, price and
step, the fees of what began to serve, and what lacks to a minimum.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from tenants import metering
from tenants.prices import missing_price
from tenants.prices_book import KEPT, ROUNDED, book, stepped
from tenants.tables import Period

UNPRICED = f"""
WITH {book()}, covering AS (SELECT meter_id, payer, range_agg(during) AS covered FROM book GROUP BY meter_id, payer)
SELECT m.code, lower(tstzmultirange(u.during) - coalesce(b.covered, tstzmultirange())) AS at
FROM usage_intervals u JOIN meters m ON m.id = u.meter_id JOIN members y ON y.id = u.member_id
LEFT JOIN covering b ON b.meter_id = u.meter_id AND b.payer = y.kind
WHERE u.period_id = :period AND m.sku IS NOT NULL AND (b.covered @> u.during) IS NOT TRUE
UNION ALL
SELECT m.code, lower(tstzmultirange(c.during) - coalesce(b.covered, tstzmultirange())) AS at
FROM usage_corrections c JOIN meters m ON m.id = c.meter_id JOIN members y ON y.id = c.member_id
LEFT JOIN covering b ON b.meter_id = c.meter_id AND b.payer = y.kind
WHERE c.period_id = :period AND (b.covered @> c.during) IS NOT TRUE
ORDER BY at, code LIMIT 1
"""  # noqa: S608  (no input in it)
# Every active member has a statement, and whoever used something: these weigh in common costs. So has whoever left and
# is corrected something.
STATEMENTS = """
INSERT INTO statements (period_id, member_id, total, population, weighs)
SELECT :period, m.id, 0, CASE WHEN w.weighs THEN m.population END, w.weighs FROM members m
CROSS JOIN LATERAL (SELECT m.state = 'active' OR EXISTS (SELECT FROM usage_intervals u
    WHERE u.period_id = :period AND u.member_id = m.id) AS weighs) w
WHERE w.weighs
    OR EXISTS (SELECT FROM usage_corrections c WHERE c.period_id = :period AND c.member_id = m.id)
    OR EXISTS (SELECT FROM disputes d WHERE d.state = 'settled' AND d.member_id = m.id
        AND NOT EXISTS (SELECT FROM statement_lines l JOIN periods q ON q.id = l.period_id
            WHERE l.dispute_id = d.id AND q.state = 'closed'))
ORDER BY m.siret COLLATE "C"
"""
# A service begins to serve once, whatever is done to it later; its fee is at the price of that instant.
_FEES = """
activated AS (
    SELECT r.service_id, r.member_id, min(e.at) AS at
    FROM resource_events e JOIN resources r ON r.id = e.resource_id
    WHERE e.kind = 'serving' AND starts_with(r.cloud_id, :prefix) = :sample
        AND (CAST(:member AS bigint) IS NULL OR r.member_id = :member){among}
        AND EXISTS (SELECT FROM book b JOIN meters m ON m.id = b.meter_id WHERE m.basis = 'once')
    GROUP BY r.service_id, r.member_id HAVING min(e.at) >= :starts AND min(e.at) < :until
), fees AS (
    SELECT a.service_id, a.member_id, b.meter_id, b.price_id, lower(b.during) AS since, round(b.hourly, 2) AS amount
    FROM activated a JOIN members y ON y.id = a.member_id JOIN services s ON s.id = a.service_id
    JOIN meters m ON m.code = CASE WHEN s.specification -> 'stack' IS NULL THEN 'activation'
        ELSE 'activation_application' END
    JOIN book b ON b.meter_id = m.id AND b.payer = y.kind AND b.during @> a.at
    WHERE s.state <> 'failed' AND s.specification -> 'outside' IS NULL AND round(b.hourly, 2) > 0
)"""
FEES = _FEES.format(among="")
FEES_OF_WHOSE = _FEES.format(among=" AND r.member_id IN (TABLE whose)")
# The minimum of a month is the one in force when it begins; fees don't count towards it.
DUE = """
SELECT b.payer, m.code, b.meter_id, b.price_id, lower(b.during) AS since, round(b.hourly, 2) AS amount
FROM book b JOIN meters m ON m.id = b.meter_id WHERE m.basis = 'month' AND b.during @> CAST(:starts AS timestamptz)"""
MINIMUMS = f"""
due AS MATERIALIZED ({DUE}
), of_services AS (
    SELECT l.service_id, l.member_id, d.meter_id, d.price_id, d.since, d.amount - sum(l.amount) AS amount
    FROM priced l JOIN members y ON y.id = l.member_id
    JOIN due d ON d.payer = y.kind AND d.code = 'minimum_service' WHERE EXISTS (SELECT FROM due)
    GROUP BY l.service_id, l.member_id, d.meter_id, d.price_id, d.since, d.amount HAVING sum(l.amount) < d.amount
), of_members AS (
    SELECT CAST(NULL AS bigint) AS service_id, l.member_id, d.meter_id, d.price_id, d.since,
        d.amount - sum(l.amount) AS amount
    FROM (SELECT member_id, amount FROM priced UNION ALL SELECT member_id, amount FROM of_services) l
    JOIN members y ON y.id = l.member_id
    JOIN due d ON d.payer = y.kind AND d.code = 'minimum_member' WHERE EXISTS (SELECT FROM due)
    GROUP BY l.member_id, d.meter_id, d.price_id, d.since, d.amount HAVING sum(l.amount) < d.amount
)"""  # noqa: S608  (no input in it)


# {source}: of which usage; `book` must be there. What corrections took back wholly is no use any more.
USED = """
    SELECT r.service_id, u.member_id, u.meter_id, p.price_id, p.payer, p.hourly, p.steps IS NOT NULL AS in_steps,
        min(lower(p.during)) AS since, trim_scale(sum(u.quantity * extract(epoch FROM
            least(upper(u.during), upper(p.during)) - greatest(lower(u.during), lower(p.during))))) AS unit_seconds
    FROM ({source}) u JOIN resources r ON r.id = u.resource_id JOIN members y ON y.id = u.member_id
    JOIN book p ON p.meter_id = u.meter_id AND p.payer = y.kind AND NOT isempty(p.during * u.during)
    GROUP BY r.service_id, u.member_id, u.meter_id, p.price_id, p.payer, p.hourly, p.steps IS NOT NULL
    HAVING sum(u.quantity * extract(epoch FROM
            least(upper(u.during), upper(p.during)) - greatest(lower(u.during), lower(p.during)))) <> 0
"""
STORED = "SELECT * FROM usage_intervals WHERE period_id = :period"
KEPT_OF_LINES = "service_id, member_id, meter_id, price_id, since"


def rated(entries: str = KEPT, source: str = STORED, fees: str = FEES) -> str:
    """The tables up to `rated`: every line that usage (by default a period's stored one) gives at the prices of
    `entries`, with the fees and minimums that go with it.
    """
    return f"""
{book(entries)}, used AS ({USED.format(source=source)}
), {stepped(KEPT_OF_LINES)}, priced AS (
    SELECT *, {ROUNDED} AS amount FROM lines
), {fees}, {MINIMUMS}, rated AS (
    SELECT 'usage' AS kind, service_id, member_id, meter_id, price_id, since, step, unit_seconds, amount FROM priced
    UNION ALL SELECT 'fee', service_id, member_id, meter_id, price_id, since, NULL, NULL, amount FROM fees
    UNION ALL SELECT 'minimum', service_id, member_id, meter_id, price_id, since, NULL, NULL, amount FROM of_services
    UNION ALL SELECT 'minimum', service_id, member_id, meter_id, price_id, since, NULL, NULL, amount FROM of_members
)"""  # noqa: S608  (no input in it)


# The statements were written just before, so the planner thinks that there is one: joined, all lines would be read once
# for each member.
LINES = f"""
INSERT INTO statement_lines
    (statement_id, period_id, member_id, position, kind, service_id, meter_id, price_id, step, unit_seconds, amount)
WITH {rated()}
SELECT (SELECT t.id FROM statements t WHERE t.period_id = :period AND t.member_id = u.member_id), :period, u.member_id,
    row_number() OVER (PARTITION BY u.member_id ORDER BY v.name COLLATE "C", u.service_id, u.meter_id, u.since, u.step),
    u.kind, u.service_id, u.meter_id, u.price_id, u.step, u.unit_seconds, u.amount
FROM rated u LEFT JOIN services v ON v.id = u.service_id
"""  # noqa: S608  (no input in it)
TOTALS = """
UPDATE statements t SET total = coalesce(
    (SELECT sum(l.amount) FROM statement_lines l WHERE l.statement_id = t.id), 0)
WHERE t.period_id = :period
"""


def parameters(period: Period) -> dict[str, Any]:
    """What the queries here need: `metering.parameters` up to where the period was metered, and its end."""
    assert period.during.upper
    return metering.parameters(period, period.metered_until or period.during.upper) | {"ends": period.during.upper}


def rate(session: Session, period: Period) -> None:
    """Write the period's statements and their lines of use anew. Raises Conflict missing_price."""
    chosen = parameters(period)
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
