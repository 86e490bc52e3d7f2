"""The fees and minimums of a month worked out again, from events and lines: a query that finds what does not add up."""

from __future__ import annotations

from tenants import rating
from tenants.prices_book import book


def due(*, fees: str, used: str, billed: str) -> str:
    """The tables and the query, without its WITH: (subject, what is due, what was billed), where they differ.

    fees: as `rating.FEES`; used: euros of use by member_id and service_id; billed: kind, member_id, service_id,
    price_id, amount. What is due to a month: at least the minimum, whatever was used.
    """
    return f"""{book()}, {fees}, owed AS ({rating.DUE}), used AS ({used}),
    raised AS (SELECT u.member_id, u.service_id, o.price_id, u.amount,
            greatest(coalesce(o.amount, 0) - u.amount, 0) AS lacks
        FROM used u JOIN members y ON y.id = u.member_id
        LEFT JOIN owed o ON o.payer = y.kind AND o.code = 'minimum_service'),
    wholes AS (SELECT r.member_id, CAST(NULL AS bigint) AS service_id, o.price_id,
            greatest(o.amount - sum(r.amount + r.lacks), 0) AS lacks
        FROM raised r JOIN members y ON y.id = r.member_id
        JOIN owed o ON o.payer = y.kind AND o.code = 'minimum_member'
        GROUP BY r.member_id, o.price_id, o.amount),
    due AS (SELECT 'fee' AS kind, member_id, service_id, price_id, amount FROM fees
        UNION ALL SELECT 'minimum', member_id, service_id, price_id, lacks FROM raised WHERE lacks > 0
        UNION ALL SELECT 'minimum', member_id, service_id, price_id, lacks FROM wholes WHERE lacks > 0),
    billed AS ({billed})
SELECT concat(kind, ' ', member_id, ' ', service_id), max(amount) FILTER (WHERE told),
    max(amount) FILTER (WHERE NOT told)
FROM (SELECT *, true AS told FROM (TABLE due EXCEPT ALL TABLE billed) less
    UNION ALL SELECT *, false FROM (TABLE billed EXCEPT ALL TABLE due) more) d
GROUP BY kind, member_id, service_id, price_id"""  # noqa: S608  (no input in it)
