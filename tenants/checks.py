"""What a period must prove before it closes. Each check is a query that finds what does not add up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from tenants import adjustments, billing, checks_adjustments, checks_due, disputes, metering, rating, vat
from tenants.prices_book import HOURLY, ROUNDED, book
from tenants.tables import Period

# The seconds of an interval `i` at a price `p`.
PRICED = """extract(epoch FROM
    least(upper(i.during), upper(p.during)) - greatest(lower(i.during), lower(p.during)))"""


@dataclass(frozen=True)
class Difference:
    """What `check` found at `subject`: what it should be and what it is, as texts."""

    check: str
    subject: str
    expected: str
    found: str


# Every share worked out a second time, here and not in `sharing`; the line must have it to a millionth of a euro.
SHARES = """
WITH used AS (SELECT member_id, sum(amount) AS euros FROM statement_lines
        WHERE period_id = :period AND kind = 'usage' GROUP BY member_id),
    served AS (SELECT i.member_id, sum(i.quantity * extract(epoch FROM upper(i.during) - lower(i.during))) AS seconds
        FROM usage_intervals i JOIN meters m ON m.id = i.meter_id AND m.code = 'vcpu'
        WHERE i.period_id = :period GROUP BY i.member_id),
    measured AS (SELECT t.id, t.member_id, c.criterion, coalesce(c.held, 0)::numeric(50, 20) AS held
        FROM statements t LEFT JOIN used u USING (member_id) LEFT JOIN served s USING (member_id),
        LATERAL (VALUES ('population', t.population::numeric), ('usage', u.euros), ('vcpu', s.seconds),
            ('equal', t.weighs::int)) c (criterion, held)
        WHERE t.period_id = :period),
    parts AS (SELECT id, member_id, criterion,
        held / nullif(sum(held) OVER (PARTITION BY criterion), 0) AS part FROM measured),
    shares AS (SELECT p.id, p.member_id, c.id AS pool_id, c.code, sum(c.amount * w.weight::numeric * p.part) AS share
        FROM cost_pools c JOIN allocation_keys k ON k.id = c.key_id, jsonb_each_text(k.weights) w (criterion, weight)
        JOIN parts p USING (criterion)
        WHERE c.period_id = :period AND w.weight::numeric > 0 GROUP BY p.id, p.member_id, c.id)
SELECT concat(s.code, ' ', m.slug), round(s.share, 6), l.share FROM shares s
JOIN members m ON m.id = s.member_id
JOIN statement_lines l ON l.statement_id = s.id AND l.pool_id = s.pool_id
WHERE (abs(s.share - l.share) < 0.000001) IS NOT TRUE
"""
# What each entry adds to the month, worked out here and not in `cost_schedule`: what counted by its end (half a cent
# up), less what counted before. `late`: the part of its first month that was over when it began.
PARTS = """
WITH spread AS (SELECT e.id, e.amount, e.months::numeric, c.code,
        (extract(year FROM p.first) * 12 + extract(month FROM p.first)
            - extract(year FROM e.starts) * 12 - extract(month FROM e.starts))::numeric AS gone,
        (extract(day FROM e.starts) - 1)::numeric AS late,
        extract(day FROM date_trunc('month', e.starts) + interval '1 month' - interval '1 day')::numeric AS days,
        x.amount AS kept, (e.pool IS NOT DISTINCT FROM c.code AND x.entry_id IS NOT NULL) AS joined,
        e.ends IS NULL OR p.first < e.ends AS counts
        FROM cost_entries e CROSS JOIN (SELECT id, to_date(label, 'YYYY-MM') AS first FROM periods WHERE id = :period) p
        LEFT JOIN cost_parts x ON x.entry_id = e.id AND x.period_id = p.id
        LEFT JOIN cost_pools c ON c.id = x.pool_id),
    due AS (SELECT *, CASE WHEN counts AND gone >= 0 AND gone * days - late < months * days THEN
        round(amount * least(gone * days + days - late, months * days) / (months * days), 2)
        - round(amount * greatest(gone * days - late, 0) / (months * days), 2) END AS part FROM spread)
SELECT 'coût ' || id, coalesce(part::text, '—'), coalesce(kept::text, '—') FROM due
WHERE part IS DISTINCT FROM kept OR (kept IS NOT NULL AND NOT joined)
"""
# The largest remainders get a cent more, ties by SIREN, until nothing of the pool is left. A line keeps its share to 20
# places: what is the same to 12 is a tie.
CENTS = """
WITH floors AS (SELECT l.amount, c.amount AS whole, c.code, c.id, m.slug, m.siret,
        floor(abs(l.share) * 100) AS least, round(abs(l.share) * 100 % 1, 12) AS remainder
        FROM statement_lines l JOIN cost_pools c ON c.id = l.pool_id JOIN members m ON m.id = l.member_id
        WHERE l.period_id = :period),
    ranked AS (SELECT *, abs(whole) * 100 - sum(least) OVER (PARTITION BY id) AS cents_left,
        row_number() OVER (PARTITION BY id ORDER BY remainder DESC, siret COLLATE "C") AS place FROM floors),
    shared AS (SELECT *, sign(whole) * (least + (place <= cents_left)::int) * 0.01 AS amount_due FROM ranked)
SELECT concat(code, ' ', slug), round(amount_due, 2), amount FROM shared WHERE amount_due <> amount
"""
# What a member used at a price with steps fills them from the first on, its oldest service first. Together with what
# each service used, nothing else can be true.
STEPS = f"""
WITH {book()}, held AS (
        SELECT l.member_id, l.price_id, l.step, sum(l.unit_seconds) AS held, min(l.service_id) AS first,
            max(l.service_id) AS last FROM statement_lines l JOIN prices p ON p.id = l.price_id
        WHERE l.period_id = :period AND l.kind = 'usage' AND (p.steps IS NOT NULL OR l.step IS NOT NULL)
        GROUP BY l.member_id, l.price_id, l.step),
    whole AS (SELECT member_id, price_id, sum(held) AS held FROM held GROUP BY member_id, price_id),
    due AS (SELECT w.member_id, w.price_id, l.step,
        greatest(0, least(w.held, l.high) - l.low) AS due FROM whole w JOIN members y ON y.id = w.member_id
        JOIN ladder l ON l.price_id = w.price_id AND l.payer = y.kind),
    ordered AS (SELECT *, lag(last) OVER (PARTITION BY member_id, price_id ORDER BY step) AS before FROM held)
SELECT concat(m.slug, ' ', t.code, ' ', coalesce(d.step, o.step)), d.due,
    CASE WHEN o.first < o.before THEN NULL ELSE coalesce(o.held, 0) END
FROM due d FULL JOIN ordered o USING (member_id, price_id, step)
JOIN members m ON m.id = member_id JOIN prices p ON p.id = price_id JOIN meters t ON t.id = p.meter_id
WHERE d.due IS DISTINCT FROM coalesce(o.held, 0) OR o.first < o.before
"""  # noqa: S608  (no input in it)
DUE = "WITH " + checks_due.due(  # noqa: S608  (no input in it)
    fees=rating.FEES,
    used="SELECT member_id, service_id, sum(amount) AS amount FROM statement_lines"
    " WHERE period_id = :period AND kind = 'usage' GROUP BY member_id, service_id",
    billed="SELECT kind, member_id, service_id, price_id, amount FROM statement_lines"
    " WHERE period_id = :period AND kind IN ('fee', 'minimum')",
)
# Each gives (subject, expected, found) of whatever differs.
CHECKS = {
    "total_is_sum_of_lines": """
        SELECT m.slug, coalesce(sum(l.amount), 0), t.total FROM statements t JOIN members m ON m.id = t.member_id
        LEFT JOIN statement_lines l ON l.statement_id = t.id
        WHERE t.period_id = :period GROUP BY t.id, m.slug HAVING coalesce(sum(l.amount), 0) <> t.total""",
    "line_is_usage_times_price": f"""
        SELECT 'ligne ' || id, {ROUNDED}, amount FROM (
            SELECT l.id, l.unit_seconds, l.amount, {HOURLY} AS hourly FROM statement_lines l
            JOIN prices p ON p.id = l.price_id WHERE l.period_id = :period AND l.kind = 'usage') l
        WHERE (amount = {ROUNDED}) IS NOT TRUE""",  # noqa: S608  (no input in it)
    "lines_are_intervals": f"""
        WITH {book()}
        SELECT concat(coalesce(u.service_id, l.service_id), ' ', m.code), u.held, l.billed FROM
            (SELECT r.service_id, i.member_id, i.meter_id, p.price_id, sum(i.quantity * {PRICED}) AS held
                FROM usage_intervals i JOIN resources r ON r.id = i.resource_id JOIN members y ON y.id = i.member_id
                JOIN book p ON p.meter_id = i.meter_id AND p.payer = y.kind AND NOT isempty(p.during * i.during)
                WHERE i.period_id = :period GROUP BY r.service_id, i.member_id, i.meter_id, p.price_id) u
        FULL JOIN
            (SELECT service_id, member_id, meter_id, price_id, sum(unit_seconds) AS billed FROM statement_lines
                WHERE period_id = :period AND kind = 'usage' GROUP BY service_id, member_id, meter_id, price_id) l
            USING (service_id, member_id, meter_id, price_id)
        JOIN meters m ON m.id = meter_id
        WHERE u.held IS DISTINCT FROM l.billed""",  # noqa: S608
    "usage_is_in_one_line": """
        SELECT concat(l.service_id, ' ', m.code), 1, count(*) FROM statement_lines l JOIN meters m ON m.id = l.meter_id
        WHERE l.period_id = :period AND l.kind = 'usage'
        GROUP BY l.service_id, l.member_id, m.id, l.price_id, l.step HAVING count(*) > 1""",
    "steps_are_filled": STEPS,
    "fees_and_minimums_are_due": DUE,
    "pool_is_sum_of_shares": """
        SELECT c.code, c.amount, coalesce(sum(l.amount), 0) FROM cost_pools c
        LEFT JOIN statement_lines l ON l.pool_id = c.id
        WHERE c.period_id = :period GROUP BY c.id HAVING coalesce(sum(l.amount), 0) <> c.amount""",
    "pool_is_sum_of_parts": """
        SELECT c.code, c.amount, c.declared + coalesce(sum(p.amount), 0) FROM cost_pools c
        LEFT JOIN cost_parts p ON p.pool_id = c.id
        WHERE c.period_id = :period GROUP BY c.id HAVING c.declared + coalesce(sum(p.amount), 0) <> c.amount""",
    "parts_are_entries": PARTS,
    "billing_is_in_force": f"""
        SELECT f.slug, f.mode, coalesce(t.billing, '—') FROM statements t JOIN periods p ON p.id = t.period_id,
        LATERAL ({billing.IN_FORCE.replace("CAST(:day AS date)", "to_date(p.label, 'YYYY-MM')")}) f
        WHERE t.period_id = :period AND f.id = t.member_id
        AND (f.mode, f.withheld) IS DISTINCT FROM (t.billing, t.withheld)""",  # noqa: S608
    "one_share_of_each_pool": """
        SELECT concat(c.code, ' ', m.slug), 1, count(l.id) FROM statements t JOIN members m ON m.id = t.member_id
        JOIN cost_pools c ON c.period_id = t.period_id
        LEFT JOIN statement_lines l ON l.statement_id = t.id AND l.pool_id = c.id
        WHERE t.period_id = :period GROUP BY c.id, m.id HAVING count(l.id) <> 1
        UNION ALL
        SELECT concat(c.code, ' ', m.slug), 0, 1 FROM statement_lines l JOIN members m ON m.id = l.member_id
        JOIN cost_pools c ON c.id = l.pool_id
        WHERE l.period_id = :period AND c.period_id <> :period""",
    "share_follows_the_key": SHARES,
    "cents_follow_remainders": CENTS,
    "who_left_does_not_weigh": """
        SELECT m.slug, w.due, t.weighs FROM statements t JOIN members m ON m.id = t.member_id,
        LATERAL (SELECT m.state = 'active' OR m.id IN (SELECT member_id FROM usage_intervals
            WHERE period_id = :period) AS due) w
        WHERE t.period_id = :period AND (w.due <> t.weighs OR (t.population IS NOT NULL AND NOT w.due))""",
    "key_is_in_force": """
        SELECT c.code, coalesce((SELECT concat(k.code, ' v', f.version) FROM allocation_keys f
            WHERE f.code = k.code AND f.during @> to_date(p.label, 'YYYY-MM')), '—'), concat(k.code, ' v', k.version)
        FROM cost_pools c JOIN allocation_keys k ON k.id = c.key_id JOIN periods p ON p.id = c.period_id
        WHERE c.period_id = :period AND NOT k.during @> to_date(p.label, 'YYYY-MM')""",
    "period_is_sum_of_statements": """
        SELECT p.label, p.usage + p.pools, p.stated FROM (SELECT label,
            (SELECT coalesce(sum(amount), 0) FROM statement_lines
                WHERE period_id = :period AND kind <> 'share') AS usage,
            (SELECT coalesce(sum(amount), 0) FROM cost_pools WHERE period_id = :period) AS pools,
            (SELECT coalesce(sum(total), 0) FROM statements WHERE period_id = :period) AS stated
            FROM periods WHERE id = :period) p
        WHERE p.usage + p.pools <> p.stated""",
    # No two prices at an instant, and none without: together that is one.
    "one_price_at_every_instant": f"""
        WITH {book()}, covering AS (
            SELECT meter_id, payer, range_agg(during) AS covered FROM book GROUP BY meter_id, payer)
        SELECT concat(m.code, ' ', p.payer), '1', (p.during * q.during)::text
        FROM book p JOIN book q ON q.meter_id = p.meter_id AND q.payer = p.payer AND q.during && p.during
            AND (q.price_id, lower(q.during)) > (p.price_id, lower(p.during)) JOIN meters m ON m.id = p.meter_id
        UNION ALL
        SELECT 'intervalle ' || u.id, '1', (tstzmultirange(u.during) - coalesce(c.covered, tstzmultirange()))::text
        FROM usage_intervals u JOIN meters m ON m.id = u.meter_id AND m.sku IS NOT NULL
        JOIN members y ON y.id = u.member_id
        LEFT JOIN covering c ON c.meter_id = u.meter_id AND c.payer = y.kind
        WHERE u.period_id = :period AND (c.covered @> u.during) IS NOT TRUE""",  # noqa: S608
    "interval_is_inside_period": """
        SELECT 'intervalle ' || u.id, p.during::text, u.during::text FROM usage_intervals u
        JOIN periods p ON p.id = u.period_id WHERE u.period_id = :period AND NOT p.during @> u.during""",
    "every_member_has_a_statement": """
        SELECT m.slug, 1, 0 FROM members m WHERE m.state = 'active'
        AND NOT EXISTS (SELECT FROM statements t WHERE t.period_id = :period AND t.member_id = m.id)""",
    **vat.CHECKS,
}
# Facts that came after the draft: what events say now and what is stored must be the same set.
STALE = f"""
SELECT 'ressource ' || d.resource_id, string_agg(d.during::text, ' ') FILTER (WHERE d.more > 0),
    string_agg(d.during::text, ' ') FILTER (WHERE d.more < 0)
FROM (SELECT resource_id, meter_id, quantity, during, sum(told) AS more FROM (
        SELECT resource_id, meter_id, quantity, during, 1 AS told FROM ({metering.DERIVED}) derived
        UNION ALL
        SELECT resource_id, meter_id, quantity, during, -1 FROM usage_intervals WHERE period_id = :period) both_sides
    GROUP BY resource_id, meter_id, quantity, during HAVING sum(told) <> 0) d
GROUP BY d.resource_id ORDER BY d.resource_id
"""  # noqa: S608  (no input in it)


def differences(session: Session, period: Period, until: datetime) -> list[Difference]:
    """Everything that does not add up in the drafted period; `until`: how far events must have been read."""
    # Proofs about closed months read those: only for a month that corrects any.
    proofs = CHECKS | (checks_adjustments.CHECKS if adjustments.any_of(session, period) else {})
    chosen = rating.parameters(period)
    found = [
        Difference(name, str(subject), str(expected), str(actual))
        for name, query in proofs.items()
        for subject, expected, actual in session.execute(sa.text(query), chosen)
    ]
    stale = session.execute(sa.text(STALE), metering.parameters(period, until))
    found += [Difference("intervals_are_events", str(s), e or "—", k or "—") for s, e, k in stale]
    for subject, due, kept in disputes.different(session, period):
        found.append(Difference("settlements_are_decided", subject, str(due or "—"), str(kept or "—")))
    late = adjustments.stale(session, period)
    return found + [Difference(check, s, str(e or "—"), str(k or "—")) for check, s, e, k in late]
