"""What the platform really costs, entry by entry: supplier lines, depreciation, energy, staff. Read, booked, ended.

An entry never changes: a mistake is ended and booked again. Its part of a closed month stays as it was.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from orchestrator import audit
from orchestrator.errors import Conflict, InvalidInput, NotFound, Text, example
from tenants import cost_schedule
from tenants.accounting import Accounting
from tenants.finance import Sharing
from tenants.tables import Period
from tenants.tables_finance import KINDS, MODELS, CostEntry, CostPart

FIELDS = ("kind", "pool", "label", "account", "date", "months", "amount", "supplier", "reference", "service_model",
          "prorata", "kwh", "kwh_price", "pue", "annual", "percent")  # fmt: skip
# What each kind asks for; the rest of FIELDS but these and `common` must be empty.
COMMON = {"kind", "pool", "label", "account", "date"}
NEEDED = {
    "supplier": ("amount", "supplier"),
    "depreciation": ("amount", "months"),
    "energy": ("kwh", "kwh_price", "pue"),
    "staff": ("annual", "percent"),
}
OPTIONAL = {
    "supplier": ("months", "reference", "service_model"),
    "depreciation": ("prorata", "supplier", "reference"),
    "energy": ("supplier", "reference"),
    "staff": ("months",),
}
NUMBERS = {  # pattern, an example
    "amount": (r"-?[0-9]{1,11}(\.[0-9]{1,2})?", "1840,00"),
    "kwh": (r"[0-9]{1,9}(\.[0-9]{1,3})?", "1250,5"),
    "kwh_price": (r"[0-9]{1,4}(\.[0-9]{1,6})?", "0,1845"),
    "pue": (r"[1-9](\.[0-9]{1,3})?", "1,45"),
    "annual": (r"[0-9]{1,9}(\.[0-9]{1,2})?", "48000,00"),
    "percent": (r"(100|[0-9]{1,2}(\.[0-9]{1,2})?)", "25"),
    "months": (r"[1-9][0-9]{0,2}", "60"),
}
CENT = Decimal("0.01")


@dataclass(frozen=True)
class NewEntry:
    """What an entry says, read and found right; columns as in `CostEntry`."""

    kind: str
    pool: str | None
    label: str
    account: str
    section: str
    dated: date
    starts: date
    months: int
    amount: Decimal
    prorata: bool
    supplier: str | None
    reference: str | None
    service_model: str | None
    kwh: Decimal | None
    kwh_price: Decimal | None
    pue: Decimal | None
    annual: Decimal | None
    part: Decimal | None


def read(given: Mapping[str, str], accounts: Accounting, pools: Mapping[str, str]) -> NewEntry:
    """An entry as it was typed, by field. pools: section by code, of those that are declared.

    Numbers with a comma or a point, days as 2026-10-31 or 31/10/2026; percent: of the staff's yearly cost.
    Raises InvalidInput invalid_cost (faults by field).
    """
    texts = {name: str(given.get(name) or "").strip() for name in FIELDS}
    faults: list[dict[str, str]] = []
    kind = texts["kind"]
    if kind not in KINDS:
        raise _refused([_fault("kind", Text("fournisseur, amortissement, énergie ou personnel est attendu"))])
    numbers = {name: _number(texts, name, kind, faults) for name in NUMBERS}
    dated = _day(texts["date"], faults)
    _check_texts(texts, kind, faults)
    section = "investissement" if kind == "depreciation" else "fonctionnement"
    _check_account(texts["account"], kind, dated, accounts, faults)
    _check_pool(texts["pool"], section, pools, faults)
    if faults or dated is None:
        raise _refused(faults)
    prorata = kind == "depreciation" and texts["prorata"].lower() in ("1", "true", "oui")
    months = int(numbers["months"] or (12 if kind == "staff" else 1))
    part = numbers["percent"] / 100 if numbers["percent"] is not None else None
    amount = numbers["amount"]
    if kind == "energy":
        amount = numbers["kwh"] * numbers["kwh_price"] * numbers["pue"]  # type: ignore[operator]
    elif kind == "staff":
        amount = numbers["annual"] * part * months / 12  # type: ignore[operator]
    assert amount is not None
    return NewEntry(
        kind=kind, pool=texts["pool"] or None, label=texts["label"], account=texts["account"], section=section,
        dated=dated, starts=cost_schedule.begins(kind, dated, prorata), months=months, prorata=prorata,
        amount=amount.quantize(CENT, ROUND_HALF_UP), supplier=texts["supplier"] or None,
        reference=texts["reference"] or None, service_model=texts["service_model"] or None, kwh=numbers["kwh"],
        kwh_price=numbers["kwh_price"], pue=numbers["pue"], annual=numbers["annual"], part=part,
    )  # fmt: skip


def sections(declared: Sharing) -> dict[str, str]:
    """The declared pools that an entry may be part of: section by code."""
    return {pool.code: pool.section for pool in declared.pools}


def _number(texts: Mapping[str, str], name: str, kind: str, faults: list[dict[str, str]]) -> Decimal | None:
    text = texts[name].replace("\u202f", "").replace("\u00a0", "").replace(" ", "").replace(",", ".")
    if not text and name not in NEEDED[kind]:
        return None
    pattern, told = NUMBERS[name]
    if not re.fullmatch(pattern, text) or (name == "amount" and kind != "supplier" and text.startswith("-")):
        faults.append(_fault(name, Text("un nombre comme {example} est attendu", example=example(told))))
        return None
    if name == "months" and int(text) > 600:
        faults.append(_fault(name, Text("600 mois au plus sont attendus")))
        return None
    return Decimal(text)


def _day(text: str, faults: list[dict[str, str]]) -> date | None:
    french = re.fullmatch(r"([0-9]{2})/([0-9]{2})/([0-9]{4})", text)
    try:
        found = date.fromisoformat("-".join(reversed(french.groups())) if french else text)
        if 2000 <= found.year <= 2099:
            return found
    except ValueError:
        pass
    faults.append(_fault("date", Text("une date comme 31/10/2026 est attendue")))
    return None


def _check_texts(texts: Mapping[str, str], kind: str, faults: list[dict[str, str]]) -> None:
    wanted = (*NEEDED[kind], *OPTIONAL[kind])
    for name in FIELDS:
        if name not in COMMON and name not in wanted and texts[name] not in ("", "0"):
            faults.append(_fault(name, Text("cette nature de coût n’en a pas")))
    for name in ("label", "supplier", "reference"):
        missing = not texts[name] and (name == "label" or name in NEEDED[kind])
        if missing or len(texts[name]) > 200 or not texts[name].isprintable():
            faults.append(_fault(name, Text("un texte est attendu, de 200 caractères au plus")))
    if texts["service_model"] not in ("", *MODELS):
        faults.append(_fault("service_model", Text("iaas, paas ou saas est attendu")))


def _check_account(
    code: str, kind: str, dated: date | None, accounts: Accounting, faults: list[dict[str, str]]
) -> None:
    month = f"{dated:%Y-%m}" if dated else "2099-12"
    try:
        accounts.leaf(code, month)
    except InvalidInput as error:
        faults.append(_fault("account", Text("{why} {action}", why=error.sentence, action=error.action)))
        return
    if kind == "depreciation" and code[0] != "2":
        faults.append(_fault("account", Text("un compte d’immobilisation (classe 2) est attendu")))
    elif kind != "depreciation" and code[0] != "6":
        told = Text("un compte de charges (classe 6) est attendu : une immobilisation n’entre que par amortissement")
        faults.append(_fault("account", told))


def _check_pool(code: str, section: str, pools: Mapping[str, str], faults: list[dict[str, str]]) -> None:
    if code and code not in pools:
        faults.append(_fault("pool", Text("le coût commun « {pool} » n’est pas déclaré", pool=code[:60])))
    elif code and pools[code] != section:
        told = Text("« {pool} » est de la section {section}", pool=code, section=pools[code])
        faults.append(_fault("pool", told))


def _fault(field: str, sentence: str) -> dict[str, str]:
    return {"parameter": field, "code": "invalid_cost", "sentence": sentence}


def _refused(faults: list[dict[str, str]]) -> InvalidInput:
    first = faults[0]
    told = Text("Ce coût est refusé ({field}) : {why}.", field=first["parameter"], why=first["sentence"])
    return InvalidInput("invalid_cost", told, "Corrigez-le ; rien n’a été enregistré.", facts={"errors": faults})


def add(session: Session, new: NewEntry) -> CostEntry:
    """Book an entry. Raises Conflict period_closed (all its months are) or cost_already_there (its reference)."""
    _refuse_closed(session, cost_schedule.last_month(new.starts, new.months))
    entry = CostEntry(**asdict(new), made_by=session.info["actor"])
    try:
        with session.begin_nested():
            session.add(entry)
    except IntegrityError as error:
        if "uq_cost_entries_reference" not in str(error.orig):
            raise
        raise Conflict(
            "cost_already_there",
            Text("« {reference} » de {supplier} est déjà là.", reference=new.reference, supplier=new.supplier),
            "Vérifiez la référence ; mettez d’abord fin à l’autre si elle était fausse.",
        ) from error
    session.refresh(entry)
    audit.record(session, "cost_entry.add", f"cost entry {entry.id}", detail=_told(entry))
    return entry


def _told(entry: CostEntry) -> dict[str, Any]:
    return {"kind": entry.kind, "pool": entry.pool, "account": entry.account, "amount": str(entry.amount),
            "starts": str(entry.starts), "months": entry.months}  # fmt: skip


def _refuse_closed(session: Session, last: str) -> None:
    # A month that is being closed waits for us, or we for it.
    session.execute(sa.select(Period.id).where(Period.state != "closed").with_for_update(read=True))
    closed = session.scalar(sa.select(sa.func.max(Period.label)).where(Period.state == "closed", ~Period.sample))
    if closed and last <= closed:
        raise Conflict(
            "period_closed",
            Text("Ce coût s’arrête en {last}, et {month} est clos.", last=last, month=closed),
            "Datez-le d’un mois qui n’est pas clos.",
        )


def find(session: Session, entry_id: int, *, lock: bool = False) -> CostEntry:
    """One entry; NotFound `not_found`."""
    found = session.get(CostEntry, min(entry_id, 2**63 - 1), with_for_update=lock, populate_existing=lock)
    if found is None:
        raise NotFound("not_found", "Cela n’existe pas, ou n’est pas à vous.", "Revenez à la liste.")
    return found


def end(session: Session, entry_id: int, month: str) -> CostEntry:
    """No month from `month` (2026-10) on gets a part of it. Raises InvalidInput invalid_period, Conflict period_closed
    (a closed month has a part that would go) or cost_ended.
    """
    entry = find(session, entry_id, lock=True)
    if not re.fullmatch(r"20[0-9]{2}-(0[1-9]|1[0-2])", month):
        raise InvalidInput(
            "invalid_period", Text("« {month} » n’est pas un mois.", month=month[:20]), "Écrivez-le comme 2026-10."
        )
    if entry.ends is not None and f"{entry.ends:%Y-%m}" <= month:
        raise Conflict("cost_ended", "Ce coût a déjà pris fin.", "Il n’y a rien à faire.")
    sealed = session.scalar(
        sa.select(sa.func.max(Period.label))
        .join(CostPart, CostPart.period_id == Period.id)
        .where(CostPart.entry_id == entry_id, Period.state == "closed", Period.label >= month)
    )
    if sealed:
        raise Conflict(
            "period_closed",
            Text("Ce coût compte dans {month}, qui est clos.", month=sealed),
            "Mettez-y fin dès un mois suivant.",
        )
    entry.ends = date.fromisoformat(f"{month}-01")
    session.flush()
    audit.record(session, "cost_entry.end", f"cost entry {entry_id}", detail={"from": month})
    return entry


def listed(session: Session, month: str | None = None) -> list[tuple[CostEntry, Decimal | None]]:
    """The entries that count in a month, each with its part; without a month all of them, newest first."""
    rows = session.scalars(sa.select(CostEntry).order_by(CostEntry.id.desc()))
    if month is None:
        return [(row, None) for row in rows]
    parted = ((row, part_of(row, month)) for row in rows)
    return [(row, part) for row, part in parted if part is not None]


def part_of(entry: CostEntry, month: str) -> Decimal | None:
    """What an entry adds to a month, as its own schedule says."""
    return cost_schedule.part(entry.amount, entry.starts, entry.months, month, entry.ends)


def plan(entry: CostEntry) -> list[tuple[str, Decimal]]:
    """What an entry adds to each year, until it ends."""
    found: dict[str, Decimal] = {}
    number, last = entry.starts.year * 12 + entry.starts.month - 1, cost_schedule.last_month(entry.starts, entry.months)
    while (month := f"{number // 12:04}-{number % 12 + 1:02}") <= last:
        found[month[:4]] = found.get(month[:4], Decimal("0.00")) + (part_of(entry, month) or 0)
        number += 1
    return list(found.items())


def parts(session: Session, month: str, pools: Collection[str]) -> list[tuple[CostEntry, Decimal]]:
    """What each entry adds to a month. Raises Conflict unknown_pool when one's pool is not declared any more."""
    found = [(entry, part) for entry, part in listed(session, month) if part is not None]
    for entry, _ in found:
        if entry.pool is not None and entry.pool not in pools:
            raise Conflict(
                "unknown_pool",
                Text(
                    "« {label} » est du coût commun « {pool} », qui n’est plus déclaré.",
                    label=entry.label,
                    pool=entry.pool,
                ),
                "Déclarez-le dans pools.yaml, ou mettez fin à ce coût.",
            )
    return found
