"""A tariff prepared in the pages: drafted, compared with what a month cost, adopted for good once members were told.

Once adopted its prices are as those of a file: ended by the next ones, never rewritten.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from pydantic import ValidationError
from sqlalchemy.orm import Session

from orchestrator import audit
from orchestrator.errors import Conflict, InvalidInput, NotFound, Text
from orchestrator.tables import MEMBER_KINDS
from tenants import finance, prices
from tenants.prices import NewPrice, midnight
from tenants.tables import Meter, Price
from tenants.tables_administration import PriceDraft

HOURLY = re.compile(r"[0-9]{1,10}([.,][0-9]{1,8})?")


def meters(session: Session) -> list[Meter]:
    """What has a price."""
    return list(session.scalars(sa.select(Meter).where(Meter.sku.is_not(None)).order_by(Meter.id)))


def current(session: Session, at: datetime, kind: str | None = None) -> dict[str, Price]:
    """The price in force at `at`, by meter code: that for a kind of members, or else the general one."""
    query = (
        sa.select(Meter.code, Price)
        .join(Price, Price.meter_id == Meter.id)
        .where(Price.during.contains(at), Price.member_kind.is_(None) | (Price.member_kind == kind))
        .order_by(Price.member_kind.nulls_first())  # the later of a meter stays
    )
    return {row.code: row.Price for row in session.execute(query)}


def write(
    session: Session, draft_id: int | None, book: str, starts: str, hourly: Mapping[str, Any], kind: str | None = None
) -> PriceDraft:
    """Make or change a draft. hourly: what was typed, by meter code: a price, or {price, free, steps: [{above,
    price}]}; empty: that price stays. kind: of the members that it is for; None, all.

    Raises InvalidInput invalid_price (faults by field: book, starts, kind, hourly.<code>), Conflict draft_decided.
    """
    draft = PriceDraft(made_by=session.info["actor"]) if draft_id is None else _open(session, draft_id)
    faults = (
        [] if 0 < len(book.strip()) <= 200 else [_fault("book", Text("un nom est attendu, de 200 caractères au plus"))]
    )
    day = _day("starts", starts, faults)
    if kind is not None and kind not in MEMBER_KINDS:
        faults.append(_fault("kind", Text("un genre de membres est attendu")))
    known, read = [meter.code for meter in meters(session)], dict[str, Any]()
    for code, typed in hourly.items():
        if wanted := _terms(code, typed, known, faults):
            read[code] = wanted
    if not read and not faults:
        faults.append(_fault(f"hourly.{known[0]}", Text("au moins un prix est attendu")))
    _refuse(faults)
    draft.book, draft.starts, draft.hourly, draft.member_kind = book.strip(), day, read, kind
    session.add(draft)
    session.flush()
    detail = {"book": draft.book, "starts": str(day), "hourly": read} | ({"for": kind} if kind else {})
    audit.record(session, "price.draft", f"price draft {draft.id}", detail=detail)
    return draft


def _terms(code: str, typed: Any, known: list[str], faults: list[dict[str, str]]) -> Any:
    """A price as a draft keeps it; None where nothing was typed."""
    given: dict[str, Any] = {"price": typed} if isinstance(typed, str) else dict(typed)
    free, steps = str(given.get("free") or "").strip(), given.get("steps") or []
    price = str(given.get("price") or "").strip()
    if not price and not free and not steps:
        return None
    if code not in known or not HOURLY.fullmatch(price):
        faults.append(_fault(f"hourly.{code}", Text("un prix comme 0,0065 est attendu, huit décimales au plus")))
        return None
    read = [{name: _point(str(step.get(name, ""))) for name in ("above", "price")} for step in steps]
    wanted = {"price": _point(price), "free": _point(free or "0"), "steps": read}
    try:
        ladder = finance.Terms.model_validate(wanted).ladder
    except ValidationError:
        told = Text("une franchise, puis des paliers qui croissent, comme 100 : 0,005, sont attendus")
        faults.append(_fault(f"steps.{code}", told))
        return None
    return wanted if ladder else wanted["price"]


def _point(typed: str) -> str:
    return typed.strip().replace(",", ".")


def _day(field: str, typed: str, faults: list[dict[str, str]]) -> date:
    try:
        return date.fromisoformat(typed)
    except ValueError:
        faults.append(_fault(field, Text("une date est attendue")))
        return date.max


def _refuse(faults: list[dict[str, str]]) -> None:
    if faults:
        raise InvalidInput("invalid_price", "Ce tarif est à corriger.", "Voyez les champs.", facts={"errors": faults})


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


def adopt(session: Session, draft_id: int, timezone: str, at: datetime, told_on: str) -> PriceDraft:
    """Put a draft's prices in the book from its day on, at local midnight. told_on: the day when members were told.

    Raises Conflict draft_decided, price_rewritten (a price begins that day already) or period_closed, InvalidInput
    invalid_price (field told_on: no day, or one to come).
    """
    draft, faults = _open(session, draft_id), list[dict[str, str]]()
    told = _day("told_on", told_on, faults)
    if not faults and told > at.astimezone(ZoneInfo(timezone)).date():
        faults.append(_fault("told_on", Text("un jour passé est attendu : celui où les membres l’ont su")))
    _refuse(faults)
    draft.told_on = told
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
        for_whom = Price.member_kind.is_not_distinct_from(draft.member_kind)
        later = sa.select(sa.func.min(begins)).where(Price.meter_id == ids[code], for_whom, begins >= start)
        end = session.scalar(later)
        if end == start:
            raise Conflict(
                "price_rewritten",
                Text(
                    "Un prix de « {meter} » commence déjà le {day} : il ne se récrit pas.", meter=code, day=draft.starts
                ),
                "Choisissez une autre date.",
            )
        terms = finance.Terms.model_validate(finance.as_terms(hourly))
        new.append(NewPrice(code, start, end, terms, draft.book, draft.member_kind, draft.told_on))
    return new


def _decide(session: Session, draft: PriceDraft, state: str, at: datetime) -> PriceDraft:
    draft.state, draft.decided_by, draft.decided_at = state, session.info["actor"], at
    session.flush()
    told = {"told_on": str(draft.told_on)} if draft.told_on else {}
    action = "price.adopt" if state == "adopted" else "price.discard"
    audit.record(session, action, f"price draft {draft.id}", detail={"book": draft.book} | told)
    return draft
