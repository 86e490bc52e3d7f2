"""What a past month would have cost at a draft's prices: its stored usage rated again, beside what was stated.

By the same query that writes statements (`rating.rated`), over the price book with the draft's prices in place of those
for the same members, for the whole month. Shared costs are left out: they don't change. Nothing is written.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator.errors import NotFound, Text
from tenants import finance, rating
from tenants.tables import Period, StatementLine
from tenants.tables_administration import PriceDraft

# A price that is not kept yet has the number of its meter below zero.
ENTRIES = """
SELECT p.id AS price_id, p.meter_id, p.member_kind, p.during, p.hourly, p.steps FROM prices p
WHERE NOT EXISTS (SELECT FROM jsonb_to_recordset(CAST(:drafted AS jsonb)) d (meter text)
    JOIN meters m ON m.code = d.meter
    WHERE m.id = p.meter_id AND p.member_kind IS NOT DISTINCT FROM CAST(:kind AS text))
UNION ALL
SELECT -m.id, m.id, CAST(:kind AS text), tstzrange(:starts, :ends), d.hourly, d.steps
FROM jsonb_to_recordset(CAST(:drafted AS jsonb)) d (meter text, hourly numeric, steps jsonb)
JOIN meters m ON m.code = d.meter"""
COMPARED = f"""
WITH {rating.rated(ENTRIES)}, sums AS (
    SELECT member_id, meter_id, sum(amount) AS after, 0.00 AS before FROM rated GROUP BY member_id, meter_id
    UNION ALL
    SELECT member_id, meter_id, 0.00, sum(amount) FROM statement_lines
    WHERE period_id = :period AND kind <> 'share' GROUP BY member_id, meter_id
)
SELECT b.code AS meter, b.label, m.slug, m.name, sum(s.before) AS before, sum(s.after) AS after
FROM sums s JOIN meters b ON b.id = s.meter_id JOIN members m ON m.id = s.member_id
GROUP BY b.id, m.id ORDER BY b.id, m.name
"""  # noqa: S608  (no input in it)


@dataclass(frozen=True)
class Comparison:
    """What a period's usage cost, and would have cost at a draft's prices: in all, by meter, by member, and of each
    member by meter (`cells`). periods: those that could be compared, newest first.
    """

    period: str
    before: Decimal
    after: Decimal
    meters: list[dict[str, Any]]
    members: list[dict[str, Any]]
    cells: list[dict[str, Any]]
    periods: list[str]


def compare(session: Session, draft: PriceDraft, label: str | None = None) -> Comparison | None:
    """What the month `label`, or else the newest with statements, would have cost; None when there is no such month.

    Raises NotFound unknown_period, when that month has no statements.
    """
    stated = sa.exists().where(StatementLine.period_id == Period.id, StatementLine.kind == "usage")
    found = {p.label: p for p in session.scalars(sa.select(Period).where(stated).order_by(Period.label.desc()))}
    if label is None and not found:
        return None
    period = found.get(label or next(iter(found)))
    if period is None:
        raise NotFound("unknown_period", Text("{month} n’a pas de relevés.", month=label), "Choisissez un autre mois.")
    chosen = rating.parameters(period) | {"drafted": json.dumps(_entries(draft)), "kind": draft.member_kind}
    rows = session.execute(sa.text(COMPARED), chosen).all()
    return Comparison(
        period.label,
        sum((row.before for row in rows), Decimal("0.00")),
        sum((row.after for row in rows), Decimal("0.00")),
        _summed(rows, "meter", "label"),
        _summed(rows, "slug", "name"),
        [dict(row._mapping) for row in rows],
        list(found),
    )


def _entries(draft: PriceDraft) -> list[dict[str, Any]]:
    read = {code: finance.Terms.model_validate(finance.as_terms(value)) for code, value in draft.hourly.items()}
    return [{"meter": code, "hourly": str(terms.price), "steps": terms.ladder} for code, terms in read.items()]


def _summed(rows: Any, key: str, name: str) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        first = {key: getattr(row, key), name: getattr(row, name), "before": Decimal(0), "after": Decimal(0)}
        one = found.setdefault(getattr(row, key), first)
        one["before"] += row.before
        one["after"] += row.after
    return list(found.values())
