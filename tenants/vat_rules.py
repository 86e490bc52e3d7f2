"""The data that VAT follows: rates, words of the law, unit costs; each with its day, its source, when it was checked.

A row is never rewritten: a newer one of the same day takes its place, and a sealed statement keeps what it said.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator import audit
from orchestrator.errors import N_, InvalidInput
from tenants import contracts
from tenants.contracts import Fault, month
from tenants.tables import Meter
from tenants.tables_vat import TEXTS, LegalText, UnitCost, VatRate

RATE = re.compile(r"[0-9]{1,2}([.,][0-9]{1,2})?")
HOURLY = re.compile(r"[0-9]{1,9}([.,][0-9]{1,8})?")
MOST = 500
NOUNS: dict[type, str] = {VatRate: "vat rate", LegalText: "legal text", UnitCost: "unit cost"}
Row = TypeVar("Row", VatRate, LegalText, UnitCost)


def rates(session: Session) -> list[VatRate]:
    """Every rate, newest first."""
    return list(session.scalars(sa.select(VatRate).order_by(VatRate.since.desc(), VatRate.id.desc())))


def texts(session: Session) -> list[LegalText]:
    """Every text, by code in the order of TEXTS, newest first."""
    found = session.scalars(sa.select(LegalText).order_by(LegalText.since.desc(), LegalText.id.desc()))
    return sorted(found, key=lambda text: TEXTS.index(text.code))


def costs(session: Session) -> list[tuple[UnitCost, Meter]]:
    """Every unit cost with its meter, by meter, newest first."""
    query = sa.select(UnitCost, Meter).join(Meter, Meter.id == UnitCost.meter_id)
    return [
        (cost, meter)
        for cost, meter in session.execute(query.order_by(Meter.id, UnitCost.since.desc(), UnitCost.id.desc()))
    ]


def add_rate(session: Session, given: Mapping[str, Any]) -> VatRate:
    """A rate from a day on. Raises InvalidInput invalid_vat_rule (faults by field)."""
    faults: list[Fault] = []
    values = _common(given, faults)
    values["rate"] = _decimal(given, "rate", RATE, faults)
    if not faults and not 0 < values["rate"] < 100:
        faults.append(_fault("rate", "invalid_number"))
    return _add(session, VatRate, values, faults, "vat.rate")


def add_text(session: Session, given: Mapping[str, Any]) -> LegalText:
    """What accounts say from a day on: `code`, `fr`, `en`. Raises InvalidInput invalid_vat_rule."""
    faults: list[Fault] = []
    values = _common(given, faults)
    values["code"] = str(given.get("code") or "")
    values["text"] = {language: _text(given, language, faults) for language in ("fr", "en")}
    if values["code"] not in TEXTS:
        faults.append(_fault("code", "unknown_code"))
    return _add(session, LegalText, values, faults, "vat.text")


def add_cost(session: Session, given: Mapping[str, Any]) -> UnitCost:
    """What a unit of `meter` costs an hour, from a month on. Raises InvalidInput invalid_vat_rule."""
    faults: list[Fault] = []
    meter = session.scalar(sa.select(Meter).where(Meter.code == str(given.get("meter") or ""), Meter.sku.is_not(None)))
    values = {"since": month(str(given.get("since") or "")), "source": _text(given, "source", faults),
              "hourly": _decimal(given, "hourly", HOURLY, faults), "meter_id": meter and meter.id}  # fmt: skip
    if values["since"] is None:
        faults.append(_fault("since", "invalid_month"))
    if meter is None:
        faults.append(_fault("meter", "unknown_code"))
    return _add(session, UnitCost, values, faults, "vat.cost")


def _add(session: Session, kind: type[Row], values: dict[str, Any], faults: list[Fault], action: str) -> Row:
    if faults:
        raise InvalidInput(
            "invalid_vat_rule",
            "Cette règle n’est pas décrite comme il faut.",
            "Corrigez les champs signalés ; rien n’a été changé.",
            facts={"errors": faults},
        )
    row = kind(made_by=str(session.info["actor"]), **values)
    session.add(row)
    session.flush()
    said = {name: value if isinstance(value, dict) else str(value) for name, value in values.items()}
    audit.record(session, action, f"{NOUNS[kind]} {row.id}", detail=said)
    return row


def _common(given: Mapping[str, Any], faults: list[Fault]) -> dict[str, Any]:
    checked = str(given.get("checked_on") or "")
    values = {"since": _day(str(given.get("since") or "")), "source": _text(given, "source", faults),
              "checked_on": _day(checked)}  # fmt: skip
    faults += [_fault(name, "invalid_day") for name, asked in (("since", True), ("checked_on", bool(checked)))
               if asked and values[name] is None]  # fmt: skip
    return values


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _text(given: Mapping[str, Any], name: str, faults: list[Fault]) -> str:
    text = " ".join(str(given.get(name) or "").split())
    if not 0 < len(text) <= MOST:
        faults.append(_fault(name, "invalid_text"))
    return text


def _decimal(given: Mapping[str, Any], name: str, form: re.Pattern[str], faults: list[Fault]) -> Decimal:
    text = str(given.get(name) or "").strip()
    if not form.fullmatch(text):
        faults.append(_fault(name, "invalid_number"))
        return Decimal(0)
    return Decimal(text.replace(",", "."))


SENTENCES = {
    "invalid_day": N_("Un jour est attendu, comme 2026-10-01."),
    "invalid_month": N_("Un mois est attendu, comme 2026-10."),
    "invalid_number": N_("Un nombre est attendu, comme 20 ou 0.0065."),
    "invalid_text": N_("Un texte est attendu, de 500 caractères au plus."),
    "unknown_code": N_("Choisissez parmi ce qui est proposé."),
}


def _fault(field: str, code: str) -> Fault:
    return {"parameter": field, "code": code, "sentence": SENTENCES[code], "action": ""}


def whole(session: Session, today: date) -> dict[str, Any]:
    """Everything that VAT follows: members with their regime today, rates, texts, unit costs by their meter."""
    members = [
        {"member": member.slug, "name": member.name, "regime": regime, "since": contract and contract.since,
         "reference": contract and contract.reference}
        for member, contract, regime in contracts.of_all(session, today)
    ]  # fmt: skip
    found = [{"meter": meter.code, "since": cost.since.isoformat(), "hourly": f"{cost.hourly:f}", "source": cost.source,
              "made_by": cost.made_by} for cost, meter in costs(session)]  # fmt: skip
    return {"members": members, "rates": rates(session), "texts": texts(session), "costs": found}
