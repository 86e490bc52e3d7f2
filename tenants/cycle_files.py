"""Files of the yearly cycle: pre-titles of calls and settlements, yearly statements as CSV and JSON.

What is sealed gives the same bytes each time. CSV as in `tenants.exports`.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator
from decimal import Decimal

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator.tables import Member
from tenants import cycle_calls, dues, exports, pretitles
from tenants.accounting import Accounting
from tenants.pretitles import OBJECT, Row
from tenants.statements import Document

COLUMNS = (
    "Année", "Mention", "SIRET", "Membre", "Référence", "Nature", "Objet", "Compteur", "Mois", "Date", "Heures",
    "Unités", "Coût unitaire (EUR)", "Montant (EUR)", "Mode", "Empreinte",
)  # fmt: skip
MODES = exports.BILLING


def calls(session: Session, year: int, month: int | None, accounts: Accounting) -> list[Row]:
    """A row for each call of a year, or of those due in a month (1 to 12), by SIRET and number."""
    found = []
    for kind, document in _sealed(session, year, "call"):
        if month in (None, int(document["period"][5:])):
            found.append(_row(document, kind, accounts, "appel", f"appel {document['number']}{_late(document)}"))
    return found


def _late(document: Document) -> str:
    """Of a call that asks for months before its own: from which one on, as ` (depuis 01/2026)`."""
    since = cycle_calls.since(document)
    return f" (depuis {since[5:]}/{since[:4]})" if since and since < document["period"] else ""


def settlements(session: Session, year: int, accounts: Accounting) -> list[Row]:
    """A row for each complement (asked for), reduction (given back) or settled deduction of a year, by SIRET."""
    found = []
    for kind, document in _sealed(session, year, "settlement"):
        for mode, text in sorted(document["settled"].items()):
            amount = Decimal(text)
            if not amount:
                continue
            named = "régularisation AC" if mode == "deduction" else "complément" if amount > 0 else "réduction"
            # Who changed its mode within the year has one of each: then they have references of their own.
            both = mode == "deduction" and Decimal(document["settled"]["calls"])
            asked = {**document, "amount": text, "reference": document["reference"].replace("-REG-", "-RAC-")
                     if both else document["reference"]}  # fmt: skip
            row = _row(asked, kind, accounts, named, "régularisation")
            found.append({**row, "Période": str(year), "Empreinte du relevé": document["hash"]})
    return found


def _sealed(session: Session, year: int, kind: str) -> Iterator[tuple[str, Document]]:
    """The kind of each debtor with its dues."""
    held = dues.listed(session, year, kind)
    for member in session.scalars(sa.select(Member).where(Member.id.in_(held)).order_by(Member.siret.collate("C"))):
        for due in held[member.id]:
            yield member.kind, dues.read(due)


def _row(document: Document, kind: str, accounts: Accounting, named: str, what: str) -> Row:
    label, amount = document["period"], Decimal(document["amount"])
    way = named if named == "régularisation AC" else "titre"
    row = pretitles.row(document, accounts.flow(kind, label), accounts, way, amount)
    said = accounts.text("title_object", label)
    told = accounts.text("reduction", label) if named == "réduction" else None
    return {**row, "Flux": named, "Référence": document["reference"], "Mention": told.text["fr"] if told else "",
            "Objet": f"{said.text['fr'] if said else 'Nuage commun'} {document['year']}, {what}"[:OBJECT]}  # fmt: skip


def annual_json(document: Document) -> bytes:
    """The yearly statement itself; every figure is a text."""
    told = {name: value for name, value in document.items() if name != "id"}
    return (json.dumps(told, ensure_ascii=False, indent=2, sort_keys=True) + "\n").encode()


def annual_csv(documents: Iterable[Document]) -> bytes:
    """A row for each use, month and call, then the sums and the unit costs that were told."""
    text = io.StringIO()
    exports.write(text, COLUMNS)
    for document in documents:
        member = document["member"]
        head = [document["year"], exports.mention(document), member["siret"], member["name"], document["reference"]]
        for row in _rows(document):
            exports.write(text, [*head, *(row.get(name) for name in COLUMNS[5:])])
    return text.getvalue().encode("utf-8-sig")


def _rows(document: Document) -> Iterator[dict[str, exports.Cell]]:
    for use in document["uses"]:
        yield {"Nature": "usage", "Objet": (use["title"] or {}).get("fr") or use["offer"] or "sans offre",
               "Compteur": use["meter"], "Heures": Decimal(use["hours"]), "Unités": Decimal(use["units"])}  # fmt: skip
    for month in document["months"]:
        yield {"Nature": "relevé", "Mois": month["period"], "Unités": Decimal(month["units"]),
               "Montant (EUR)": Decimal(month["payable"]), "Mode": MODES[month["mode"]],
               "Empreinte": month["statement"]}  # fmt: skip
    for month in document["months"]:
        if month["mode"] == "deduction":
            yield {"Nature": "retenue", "Mois": month["period"], "Montant (EUR)": Decimal(month["withheld"])}
    for call in document["calls"]:
        yield {"Nature": "appel", "Objet": call["reference"], "Mois": call["period"], "Date": call["dated"],
               "Montant (EUR)": Decimal(call["amount"]), "Empreinte": call["hash"]}  # fmt: skip
    for nature, terms in (("coût unitaire communiqué", document["terms"]), ("coût unitaire suivant", document["next"])):
        if terms:
            yield {"Nature": nature, "Objet": f"{terms['unit']['fr']} {terms['year']}", "Date": terms["told_on"],
                   "Coût unitaire (EUR)": Decimal(terms["unit_cost"])}  # fmt: skip
    if document["observed"]:
        yield {"Nature": "coût unitaire constaté", "Coût unitaire (EUR)": Decimal(document["observed"])}
    sums = (("montant au coût unitaire", "at_unit_cost"), ("coût réel", "total"), ("dû à régulariser", "owed"),
            ("appelé", "called"), ("retenu", "withheld"), ("régularisation", "amount"))  # fmt: skip
    for nature, name in sums:
        if document[name] is not None:
            units = Decimal(document["units"]) if name in ("at_unit_cost", "total") else None
            yield {"Nature": nature, "Unités": units, "Montant (EUR)": Decimal(document[name])}
