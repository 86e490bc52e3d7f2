"""The closed months of a year as analytic lines, in the columns of the SCDL schema « budget » 0.8.3.

Not the official budget file, which the finance software makes: what the shared cloud really cost and brought, by
account, function, section and cost, of closed months only. Comma, UTF-8, decimal point, CRLF, as the schema's checkers
want it; the same bytes from the same closed months. Costs that are declared in `pools.yaml` without an entry have no
account: they are in no line, and `unbooked` says how much that is.
"""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator.errors import Conflict, InvalidInput, Text
from orchestrator.tables import Member
from tenants import statements
from tenants.accounting import Accounting
from tenants.statements import Document
from tenants.tables import CostPool, Period
from tenants.tables_finance import CostEntry, CostPart

COLUMNS = (
    "BGT_NATDEC", "BGT_ANNEE", "BGT_SIRET", "BGT_NOM", "BGT_CONTNAT", "BGT_CONTNAT_LABEL", "BGT_NATURE",
    "BGT_NATURE_LABEL", "BGT_FONCTION", "BGT_FONCTION_LABEL", "BGT_OPERATION", "BGT_SECTION", "BGT_OPBUDG", "BGT_CODRD",
    "BGT_MTREAL", "BGT_MTBUDGPREC", "BGT_MTRARPREC", "BGT_MTPROPNOUV", "BGT_MTPREV", "BGT_CREDOUV", "BGT_MTRAR3112",
    "BGT_ARTSPE",
)  # fmt: skip
STEP = "compte administratif"  # of the schema's four, the one whose amounts are real
DEPRECIATION = "6811"  # a year's part of what was capitalised is a charge of operation
DIRECT = "tarif"  # the operation of costs that prices cover
CHARGE, REVENUE = "dépense", "recette"
Key = tuple[str, str, str]  # charge or revenue, account, operation


@dataclass(frozen=True)
class Extract:
    """months: those that are closed; unbooked: euros of shared costs that have no account."""

    year: str
    months: list[str]
    rows: list[dict[str, str]]
    unbooked: Decimal

    @property
    def name(self) -> str:
        """Of the file."""
        return f"analytique-scdl-{self.year}.csv"


def extract(session: Session, year: str, accounts: Accounting) -> Extract:
    """Raises InvalidInput invalid_period, no_flow, no_chapter or wrong_account, Conflict no_closed_month."""
    if not (len(year) == 4 and year.isdecimal() and year.isascii()):
        raise InvalidInput("invalid_period", Text("« {month} » n’est pas une année.", month=year[:20]), "Écrivez 2026.")
    query = sa.select(Period).where(Period.label.startswith(year), Period.state == "closed", ~Period.sample)
    months = list(session.scalars(query.order_by(Period.label)))
    if not months:
        raise Conflict(
            "no_closed_month", Text("Aucun mois de {year} n’est clos.", year=year), "Clôturez d’abord un mois."
        )
    issuer = session.scalars(sa.select(Member).where(Member.kind == "epci").order_by(Member.id)).first()
    sums = _charges(session, months)
    for key, amount in _revenues(session, months, accounts):
        sums[key] += amount
    whose = (issuer.siret, issuer.name) if issuer else ("", "")
    rows = [_row(key, sums[key], year, whose, accounts) for key in sorted(sums) if sums[key]]
    return Extract(year, [month.label for month in months], rows, _unbooked(session, months))


def _charges(session: Session, months: list[Period]) -> dict[Key, Decimal]:
    """What was booked, by account and shared cost: parts are sealed with their months."""
    query = (
        sa.select(CostEntry.kind, CostEntry.account, sa.func.coalesce(CostPool.code, DIRECT), CostPart.amount)
        .join(CostEntry, CostEntry.id == CostPart.entry_id)
        .outerjoin(CostPool, CostPool.id == CostPart.pool_id)
        .where(CostPart.period_id.in_([month.id for month in months]))
    )
    sums: dict[Key, Decimal] = defaultdict(Decimal)
    for kind, account, operation, amount in session.execute(query):
        sums[CHARGE, DEPRECIATION if kind == "depreciation" else account, operation] += amount
    return sums


def _revenues(session: Session, months: list[Period], accounts: Accounting) -> Iterator[tuple[Key, Decimal]]:
    """What closed statements ask for, without VAT, or withhold from the attribution de compensation."""
    kinds = dict(session.execute(sa.select(Member.siret, Member.kind)).all())
    for month in months:
        for document in statements.documents(session, month):
            flow = accounts.flow(kinds[document["member"]["siret"]], month.label)
            total, mode = Decimal(document["total"]), _mode(document)
            if mode in ("title", "calls") and total:  # whenever its calls and settlement ask for it
                yield ((REVENUE, flow.billed, "") if total > 0 else (CHARGE, flow.refund, "")), abs(total)
            elif mode == "deduction" and flow.deducted:
                # Less is paid to the member: an expense below zero.
                yield (CHARGE, flow.deducted, ""), -Decimal(document["billing"]["withheld"])


def _mode(document: Document) -> str:
    return str(document.get("billing", {}).get("mode", "title"))  # closed before modes were told: all by title


def _unbooked(session: Session, months: list[Period]) -> Decimal:
    ids = [month.id for month in months]
    shared = session.scalar(sa.select(sa.func.sum(CostPool.amount)).where(CostPool.period_id.in_(ids)))
    booked = session.scalar(
        sa.select(sa.func.sum(CostPart.amount)).where(CostPart.period_id.in_(ids), CostPart.pool_id.is_not(None))
    )
    return Decimal(shared or 0) - Decimal(booked or 0)


def _row(key: Key, amount: Decimal, year: str, whose: tuple[str, str], accounts: Accounting) -> dict[str, str]:
    way, account, operation = key
    last = f"{year}-12"
    chapter, function = accounts.chapter(account, last), accounts.function(last)
    return {
        **dict.fromkeys(COLUMNS, ""),
        "BGT_NATDEC": STEP, "BGT_ANNEE": year, "BGT_SIRET": whose[0], "BGT_NOM": whose[1],
        "BGT_CONTNAT": account, "BGT_CONTNAT_LABEL": accounts.leaf(account, last),
        "BGT_NATURE": chapter.code, "BGT_NATURE_LABEL": chapter.label,
        "BGT_FONCTION": function.code if function else "", "BGT_FONCTION_LABEL": function.label if function else "",
        "BGT_OPERATION": operation, "BGT_SECTION": "fonctionnement",
        "BGT_OPBUDG": "ordre" if chapter.order else "réel", "BGT_CODRD": way, "BGT_MTREAL": f"{amount:.2f}",
        "BGT_ARTSPE": "non spécialisé",
    }  # fmt: skip


def as_csv(found: Extract) -> bytes:
    """The file."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(found.rows)
    return text.getvalue().encode()
