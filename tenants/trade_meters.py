"""What stacks count of their trade and bill: meters of their own, with a SKU in the price book.

A stack bills what its `price` names; the rest it counts for information. A meter comes into the book with the first
offer of its stack that bills it, and stays.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB, distinct_on
from sqlalchemy.orm import Session

from orchestrator.errors import Conflict, Text
from orchestrator.tables_usage import MeterSample
from orchestrator.tables_usage import code as code_of
from tenants.tables import Meter, Offer

FIRST, LAST = 20, 99  # their numbers: an interval's key has room for two digits


def ensure(session: Session, stack: dict[str, Any] | None) -> None:
    """Have a meter for all that a stack bills. Raises Conflict too_many_meters."""
    billed = {component["meter"] for component in (stack or {}).get("price", [])}
    for meter in (stack or {}).get("meters", []):
        if meter["code"] in billed:
            _add(session, stack["slug"] if stack else "", meter)


def counts(session: Session, service_id: int, stack: dict[str, Any] | None) -> list[dict[str, Any]]:
    """What a service's application counted last: label and unit as its stack has them, quantity, at, billed."""
    newest = (
        sa.select(MeterSample)
        .where(MeterSample.service_id == service_id)
        .ext(distinct_on(MeterSample.meter))
        .order_by(MeterSample.meter, MeterSample.at.desc())
    )
    found = {sample.meter: sample for sample in session.scalars(newest)} if stack else {}
    billed = {component["meter"] for component in (stack or {}).get("price", [])}
    return [
        {"label": meter["label"], "unit": meter["unit"], "quantity": sample.quantity, "at": sample.at,
         "billed": meter["code"] in billed}
        for meter in (stack or {}).get("meters", [])
        if (sample := found.get(code_of(stack["slug"] if stack else "", meter["code"])))
    ]  # fmt: skip


def labels(session: Session) -> dict[str, dict[str, str]]:
    """What stacks call each of their meters that is in the book, by language."""
    query = sa.select(Meter.code, Meter.label).where(Meter.id.between(FIRST, LAST))
    return {row.code: row.label for row in session.execute(query)}


def units(session: Session) -> dict[str, dict[str, str]]:
    """The units of those meters by what they are in French, which is what the book has of them; by language."""
    meters = sa.func.jsonb_array_elements(Offer.stack["meters"]).table_valued(sa.column("value", JSONB))
    query = sa.select(meters.c.value["unit"]).select_from(Offer).join(meters, sa.true()).where(Offer.kind == "stack")
    return {one["fr"]: one for one in session.scalars(query.distinct())}


def _add(session: Session, slug: str, meter: dict[str, Any]) -> None:
    code = code_of(slug, meter["code"])
    if session.scalar(sa.select(Meter.id).where(Meter.code == code)):
        return
    last = session.scalar(sa.select(sa.func.max(Meter.id)))
    number = max(last or 0, FIRST - 1) + 1
    if number > LAST:
        raise Conflict(
            "too_many_meters",
            Text("« {meter} » ne se facture pas : il y a déjà {most} compteurs.", meter=code, most=LAST),
            "Retirez-le de « price » dans la pile.",
        )
    label = {language: f"{words} ({slug})" for language, words in meter["label"].items()}
    session.add(Meter(id=number, code=code, unit=meter["unit"]["fr"], sku=code.replace("_", "-"), label=label))
    session.flush()
