"""The year's energy and carbon, for the responsible-digital review of communes and EPCI (loi REEN, art. 35).

By member, by offer and by month, from the months that are drafted or closed, each by the factors that it keeps;
machines that stood still for a whole month; the age of the equipment. A month whose factors do not say is named, and in
no sum.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator.errors import InvalidInput, Text
from orchestrator.tables import Member
from tenants import energy
from tenants.energy import Figures, Use
from tenants.finance import Equipment, Power
from tenants.tables import Offer, Period
from tenants.tables_finance import CostEntry


@dataclass(frozen=True)
class Month:
    """A month with its figures (None: not known), what is missing, and on what they rest."""

    label: str
    state: str
    figures: Figures
    missing: list[str]
    basis: str | None
    metered_kwh: Decimal | None


@dataclass(frozen=True)
class Row:
    """A member or an offer: services that used something, and what the known months of the year sum to."""

    key: str
    name: Any
    services: int
    figures: Figures


@dataclass(frozen=True)
class Idle:
    """A machine that was stopped for whole months: what it holds meanwhile. gib: of disk, on average."""

    member: str
    service: str
    months: list[str]
    vcpus: Decimal
    gib: Decimal


@dataclass(frozen=True)
class Age:
    """Equipment and its age in whole years at the end of the year."""

    label: str
    count: int
    since: date
    years: int
    source: str


@dataclass(frozen=True)
class Report:
    """factors: in force in the last month; metered_kwh: what finance booked of the machine room's own meter (IT × PUE),
    to set the model against; basis: `measured` when each known month is.
    """

    year: str
    sample: bool
    months: list[Month]
    total: Figures
    metered_kwh: Decimal | None
    basis: str | None
    members: list[Row]
    offers: list[Row]
    idle: list[Idle]
    equipment: list[Age]
    factors: dict[str, dict[str, str]]


def report(session: Session, year: str, power: Power) -> Report:
    """Of a year (2026): of its real months, or of samples where there are no others. Raises InvalidInput."""
    if not re.fullmatch(r"20[0-9]{2}", year):
        raise InvalidInput("invalid_period", Text("« {month} » n’est pas une année.", month=year[:20]), "Écrivez 2026.")
    periods = _periods(session, year)
    factors: dict[int, dict[str, dict[str, str]]] = {period.id: period.energy or {} for period in periods}
    uses = energy.used(session, list(factors))
    rates = {period: energy.rates(one) for period, one in factors.items()}
    found = [(use, energy.figures(rates[use.period_id], use)) for use in uses]
    metered = _metered(session, [period.label for period in periods])
    months = [_month(period, found, metered) for period in periods]
    return Report(
        year=year,
        sample=any(period.sample for period in periods),
        months=months,
        total=_sum(month.figures for month in months),
        metered_kwh=sum(metered.values(), Decimal(0)) if metered else None,
        basis=_basis(months),
        members=_members(session, found),
        offers=_offers(session, found),
        idle=_idle(session, periods, uses),
        equipment=[_age(one, int(year)) for one in power.equipment if one.since.year <= int(year)],
        factors=factors[periods[-1].id] if periods else power_of(power, f"{year}-12"),
    )


def power_of(power: Power, month: str) -> dict[str, dict[str, str]]:
    """The factors in force in a month, as they are declared now."""
    return energy.freeze(power, month) or {}


def _periods(session: Session, year: str) -> list[Period]:
    query = sa.select(Period).where(Period.label.startswith(year), Period.metered_until.is_not(None))
    found = list(session.scalars(query.order_by(Period.label)))
    return [period for period in found if not period.sample] or found


def _metered(session: Session, labels: list[str]) -> dict[str, Decimal]:
    """kWh that finance booked for each of these months: those of the servers × the room's PUE."""
    month = sa.func.to_char(CostEntry.starts, "YYYY-MM")
    query = (
        sa.select(month, sa.func.sum(CostEntry.kwh * CostEntry.pue))
        .where(CostEntry.kind == "energy", sa.or_(CostEntry.ends.is_(None), CostEntry.ends > CostEntry.starts))
        .group_by(month)
    )
    return {label: kwh for label, kwh in session.execute(query).all() if label in labels}


def _month(period: Period, found: list[tuple[Use, Figures]], metered: dict[str, Decimal]) -> Month:
    factors = period.energy or {}
    whole = energy.total([one for use, one in found if use.period_id == period.id], factors)
    codes = energy.NEEDED if whole.grams is not None else energy.POWER
    basis = None if whole.kwh is None else energy.basis(factors, codes)
    return Month(period.label, period.state, whole, energy.missing(factors), basis, metered.get(period.label))


def _basis(months: list[Month]) -> str | None:
    said = {month.basis for month in months if month.basis}
    return None if not said else "measured" if said == {"measured"} else "estimated"


def _sum(rows: Iterable[Figures]) -> Figures:
    """Of what is known; None where nothing is."""
    found = list(rows)
    sums = {}
    for name in ("kwh", "grams", "embodied"):
        known = [value for one in found if (value := getattr(one, name)) is not None]
        sums[name] = sum(known, Decimal(0)) if known else None
    return Figures(**sums)


def _grouped(found: list[tuple[Use, Figures]], by: Callable[[Use], Any]) -> dict[Any, tuple[int, Figures]]:
    """Services and sums, by what `by` says of a use."""
    held: dict[Any, list[tuple[Use, Figures]]] = defaultdict(list)
    for use, one in found:
        held[by(use)].append((use, one))
    return {key: (len({use.service_id for use, _ in rows}), _sum(one for _, one in rows)) for key, rows in held.items()}


def _members(session: Session, found: list[tuple[Use, Figures]]) -> list[Row]:
    names = {row.id: row for row in session.execute(sa.select(Member.id, Member.slug, Member.name))}
    rows = [
        Row(names[member].slug, names[member].name, count, sums)
        for member, (count, sums) in _grouped(found, lambda use: use.member_id).items()
    ]
    return sorted(rows, key=lambda row: (row.name, row.key))


def _offers(session: Session, found: list[tuple[Use, Figures]]) -> list[Row]:
    """name: the newest version's title in both languages; None: services that no offer made."""
    titles: dict[str, Any] = dict(
        session.execute(sa.select(Offer.slug, Offer.title).order_by(Offer.slug, Offer.version)).all()
    )
    rows = [
        Row(offer, titles.get(offer), count, sums)
        for offer, (count, sums) in _grouped(found, lambda use: use.offer).items()
    ]
    return sorted(rows, key=lambda row: (row.key == "", row.key))


def _idle(session: Session, periods: list[Period], uses: list[Use]) -> list[Idle]:
    """Machines that did not serve for a second of a month, though they were there for all of it."""
    labels = {period.id: (period.label, _seconds(period)) for period in periods}
    still: dict[int, list[Use]] = defaultdict(list)
    for use in uses:
        if use.vcpu == 0 and use.rested >= labels[use.period_id][1]:
            still[use.service_id].append(use)
    names = dict(session.execute(sa.select(Member.id, Member.name)).all())
    rows = []
    for of_one in still.values():
        lasted = sum((labels[use.period_id][1] for use in of_one), Decimal(0))
        average = [(sum(getattr(use, name) for use in of_one) / lasted).quantize(Decimal("0.1"))
                   for name in ("stopped", "gib")]  # fmt: skip
        months = [labels[use.period_id][0] for use in of_one]
        rows.append(Idle(names[of_one[0].member_id], of_one[-1].name, months, *average))
    return sorted(rows, key=lambda row: (-len(row.months), row.member, row.service))


def _seconds(period: Period) -> Decimal:
    assert period.during.lower and period.metered_until
    return Decimal(int((period.metered_until - period.during.lower).total_seconds())) or Decimal(1)


def _age(one: Equipment, year: int) -> Age:
    return Age(one.label, one.count, one.since, year - one.since.year, one.source)


def document(found: Report) -> dict[str, Any]:
    """The same for programs: kWh, grams of CO2 equivalent; null: not known."""

    def row(one: Row) -> dict[str, Any]:
        return {"key": one.key, "name": one.name, "services": one.services, **vars(one.figures)}

    return {
        **{name: value for name, value in vars(found).items() if name != "total"},
        **vars(found.total),
        "months": [
            {"period": one.label, "state": one.state, "missing": one.missing, "basis": one.basis,
             "metered_kwh": one.metered_kwh, **vars(one.figures)}
            for one in found.months
        ],
        "members": [row(one) for one in found.members],
        "offers": [row(one) for one in found.offers],
        "idle": [vars(one) for one in found.idle],
        "equipment": [vars(one) for one in found.equipment],
    }  # fmt: skip
