"""What a period must prove before it closes. Each check is a query that finds what does not add up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from tenants import metering
from tenants.rating import ROUNDED
from tenants.tables import Period

SECONDS = "extract(epoch FROM upper(during) - lower(during))"


@dataclass(frozen=True)
class Difference:
    """What `check` found at `subject`: what it should be and what it is, as texts."""

    check: str
    subject: str
    expected: str
    found: str


# Each gives (subject, expected, found) of whatever differs.
CHECKS = {
    "total_is_sum_of_lines": """
        SELECT m.slug, coalesce(sum(l.amount), 0), t.total FROM statements t JOIN members m ON m.id = t.member_id
        LEFT JOIN statement_lines l ON l.statement_id = t.id
        WHERE t.period_id = :period GROUP BY t.id, m.slug HAVING coalesce(sum(l.amount), 0) <> t.total""",
    "line_is_usage_times_price": f"""
        SELECT 'ligne ' || l.id, {ROUNDED}, l.amount FROM statement_lines l JOIN prices p ON p.id = l.price_id
        WHERE l.period_id = :period AND l.amount <> {ROUNDED}""",  # noqa: S608  (no input in it)
    "lines_are_intervals": f"""
        SELECT coalesce(u.service_id, l.service_id) || ' ' || m.code, u.held, l.billed FROM
            (SELECT r.service_id, i.meter_id, sum(i.quantity * {SECONDS}) AS held
                FROM usage_intervals i JOIN resources r ON r.id = i.resource_id JOIN meters b ON b.id = i.meter_id
                WHERE i.period_id = :period AND b.sku IS NOT NULL GROUP BY r.service_id, i.meter_id) u
        FULL JOIN
            (SELECT service_id, meter_id, sum(unit_seconds) AS billed FROM statement_lines
                WHERE period_id = :period AND kind = 'usage' GROUP BY service_id, meter_id) l
            ON l.service_id = u.service_id AND l.meter_id = u.meter_id
        JOIN meters m ON m.id = coalesce(u.meter_id, l.meter_id)
        WHERE u.held IS DISTINCT FROM l.billed""",  # noqa: S608
    "pool_is_sum_of_shares": """
        SELECT c.code, c.amount, coalesce(sum(l.amount), 0) FROM cost_pools c
        LEFT JOIN statement_lines l ON l.pool_id = c.id
        WHERE c.period_id = :period GROUP BY c.id HAVING coalesce(sum(l.amount), 0) <> c.amount""",
    "one_price_at_every_instant": """
        SELECT 'intervalle ' || u.id, extract(epoch FROM upper(u.during) - lower(u.during)), coalesce(sum(extract(epoch
            FROM least(upper(u.during), upper(p.during)) - greatest(lower(u.during), lower(p.during)))), 0)
        FROM usage_intervals u JOIN meters m ON m.id = u.meter_id AND m.sku IS NOT NULL
        LEFT JOIN prices p ON p.meter_id = u.meter_id AND p.during && u.during
        WHERE u.period_id = :period GROUP BY u.id
        HAVING coalesce(sum(extract(epoch FROM least(upper(u.during), upper(p.during))
            - greatest(lower(u.during), lower(p.during)))), 0)
            <> extract(epoch FROM upper(u.during) - lower(u.during))""",
    "interval_is_inside_period": """
        SELECT 'intervalle ' || u.id, p.during::text, u.during::text FROM usage_intervals u
        JOIN periods p ON p.id = u.period_id WHERE u.period_id = :period AND NOT p.during @> u.during""",
    "every_member_has_a_statement": """
        SELECT m.slug, 1, 0 FROM members m WHERE m.state = 'active'
        AND NOT EXISTS (SELECT FROM statements t WHERE t.period_id = :period AND t.member_id = m.id)""",
}
# Facts that came after the draft: what events say now and what is stored must be the same set.
STALE = f"""
WITH now AS (SELECT resource_id, meter_id, quantity, during FROM ({metering.DERIVED}) derived),
    kept AS (SELECT resource_id, meter_id, quantity, during FROM usage_intervals WHERE period_id = :period)
SELECT 'ressource ' || d.resource_id, string_agg(d.during::text, ' ') FILTER (WHERE d.told),
    string_agg(d.during::text, ' ') FILTER (WHERE NOT d.told)
FROM ((SELECT *, true AS told FROM (TABLE now EXCEPT TABLE kept) more)
    UNION ALL (SELECT *, false FROM (TABLE kept EXCEPT TABLE now) less)) d
GROUP BY d.resource_id ORDER BY d.resource_id
"""  # noqa: S608  (no input in it)


def differences(session: Session, period: Period, until: datetime) -> list[Difference]:
    """Everything that does not add up in the drafted period; `until`: how far events must have been read."""
    found = [
        Difference(name, str(subject), str(expected), str(actual))
        for name, query in CHECKS.items()
        for subject, expected, actual in session.execute(sa.text(query), {"period": period.id})
    ]
    stale = session.execute(sa.text(STALE), metering.parameters(period, until))
    return found + [Difference("intervals_are_events", str(s), e or "—", k or "—") for s, e, k in stale]
