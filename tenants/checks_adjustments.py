"""What a period must prove of the closed months that it corrects: each query finds what does not add up."""

from __future__ import annotations

from tenants.prices_book import HOURLY, ROUNDED, book

# A closed month's usage with every correction, and all that was billed of it: by lines this time.
CORRECTED = """
    touched AS (SELECT DISTINCT corrects_id, member_id FROM usage_corrections WHERE period_id = :period
        UNION SELECT corrects_id, member_id FROM statement_lines WHERE period_id = :period AND kind = 'adjustment'),
    counts AS (SELECT id FROM periods WHERE state = 'closed' OR id = :period),
    billed AS (SELECT t.corrects_id, l.service_id, l.member_id, l.meter_id, l.price_id, l.step,
            sum(l.unit_seconds) AS unit_seconds, sum(l.amount) AS amount
        FROM touched t JOIN statement_lines l ON l.member_id = t.member_id AND (l.kind = 'usage'
            AND l.period_id = t.corrects_id OR l.kind = 'adjustment' AND l.corrects_id = t.corrects_id)
        WHERE l.period_id IN (TABLE counts) AND l.unit_seconds IS NOT NULL
        GROUP BY t.corrects_id, l.service_id, l.member_id, l.meter_id, l.price_id, l.step)"""
PRICED = """extract(epoch FROM
    least(upper(i.during), upper(p.during)) - greatest(lower(i.during), lower(p.during)))"""
# Each gives (subject, expected, found) of whatever differs.
CHECKS = {
    "adjusted_usage_is_billed": f"""
        WITH {CORRECTED}, {book()},
        whole AS (SELECT corrects_id, service_id, member_id, meter_id, price_id, sum(unit_seconds) AS unit_seconds
            FROM billed GROUP BY corrects_id, service_id, member_id, meter_id, price_id),
        held AS (SELECT t.corrects_id, i.resource_id, i.member_id, i.meter_id, i.quantity, i.during
            FROM touched t JOIN usage_intervals i ON i.period_id = t.corrects_id AND i.member_id = t.member_id
            UNION ALL
            SELECT t.corrects_id, k.resource_id, k.member_id, k.meter_id, k.quantity - k.counted, k.during
            FROM touched t JOIN usage_corrections k ON k.corrects_id = t.corrects_id AND k.member_id = t.member_id
            WHERE k.period_id IN (TABLE counts)),
        used AS (SELECT i.corrects_id, r.service_id, i.member_id, i.meter_id, p.price_id,
                sum(i.quantity * {PRICED}) AS held
            FROM held i JOIN resources r ON r.id = i.resource_id JOIN members y ON y.id = i.member_id
            JOIN book p ON p.meter_id = i.meter_id AND p.payer = y.kind AND p.during && i.during
            GROUP BY i.corrects_id, r.service_id, i.member_id, i.meter_id, p.price_id)
        SELECT concat(q.label, ' ', service_id, ' ', m.code), coalesce(u.held, 0), coalesce(b.unit_seconds, 0)
        FROM used u FULL JOIN whole b USING (corrects_id, service_id, member_id, meter_id, price_id)
        JOIN periods q ON q.id = corrects_id JOIN meters m ON m.id = meter_id
        WHERE coalesce(u.held, 0) <> coalesce(b.unit_seconds, 0)""",  # noqa: S608  (no input in it)
    "adjusted_amount_is_usage_times_price": f"""
        WITH {CORRECTED}
        SELECT concat(label, ' ', service_id, ' ', code), {ROUNDED}, amount FROM (
            SELECT q.label, l.service_id, m.code, l.unit_seconds, l.amount, {HOURLY} AS hourly
            FROM billed l JOIN prices p ON p.id = l.price_id JOIN periods q ON q.id = l.corrects_id
            JOIN meters m ON m.id = l.meter_id) b
        WHERE (amount = {ROUNDED}) IS NOT TRUE""",  # noqa: S608
    "one_adjustment_of_each_line": """
        SELECT concat(q.label, ' ', l.service_id, ' ', m.code), 1, count(*)
        FROM statement_lines l JOIN meters m ON m.id = l.meter_id JOIN periods q ON q.id = l.corrects_id
        WHERE l.period_id = :period AND l.kind = 'adjustment'
        GROUP BY q.id, l.service_id, l.member_id, m.id, l.price_id, l.step HAVING count(*) > 1""",
    "adjustment_names_its_line": """
        SELECT 'ligne ' || l.id, o.position, l.corrects_position FROM statement_lines l
        LEFT JOIN statement_lines o ON o.period_id = l.corrects_id AND o.kind IN ('usage', 'fee', 'minimum')
            AND (o.member_id, o.meter_id, o.price_id) = (l.member_id, l.meter_id, l.price_id)
            AND o.service_id IS NOT DISTINCT FROM l.service_id AND o.step IS NOT DISTINCT FROM l.step
        WHERE l.period_id = :period AND l.kind = 'adjustment' AND l.corrects_position IS DISTINCT FROM o.position""",
    "adjusted_month_is_closed": """
        SELECT q.label, 'closed', q.state FROM periods q JOIN periods p ON p.id = :period
        WHERE q.id IN (SELECT corrects_id FROM statement_lines WHERE period_id = :period AND corrects_id IS NOT NULL
            UNION SELECT corrects_id FROM usage_corrections WHERE period_id = :period)
        AND NOT (q.state = 'closed' AND q.sample = p.sample AND q.during << p.during)""",
    "correction_is_inside_its_month": """
        SELECT 'rectification ' || k.id, q.during::text, k.during::text FROM usage_corrections k
        JOIN periods q ON q.id = k.corrects_id WHERE k.period_id = :period AND NOT q.during @> k.during""",
}
