"""The unit cost of operation (CGCT, art. D.5211-16): costs ÷ units observed; and who pays for whom.

A member's cost is its units at that unit cost, to the cent; set against what it was billed, usage and shares of common
costs, the difference says who bears the use of others. Of an offer likewise: a member's shares of common costs go to
the offers that it used, by its units. Months that are stated count, closed or not.
"""

from __future__ import annotations

import io
import json
from collections import defaultdict
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator.errors import InvalidInput, Text
from tenants import exports
from tenants.accounting import Accounting, Unit
from tenants.cost_entries import CENT
from tenants.sharing import split
from tenants.tables import CostPool, Offer, Period
from tenants.tables_finance import CostEntry, CostPart

COLUMNS = (
    "Mention", "Premier mois", "Dernier mois", "Unité", "Nature", "Nom", "Unités constatées", "Facturé (EUR)",
    "Coût (EUR)", "Écart (EUR)",
)  # fmt: skip
NONE = Decimal("0.00")
IDLE = ""  # the offer of what is billed to a member that used nothing
UNITS = """
SELECT m.siret, m.slug, m.name, m.kind, coalesce(v.specification ->> 'offer', '') AS offer,
    sum(u.quantity * extract(epoch FROM upper(u.during) - lower(u.during)) * w.weight::numeric) AS held
FROM usage_intervals u JOIN meters b ON b.id = u.meter_id
JOIN jsonb_each_text(CAST(:weights AS jsonb)) w (code, weight) ON w.code = b.code
JOIN resources r ON r.id = u.resource_id JOIN services v ON v.id = r.service_id JOIN members m ON m.id = u.member_id
WHERE u.period_id = ANY(:periods) GROUP BY m.id, offer
"""
BILLED = """
SELECT m.siret, m.slug, m.name, m.kind, l.kind AS line, coalesce(v.specification ->> 'offer', '') AS offer,
    sum(l.amount) AS amount
FROM statement_lines l JOIN members m ON m.id = l.member_id LEFT JOIN services v ON v.id = l.service_id
WHERE l.period_id = ANY(:periods) GROUP BY m.id, l.kind, offer
"""


@dataclass(frozen=True)
class Row:
    """A member or an offer: units observed, euros billed and what those units cost."""

    key: str
    name: Any
    units: Decimal
    billed: Decimal
    cost: Decimal

    @property
    def difference(self) -> Decimal:
        """Above zero it bears the use of others."""
        return self.billed - self.cost


@dataclass(frozen=True)
class Indicator:
    """What the FCTVA may give back of a sum: rate in percent, None where none is declared; never deducted."""

    code: str
    base: Decimal
    percent: Decimal | None
    amount: Decimal | None


@dataclass(frozen=True)
class UnitCost:
    """months: label and state of each; costs: label, section and euros of each pool, then of what prices cover.

    unit_cost: euros for one unit, to the millionth; None when nothing was used.
    """

    months: list[tuple[str, str]]
    sample: bool
    unit: Unit
    units: Decimal
    costs: list[tuple[dict[str, str], str, Decimal]]
    total: Decimal
    billed: Decimal
    unit_cost: Decimal | None
    members: list[Row]
    offers: list[Row]
    fctva: list[Indicator]


def report(session: Session, when: str, accounts: Accounting) -> UnitCost:
    """Of a month (2026-10) or a year (2026). Raises InvalidInput invalid_period."""
    months = _months(session, when)
    unit = accounts.unit(months[-1].label if months else f"{when[:4]}-12")
    ids = [month.id for month in months]
    given = {"periods": ids, "weights": json.dumps({code: str(weight) for code, weight in unit.meters.items()})}
    used = session.execute(sa.text(UNITS), given).all()
    billed = session.execute(sa.text(BILLED), given).all()
    costs = _costs(session, ids)
    total = sum((amount for _, _, amount in costs), NONE)
    units = _sums(used, "siret", "held")
    whole = sum(units.values(), Decimal(0))
    return UnitCost(
        months=[(month.label, month.state) for month in months],
        sample=any(month.sample for month in months),
        unit=unit, units=_hours(whole), costs=costs, total=total,
        billed=sum((row.amount for row in billed), NONE),
        unit_cost=(total * 3600 / whole).quantize(Decimal("0.000001"), ROUND_HALF_UP) if whole else None,
        members=_members(used, billed, total), offers=_offers(session, used, billed, total),
        fctva=_fctva(session, months, accounts, used, whole),
    )  # fmt: skip


def _months(session: Session, when: str) -> list[Period]:
    """The months with statements, real ones if there are any."""
    if not (len(when) in (4, 7) and when[:4].isdigit() and (len(when) == 4 or (when[4] == "-" and when[5:].isdigit()))):
        raise InvalidInput(
            "invalid_period", Text("« {month} » n’est ni un mois ni une année.", month=when[:20]),
            "Écrivez 2026 ou 2026-10.",
        )  # fmt: skip
    found = list(
        session.scalars(
            sa.select(Period)
            .where(Period.label.startswith(when), Period.metered_until.is_not(None))
            .order_by(Period.label)
        )
    )
    return [month for month in found if not month.sample] or found


def _costs(session: Session, periods: list[int]) -> list[tuple[dict[str, str], str, Decimal]]:
    pools = session.execute(
        sa.select(sa.func.max(CostPool.label["fr"].astext), sa.func.max(CostPool.label["en"].astext),
                  CostPool.section, sa.func.sum(CostPool.amount))
        .where(CostPool.period_id.in_(periods))
        .group_by(CostPool.code, CostPool.section)
        .order_by(CostPool.code.collate("C"))
    )  # fmt: skip
    found = [({"fr": fr, "en": en or fr}, section, amount) for fr, en, section, amount in pools]
    direct = session.execute(
        sa.select(CostEntry.section, sa.func.sum(CostPart.amount))
        .join(CostEntry, CostEntry.id == CostPart.entry_id)
        .where(CostPart.period_id.in_(periods), CostPart.pool_id.is_(None))
        .group_by(CostEntry.section)
        .order_by(CostEntry.section)
    )
    covered = {"fr": "Couvert par le tarif", "en": "Covered by prices"}
    return found + [(covered, section, amount) for section, amount in direct]


def _sums(rows: Any, key: str, value: str) -> dict[str, Decimal]:
    found: dict[str, Decimal] = defaultdict(Decimal)
    for row in rows:
        found[getattr(row, key)] += getattr(row, value)
    return found


def _hours(seconds: Decimal) -> Decimal:
    return (seconds / 3600).quantize(Decimal("0.000001"), ROUND_HALF_UP)


def _split(total: Decimal, units: dict[str, Decimal]) -> dict[str, Decimal]:
    """To the cent by units; nothing when nothing was used."""
    if not sum(units.values()):
        return {}
    return {key: one.amount for key, one in split(total, {key: Fraction(held) for key, held in units.items()}).items()}


def _members(used: Any, billed: Any, total: Decimal) -> list[Row]:
    units, paid = _sums(used, "siret", "held"), _sums(billed, "siret", "amount")
    costs = _split(total, units)
    names = {row.siret: row for row in (*used, *billed)}
    return [
        Row(names[siret].slug, names[siret].name, _hours(units.get(siret, Decimal(0))), paid.get(siret, NONE),
            costs.get(siret, NONE))
        for siret in sorted(names, key=lambda siret: (names[siret].name, siret))
    ]  # fmt: skip


def _offers(session: Session, used: Any, billed: Any, total: Decimal) -> list[Row]:
    units = _sums(used, "offer", "held")
    paid: dict[str, Decimal] = defaultdict(lambda: NONE)
    shares: dict[str, Decimal] = defaultdict(lambda: NONE)
    for row in billed:
        if row.line == "share":
            shares[row.siret] += row.amount
        else:
            paid[row.offer] += row.amount
    of_member: dict[str, dict[str, Decimal]] = defaultdict(dict)
    for row in used:
        of_member[row.siret][row.offer] = row.held
    for siret, amount in shares.items():
        for offer, part in (_split(amount, of_member[siret]) or {IDLE: amount}).items():
            paid[offer] += part
    costs, titles = _split(total, units), _titles(session)
    return [
        Row(offer, titles.get(offer), _hours(units.get(offer, Decimal(0))), paid[offer], costs.get(offer, NONE))
        for offer in sorted({*units, *paid}, key=lambda offer: (offer == IDLE, offer))
    ]


def _titles(session: Session) -> dict[str, Any]:
    """What the newest version of each offer is called."""
    return dict(session.execute(sa.select(Offer.slug, Offer.title).order_by(Offer.slug, Offer.version)).all())


def _fctva(session: Session, months: list[Period], accounts: Accounting, used: Any, whole: Decimal) -> list[Indicator]:
    """Of cloud bought as IaaS, and of what was capitalised in these months; without the part that companies used."""
    if not months:
        return []
    companies = sum((row.held for row in used if row.kind == "company"), Decimal(0))
    part = 1 - companies / whole if whole else Decimal(1)
    bought = session.scalar(
        sa.select(sa.func.coalesce(sa.func.sum(CostPart.amount), 0))
        .join(CostEntry, CostEntry.id == CostPart.entry_id)
        .where(CostPart.period_id.in_([month.id for month in months]), CostEntry.service_model == "iaas")
    )
    labels = [month.label for month in months]
    capital = session.scalar(
        sa.select(sa.func.coalesce(sa.func.sum(CostEntry.amount), 0)).where(
            CostEntry.kind == "depreciation", sa.func.to_char(CostEntry.dated, "YYYY-MM").in_(labels),
            sa.or_(CostEntry.ends.is_(None), CostEntry.ends > CostEntry.starts),
        )
    )  # fmt: skip
    found = []
    for code, sum_ in (("fctva_iaas", bought), ("fctva_investment", capital)):
        base = (Decimal(sum_ or 0) * part).quantize(CENT, ROUND_HALF_UP)
        rate = accounts.rate(code, labels[-1])
        percent = rate.percent if rate else None
        given = None if percent is None else (base * percent / 100).quantize(CENT, ROUND_HALF_UP)
        found.append(Indicator(code, base, percent, given))
    return found


def as_csv(found: UnitCost) -> bytes:
    """A row for each member and each offer, then their sum: UTF-8 with BOM, `;`, decimal comma."""
    text = io.StringIO()
    exports.write(text, COLUMNS)
    months = [label for label, _ in found.months]
    states = " ; ".join(sorted({exports.DRAFT for _, state in found.months if state != "closed"}))
    head: list[exports.Cell] = [
        exports.SAMPLE if found.sample else states, min(months, default=""), max(months, default=""),
        found.unit.label["fr"],
    ]  # fmt: skip
    for kind, rows in (("membre", found.members), ("offre", found.offers)):
        for row in rows:
            name = row.name["fr"] if isinstance(row.name, dict) else row.name or row.key or "sans offre"
            amounts = [row.units, row.billed, row.cost, row.difference]
            exports.write(text, [*head, kind, name, *amounts])
    sums = [found.units, found.billed, found.total, found.billed - found.total]
    exports.write(text, [*head, "total", "", *sums])
    return text.getvalue().encode("utf-8-sig")


def document(found: UnitCost) -> dict[str, Any]:
    """The same for programs."""

    def row(one: Row) -> dict[str, Any]:
        return {"key": one.key, "name": one.name, "units": one.units, "billed": one.billed, "cost": one.cost,
                "difference": one.difference}  # fmt: skip

    return {
        "months": [{"period": label, "state": state} for label, state in found.months],
        "sample": found.sample,
        "unit": {"label": found.unit.label, "meters": found.unit.meters, "source": found.unit.source},
        "units": found.units, "total": found.total, "billed": found.billed, "unit_cost": found.unit_cost,
        "costs": [{"label": label, "section": section, "amount": amount} for label, section, amount in found.costs],
        "members": [row(one) for one in found.members],
        "offers": [row(one) for one in found.offers],
        "fctva": [vars(one) for one in found.fctva],
    }  # fmt: skip
