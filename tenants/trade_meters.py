"""What stacks count of their trade and bill: meters of their own, with a SKU in the price book.

A stack bills what its `price` names; the rest it counts for information. A meter comes into the book with the first
offer of its stack that bills it, and stays.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator.errors import Conflict, Text
from orchestrator.tables_usage import code as code_of
from tenants.tables import Meter

FIRST, LAST = 20, 99  # their numbers: an interval's key has room for two digits


def ensure(session: Session, stack: dict[str, Any] | None) -> None:
    """Have a meter for all that a stack bills. Raises Conflict too_many_meters."""
    billed = {component["meter"] for component in (stack or {}).get("price", [])}
    for meter in (stack or {}).get("meters", []):
        if meter["code"] in billed:
            _add(session, stack["slug"] if stack else "", meter)


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
