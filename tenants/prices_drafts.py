"""A tariff prepared in the pages: drafted, compared with what the last month cost, adopted for good.

Once adopted its prices are as those of a file: ended by the next ones, never rewritten.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator import audit
from orchestrator.errors import Conflict, InvalidInput, NotFound, Text
from tenants import prices
from tenants.prices import NewPrice, midnight
from tenants.tables import Meter, Period, Price, StatementLine
from tenants.tables_administration import PriceDraft

HOURLY = re.compile(r"[0-9]{1,10}([.,][0-9]{1,8})?")


@dataclass(frozen=True)
class Comparison:
    """What a period's usage cost, and would have cost at a draft's prices: in all, by meter and by member."""

    period: str
    before: Decimal
    after: Decimal
    meters: list[dict[str, Any]]
    members: list[dict[str, Any]]


def meters(session: Session) -> list[Meter]:
    """What has a price."""
    return list(session.scalars(sa.select(Meter).where(Meter.sku.is_not(None)).order_by(Meter.id)))


def current(session: Session, at: datetime) -> dict[str, Price]:
    """The price in force at `at`, by meter code."""
    query = sa.select(Meter.code, Price).join(Price, Price.meter_id == Meter.id).where(Price.during.contains(at))
    return {row.code: row.Price for row in session.execute(query)}


def write(session: Session, draft_id: int | None, book: str, starts: str, hourly: Mapping[str, str]) -> PriceDraft:
    """Make or change a draft. hourly: what was typed, by meter code; empty: that price stays.

    Raises InvalidInput invalid_price (faults by field: book, starts, hourly.<code>), Conflict draft_decided.
    """
    draft = PriceDraft(made_by=session.info["actor"]) if draft_id is None else _open(session, draft_id)
    known = {meter.code for meter in meters(session)}
    faults = (
        [] if 0 < len(book.strip()) <= 200 else [_fault("book", Text("un nom de 200 caractères au plus est attendu"))]
    )
    try:
        day = date.fromisoformat(starts)
    except ValueError:
        faults.append(_fault("starts", Text("une date est attendue")))
        day = date.max
    read: dict[str, str] = {}
    for code, typed in hourly.items():
        text = typed.strip()
        if text and (code not in known or not HOURLY.fullmatch(text)):
            faults.append(_fault(f"hourly.{code}", Text("un prix comme 0,0065 est attendu, huit décimales au plus")))
        elif text:
            read[code] = text.replace(",", ".")
    if not read and not faults:
        faults.append(_fault(f"hourly.{min(known)}", Text("au moins un prix est attendu")))
    if faults:
        raise InvalidInput("invalid_price", "Ce tarif est à corriger.", "Voyez les champs.", facts={"errors": faults})
    draft.book, draft.starts, draft.hourly = book.strip(), day, read
    session.add(draft)
    session.flush()
    detail = {"book": draft.book, "starts": str(day), "hourly": read}
    audit.record(session, "price.draft", f"price draft {draft.id}", detail=detail)
    return draft


def _fault(field: str, sentence: str) -> dict[str, str]:
    return {"parameter": field, "code": "invalid_price", "sentence": sentence}


def find(session: Session, draft_id: int, *, lock: bool = False) -> PriceDraft:
    """One draft; NotFound `not_found`."""
    found = session.get(PriceDraft, draft_id, with_for_update=lock, populate_existing=lock)
    if found is None:
        raise NotFound("not_found", "Cela n’existe pas, ou n’est pas à vous.", "Revenez à la liste.")
    return found


def listed(session: Session) -> list[PriceDraft]:
    """The drafts that wait, newest first."""
    query = sa.select(PriceDraft).where(PriceDraft.state == "draft").order_by(PriceDraft.id.desc())
    return list(session.scalars(query))


def _open(session: Session, draft_id: int) -> PriceDraft:
    draft = find(session, draft_id, lock=True)
    if draft.state != "draft":
        raise Conflict("draft_decided", "Ce tarif n’est plus un projet.", "Préparez-en un autre.")
    return draft


def discard(session: Session, draft_id: int, at: datetime) -> PriceDraft:
    """Give a draft up. Raises Conflict draft_decided."""
    return _decide(session, _open(session, draft_id), "discarded", at)


def adopt(session: Session, draft_id: int, timezone: str, at: datetime) -> PriceDraft:
    """Put a draft's prices in the book from its day on, at local midnight.

    Raises Conflict draft_decided, price_rewritten (a price begins that day already) or period_closed.
    """
    draft = _open(session, draft_id)
    prices.lock(session)
    new = _prices(session, draft, timezone)
    prices.refuse_in_closed_periods(session, new)
    prices.add(session, new, "made")
    return _decide(session, draft, "adopted", at)


def _prices(session: Session, draft: PriceDraft, timezone: str) -> list[NewPrice]:
    start = midnight(draft.starts, timezone)
    ids = {meter.code: meter.id for meter in meters(session)}
    new = []
    for code, hourly in draft.hourly.items():
        begins = sa.func.lower(Price.during)
        later = sa.select(sa.func.min(begins)).where(Price.meter_id == ids[code], begins >= start)
        end = session.scalar(later)
        if end == start:
            raise Conflict(
                "price_rewritten",
                Text(
                    "Un prix de « {meter} » commence déjà le {day} : il ne se récrit pas.", meter=code, day=draft.starts
                ),
                "Choisissez une autre date.",
            )
        new.append(NewPrice(code, start, end, Decimal(hourly), draft.book))
    return new


def _decide(session: Session, draft: PriceDraft, state: str, at: datetime) -> PriceDraft:
    draft.state, draft.decided_by, draft.decided_at = state, session.info["actor"], at
    session.flush()
    action = "price.adopt" if state == "adopted" else "price.discard"
    audit.record(session, action, f"price draft {draft.id}", detail={"book": draft.book})
    return draft


def compare(session: Session, hourly: Mapping[str, str]) -> Comparison | None:
    """What the newest period with statements would have cost at these prices; None when there is no such period.

    Each line is rounded to the cent as the statement rounds it; shared costs are left out, they don't change.
    """
    period = session.execute(
        sa.select(Period.id, Period.label)
        .where(sa.exists().where(StatementLine.period_id == Period.id, StatementLine.kind == "usage"))
        .order_by(Period.label.desc())
        .limit(1)
    ).one_or_none()
    if period is None:
        return None
    rows = session.execute(sa.text(COMPARED), {"period": period.id, "hourly": json.dumps(dict(hourly))}).all()
    return Comparison(
        period.label,
        sum((row.before for row in rows), Decimal("0.00")),
        sum((row.after for row in rows), Decimal("0.00")),
        _summed(rows, "meter", "label"),
        _summed(rows, "slug", "name"),
    )


# Rounded as `rating` rounds a line.
COMPARED = """
SELECT b.code AS meter, b.label, m.slug, m.name, sum(l.amount) AS before,
    sum(div(l.unit_seconds * coalesce((CAST(:hourly AS jsonb) ->> b.code)::numeric, p.hourly) * 100 + 1800, 3600)
        * 0.01) AS after
FROM statement_lines l JOIN meters b ON b.id = l.meter_id JOIN prices p ON p.id = l.price_id
JOIN members m ON m.id = l.member_id
WHERE l.period_id = :period AND l.kind = 'usage'
GROUP BY b.id, m.id ORDER BY b.id, m.name
"""


def _summed(rows: Any, key: str, name: str) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        one = found.setdefault(
            getattr(row, key),
            {key: getattr(row, key), name: getattr(row, name), "before": Decimal(0), "after": Decimal(0)},
        )
        one["before"] += row.before
        one["after"] += row.after
    return list(found.values())
