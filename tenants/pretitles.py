"""Pre-titles: what finance's software needs to issue each title, or to book a deduction, of a closed month; and the
settlement of a year's deductions. A neutral CSV, not PES: the software makes the flow. Same bytes each time.

UTF-8 with BOM, `;`, decimal comma, CRLF. Amounts are never below zero: the direction says which way they go.
"""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator.errors import Conflict, InvalidInput, Text
from orchestrator.tables import Member
from tenants import cycle_terms, exports, statements
from tenants.accounting import Accounting, Flow
from tenants.statements import Document
from tenants.tables import Period

COLUMNS = (
    "Exercice", "Période", "Mention", "Flux", "Sens", "Référence", "SIRET du tiers", "Nom du tiers", "Nature du tiers",
    "Objet", "Montant (EUR)", "Coût réel (EUR)", "Compte de l’agglomération", "Libellé", "Compte du tiers",
    "Libellé (tiers)", "Empreinte du relevé",
)  # fmt: skip
KINDS = {
    "commune": "commune membre", "epci": "agglomération", "syndicat": "syndicat", "public_body": "organisme public",
    "company": "entreprise",
}  # fmt: skip
OBJECT = 160  # signs that finance's software takes
Row = dict[str, Any]


def month(session: Session, period: Period, accounts: Accounting) -> list[Row]:
    """A row for each title or deduction of a closed month, by SIRET; what is for information has none.

    Raises Conflict period_not_closed, InvalidInput no_flow.
    """
    if period.state != "closed":
        raise Conflict(
            "period_not_closed",
            Text("La période {month} n’est pas close.", month=period.label),
            "Les pré-titres se font d’un mois clos : contrôlez ce mois, puis clôturez-le.",
        )
    kinds = _kinds(session)
    found = []
    for document in statements.documents(session, period):
        billing = document.get("billing") or {"mode": "title"}  # closed before modes were told: all paid by title
        flow = accounts.flow(kinds[document["member"]["siret"]], period.label)
        due = _due(document)
        withheld = Decimal(str(billing.get("withheld", 0)))
        if billing["mode"] == "title" and due:
            found.append(row(document, flow, accounts, "titre", due))
        elif billing["mode"] == "deduction" and withheld:
            found.append(row(document, flow, accounts, "retenue AC", withheld))
    return found


def year(session: Session, exercise: str, accounts: Accounting) -> list[Row]:
    """What a year's deductions still owe or give back: real costs (with VAT where there is any) less what was withheld,
    of the months by deduction. Once the year has its settlement that one says it, by the same references.

    Raises InvalidInput invalid_period, Conflict year_not_closed or year_settled.
    """
    if not (len(exercise) == 4 and exercise.isdecimal() and exercise.isascii()):
        raise InvalidInput(
            "invalid_period", Text("« {month} » n’est pas une année.", month=exercise[:20]), "Écrivez 2026."
        )
    cycle_terms.refuse_unclosed(session, int(exercise))
    if cycle_terms.settled(session, int(exercise)):
        raise Conflict(
            "year_settled",
            Text("L’année {year} est régularisée.", year=exercise),
            "Prenez les pré-titres de sa régularisation, dans « Cycle annuel ».",
        )
    months = session.scalars(
        sa.select(Period).where(Period.label.startswith(exercise), ~Period.sample).order_by(Period.label)
    )
    last: dict[str, Document] = {}
    sums: dict[str, Decimal] = defaultdict(Decimal)
    real: dict[str, Decimal] = defaultdict(Decimal)
    for period in months:
        for document in statements.documents(session, period):
            billing, siret = document.get("billing", {}), document["member"]["siret"]
            if billing.get("mode") == "deduction":
                last[siret] = document
                real[siret] += Decimal(document["total"])
                sums[siret] += _due(document) - Decimal(billing["withheld"])
    kinds = _kinds(session)
    found = []
    for siret in sorted(last):
        if sums[siret]:
            flow = accounts.flow(kinds[siret], f"{exercise}-12")
            made = row(last[siret], flow, accounts, "régularisation AC", sums[siret])
            found.append({**made, "Période": exercise, "Coût réel (EUR)": real[siret],
                          "Référence": f"{exercise}-REG-{last[siret]['member']['siren']}"})  # fmt: skip
    return found


def _due(document: Document) -> Decimal:
    """What a statement asks for is with VAT."""
    return Decimal(str(document.get("payable", document["total"])))


def _kinds(session: Session) -> dict[str, str]:
    return dict(session.execute(sa.select(Member.siret, Member.kind)).all())


def row(document: Document, flow: Flow, accounts: Accounting, kind: str, amount: Decimal) -> Row:
    """What one document asks for (above zero) or gives back. kind: `titre`, else by deduction."""
    label, member = document["period"], document["member"]
    deducted = kind != "titre"
    if deducted:
        ours, theirs = flow.deducted, flow.received
    else:
        ours, theirs = (flow.billed, flow.paid) if amount > 0 else (flow.refund, flow.refunded)
    said = accounts.text("title_object", label)
    return {
        "Exercice": label[:4], "Période": label, "Mention": exports.mention(document), "Flux": kind,
        "Sens": ("à percevoir" if not deducted else "à retenir") if amount > 0 else "à verser",
        "Référence": f"{label}-{member['siren']}", "SIRET du tiers": member["siret"], "Nom du tiers": member["name"],
        "Nature du tiers": KINDS[flow.kind], "Objet": f"{said.text['fr'] if said else 'Nuage commun'} {label}"[:OBJECT],
        "Montant (EUR)": abs(amount), "Coût réel (EUR)": Decimal(document["total"]),
        "Compte de l’agglomération": ours, "Libellé": ours and accounts.leaf(ours, label),
        "Compte du tiers": theirs, "Libellé (tiers)": theirs and accounts.leaf(theirs, label),
        "Empreinte du relevé": statements.digest_of(document),
    }  # fmt: skip


def as_csv(rows: Iterable[Row]) -> bytes:
    """The file."""
    text = io.StringIO()
    for cells in _cells(rows):
        exports.write(text, cells)
    return text.getvalue().encode("utf-8-sig")


def _cells(rows: Iterable[Row]) -> Iterator[list[exports.Cell]]:
    yield list(COLUMNS)
    for row in rows:
        yield [row[name] for name in COLUMNS]
