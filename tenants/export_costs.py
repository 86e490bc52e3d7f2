"""What one service cost, as statements: its lines of the closed ones, then of the months that are not closed yet."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator.tables import Member, Service
from tenants import costs, metering, periods
from tenants.statements import Document
from tenants.tables import Period

# Cut out where they are: a big member's statement is a megabyte.
CLOSED = sa.text("""
SELECT s.document::jsonb - '{lines,usage,shares,adjustments,previous_hash}'::text[] AS head, s.hash, l.lines
FROM statements s JOIN periods p ON p.id = s.period_id CROSS JOIN LATERAL (
    SELECT jsonb_agg(line ORDER BY (line ->> 'position')::int) AS lines
    FROM jsonb_array_elements(s.document::jsonb -> 'lines') line WHERE line ->> 'service_ref' = :ref) l
WHERE s.member_id = :member AND p.state = 'closed' AND NOT p.sample AND l.lines IS NOT NULL
ORDER BY p.label
""")
DRAFT = f"""{costs.LINES}
SELECT m.code AS meter, m.label ->> 'fr' AS label, m.unit, p.book, lower(p.during) AS since, r.hourly, r.unit_seconds,
    r.amount
FROM rounded r JOIN prices p ON p.id = r.price_id JOIN meters m ON m.id = r.meter_id ORDER BY m.id, since
"""  # noqa: S608  (no input in it)


def documents(session: Session, service: Service, member: Member, at: datetime, timezone: str) -> list[Document]:
    """The closed months in which it cost something, then each that is not closed, up to `at`, as a draft."""
    closed = session.execute(CLOSED, {"member": member.id, "ref": str(service.ref)})
    found = [{**row.head, "lines": row.lines, "total": _sum(row.lines), "statement_hash": row.hash} for row in closed]
    return found + [
        _draft(session, service, member, period, min(at, period.during.upper))
        for period in _open(session, service.created_at, at, timezone)
        if period.during.upper and period.during.lower and period.during.lower < at
    ]


def _open(session: Session, since: datetime, at: datetime, timezone: str) -> Iterator[Period]:
    """The months from one instant to another that are not closed."""
    known = {row.label: row for row in session.scalars(sa.select(Period).where(~Period.sample))}
    label, last = periods.label_of(since, timezone), periods.label_of(at, timezone)
    while label <= last:
        period = known.get(label) or Period(label=label, during=periods.bounds(label, timezone), sample=False)
        if period.state != "closed":
            yield period
        assert period.during.upper
        label = periods.label_of(period.during.upper, timezone)


def _draft(session: Session, service: Service, member: Member, period: Period, until: datetime) -> Document:
    given = metering.parameters(period, until, service_id=service.id)
    query = sa.text(DRAFT.format(source=metering.DERIVED))
    rows = session.execute(query, given | costs.parameters_of([(None, until)]) | {"now": until}).mappings()
    lines = [_line(position, service, row) for position, row in enumerate(rows, 1)]
    assert period.during.lower
    return {
        "period": period.label, "from": _instant(period.during.lower), "until": _instant(until),
        "metered_until": _instant(until), "state": "draft", "sample": False, "currency": "EUR",
        "member": {"slug": member.slug, "name": member.name, "siren": member.siren, "siret": member.siret},
        "lines": lines, "total": _sum(lines),
    }  # fmt: skip


def _line(position: int, service: Service, row: Any) -> Document:
    return {
        "position": position, "kind": "usage", "amount": f"{row['amount']:.2f}", "service": service.name,
        "service_ref": str(service.ref), "meter": row["meter"], "label": row["label"], "unit": row["unit"],
        "unit_seconds": f"{row['unit_seconds']:f}", "hourly": f"{row['hourly']:f}", "book": row["book"],
        "price_from": _instant(row["since"]),
    }  # fmt: skip


def _sum(lines: list[Document]) -> str:
    return str(sum((Decimal(line["amount"]) for line in lines), Decimal("0.00")))


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
