"""The price book as queries read it: which price holds for which member when, and which step for which quantity.

A price for the member's kind stands before the general one while it lasts. Steps are of a member's whole quantity of a
meter at a price, all services together: the first units are those of its oldest service, then the next one's. A step's
bound is units held all the time that the price holds in the month, so that a price of half a month has half of each
step, and how use is cut into intervals or services changes nothing.
"""

from __future__ import annotations

from orchestrator.tables import MEMBER_KINDS

KEPT = "SELECT id AS price_id, meter_id, member_kind, during, hourly, steps FROM prices"
# Rounded once for each line, half up (EN 16931), by whole division: a quotient with an end could round twice.
ROUNDED = "div(unit_seconds * hourly * 100 + 1800, 3600) * 0.01"
# A statement's line `l` at a price `p` costs this for an hour.
HOURLY = "CASE WHEN l.step IS NULL THEN p.hourly ELSE (p.steps -> (l.step - 1)::int ->> 'hourly')::numeric END"
PAYERS = ", ".join(f"('{kind}')" for kind in MEMBER_KINDS)


def book(entries: str = KEPT) -> str:
    """The tables `book` (for each `payer`, a kind of members, prices that never overlap) and `ladder` (the bounds of
    steps in unit-seconds), of a month from :starts to :ends. entries: the query of the prices.
    """
    return f"""
entries AS MATERIALIZED ({entries}),
special AS (
    SELECT meter_id, member_kind, range_agg(during) AS covered FROM entries
    WHERE member_kind IS NOT NULL GROUP BY meter_id, member_kind
), book AS MATERIALIZED (
    SELECT price_id, meter_id, member_kind AS payer, during, hourly, steps FROM entries WHERE member_kind IS NOT NULL
    UNION ALL
    SELECT e.price_id, e.meter_id, y.payer, piece, e.hourly, e.steps
    FROM entries e CROSS JOIN (VALUES {PAYERS}) y (payer)
    LEFT JOIN special s ON s.meter_id = e.meter_id AND s.member_kind = y.payer
    CROSS JOIN LATERAL unnest(tstzmultirange(e.during) - coalesce(s.covered, tstzmultirange())) piece
    WHERE e.member_kind IS NULL
), lasting AS (
    SELECT price_id, payer, steps, sum(extract(epoch FROM upper(part) - lower(part))) AS seconds
    FROM (SELECT *, during * tstzrange(:starts, :ends) AS part FROM book WHERE steps IS NOT NULL) parts
    WHERE NOT isempty(part) GROUP BY price_id, payer, steps
), ladder AS MATERIALIZED (
    SELECT p.price_id, p.payer, s.place AS step, (s.one ->> 'hourly')::numeric AS hourly,
        (s.one ->> 'above')::numeric * p.seconds AS low,
        lead((s.one ->> 'above')::numeric) OVER (PARTITION BY p.price_id, p.payer ORDER BY s.place) * p.seconds AS high
    FROM lasting p, jsonb_array_elements(p.steps) WITH ORDINALITY s (one, place)
)"""  # noqa: S608  (no input in it)


def stepped(columns: str, within: str = "") -> str:
    """The tables that cut `used` into `lines`: step, hourly and unit_seconds of each. columns: those that a line keeps,
    with service_id, member_id, price_id; within: what else tells lines apart, as `, at`.
    """
    kept = ", ".join(f"u.{name.strip()}" for name in columns.split(","))
    return f"""
placed AS (
    SELECT *, sum(unit_seconds) OVER (PARTITION BY member_id, price_id{within} ORDER BY service_id) AS upto
    FROM used WHERE in_steps
), lines AS (
    SELECT {columns}, CAST(NULL AS bigint) AS step, hourly, unit_seconds FROM used WHERE NOT in_steps
    UNION ALL
    SELECT {kept}, l.step, l.hourly, trim_scale(least(u.upto, l.high) - greatest(u.upto - u.unit_seconds, l.low))
    FROM placed u JOIN ladder l ON l.price_id = u.price_id AND l.payer = u.payer
        AND l.low < u.upto AND (l.high IS NULL OR l.high > u.upto - u.unit_seconds)
)"""  # noqa: S608  (no input in it)
