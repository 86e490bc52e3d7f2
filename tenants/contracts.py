"""What is agreed with a member: which VAT, under which contract, and how an invoice finds its way to it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session
from stdnum.eu import vat as vat_numbers

from orchestrator import audit
from orchestrator.errors import N_, Conflict, InvalidInput, Text
from orchestrator.tables import Member
from tenants import reading
from tenants.tables import REGIMES, Period
from tenants.tables_vat import Contract

# How long each text may be; of the last two EN 16931 says nothing, Chorus Pro does.
TEXTS = {"reference": 100, "vat_number": 20, "street": 200, "postcode": 10, "city": 100, "service_code": 100,
         "engagement": 50}  # fmt: skip
FLAGS = ("service_required", "engagement_required")
Fault = dict[str, str]


def listed(session: Session, slug: str) -> list[Contract]:
    """A member's contracts, the one in force last of all first. Raises NotFound unknown_member."""
    member = reading.member(session, slug)
    query = sa.select(Contract).where(Contract.member_id == member.id)
    return list(session.scalars(query.order_by(Contract.since.desc(), Contract.id.desc())))


def of_all(session: Session, on: date) -> list[tuple[Member, Contract | None, str]]:
    """Every active member with its contract and its regime on that day, by name."""
    query = sa.select(Contract).where(Contract.since <= on).order_by(Contract.since, Contract.id)
    held = {contract.member_id: contract for contract in session.scalars(query)}
    members = session.scalars(sa.select(Member).where(Member.state == "active").order_by(Member.name))
    return [(member, held.get(member.id), regime(member.kind, held.get(member.id))) for member in members]


def regime(kind: str, contract: Contract | None) -> str:
    """As `tenants.vat.TERMS` finds it: companies pay VAT, public bodies do not unless their contract says so."""
    if kind == "company":
        return "normal"
    return contract.regime if contract else "out_of_scope"


def write(session: Session, slug: str, given: Mapping[str, Any]) -> Contract:
    """Agree on something new from a month on (`since`: 2026-10); what was before stays for the months before.

    Raises NotFound unknown_member, InvalidInput invalid_contract (faults by field), Conflict period_closed.
    """
    member = reading.member(session, slug)
    values, faults = _read(given, member)
    if faults:
        raise InvalidInput(
            "invalid_contract",
            "Ce contrat n’est pas décrit comme il faut.",
            "Corrigez les champs signalés ; rien n’a été changé.",
            facts={"errors": faults},
        )
    _refuse_closed(session, values["since"])
    contract = Contract(member_id=member.id, made_by=str(session.info["actor"]), **values)
    session.add(contract)
    session.flush()
    detail = {"regime": contract.regime, "since": contract.since.isoformat(), "reference": contract.reference}
    audit.record(session, "contract.make", f"contract {contract.id}", member_id=member.id, detail=detail)
    return contract


def _read(given: Mapping[str, Any], member: Member) -> tuple[dict[str, Any], list[Fault]]:
    values: dict[str, Any] = {name: str(given.get(name) or "").strip() or None for name in TEXTS}
    values |= {name: given.get(name) in (True, "1", "true", "on") for name in FLAGS}
    values |= {"regime": str(given.get("regime") or ""), "since": month(str(given.get("since") or ""))}
    rules: tuple[tuple[str, bool, str, str], ...] = (
        ("since", values["since"] is not None, "invalid_month", N_("Un mois est attendu, comme 2026-10.")),
        ("regime", values["regime"] in REGIMES, "unknown_regime", N_("Choisissez un régime de TVA.")),
        ("regime", member.kind != "company" or values["regime"] in ("normal", ""), "company_pays_vat",
         N_("Une entreprise paie la TVA : son régime est normal.")),
        ("vat_number", values["vat_number"] is None or vat_numbers.is_valid(values["vat_number"]),
         "invalid_vat_number", N_("Ce n’est pas un numéro de TVA intracommunautaire.")),
        ("service_code", bool(values["service_code"]) or not values["service_required"], "service_required",
         N_("Ce payeur exige un code service : écrivez-le.")),
        ("engagement", bool(values["engagement"]) or not values["engagement_required"], "engagement_required",
         N_("Ce payeur exige un numéro d’engagement : écrivez-le.")),
    )  # fmt: skip
    faults = [_fault(field, code, sentence) for field, good, code, sentence in rules if not good]
    faults += [_fault(name, "too_long", Text("{most} caractères au plus.", most=most))
               for name, most in TEXTS.items() if len(values[name] or "") > most]  # fmt: skip
    return values, faults


def _fault(field: str, code: str, sentence: str) -> Fault:
    return {"parameter": field, "code": code, "sentence": sentence, "action": ""}


def month(text: str) -> date | None:
    """The first day of a month, 2026-10 or a day of it; None if it is neither."""
    found = re.fullmatch(r"(20[0-9]{2})-(0[1-9]|1[0-2])(-01)?", text.strip())
    return date(int(found[1]), int(found[2]), 1) if found else None


def _refuse_closed(session: Session, since: date) -> None:
    """What is agreed on must not seem to hold for accounts that said otherwise."""
    closed = sa.select(Period.label).where(
        Period.state == "closed", Period.sample.is_(False), Period.label >= f"{since:%Y-%m}"
    )
    if label := session.scalar(closed.order_by(Period.label.desc()).limit(1)):
        raise Conflict(
            "period_closed",
            Text("La période {month} est close : elle ne change plus.", month=label),
            "Faites débuter ce contrat après.",
            facts={"period": label},
        )
