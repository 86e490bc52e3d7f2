"""What members are told of a year before its budget is voted: the unit cost, and how often it is called on account.

CGCT, art. D.5211-16: found from the last closed year's costs and units, updated by what the budget changes of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator import audit
from orchestrator.errors import Conflict, InvalidInput, Text, example
from tenants import unit_cost
from tenants.accounting import Accounting, Unit, Vote
from tenants.tables import Period
from tenants.tables_cycle import FREQUENCIES, Due, YearTerms

MILLIONTH = Decimal("0.000001")
MOST = Decimal(1_000_000)  # euros for a unit: beyond, somebody mistook one field for the other
Fault = dict[str, str]


@dataclass(frozen=True)
class Basis:
    """What the last closed year before says: euros, and units observed. year: None where none is closed yet."""

    year: int | None
    costs: Decimal
    units: Decimal

    @property
    def unit_cost(self) -> Decimal | None:
        """Euros for a unit, to the millionth, before the budget changes anything; None without units."""
        return divided(self.costs, self.units) if self.units else None


@dataclass(frozen=True)
class Telling:
    """Where the telling stands. state: told, late (told on the day of the vote or after), waiting, overdue."""

    state: str
    vote: date | None
    source: str
    read_on: date | None


def words(unit: Unit) -> dict[str, str]:
    """What a unit is called, by language."""
    return {str(language): said for language, said in unit.label.items()}


def divided(costs: Decimal, units: Decimal) -> Decimal:
    """Euros for one unit, rounded once, half up."""
    return (costs / units).quantize(MILLIONTH, ROUND_HALF_UP)


def closed(session: Session, year: int) -> bool:
    """Whether every month of that year is closed."""
    return not unclosed(session, year)


def unclosed(session: Session, year: int) -> list[str]:
    """The months of that year that are not closed: from January, or from the first one of all, to December.

    One that was forgotten and closed later would be in nobody's settlement.
    """
    states = dict(session.execute(
        sa.select(Period.label, Period.state).where(Period.label < f"{year + 1}", ~Period.sample)
    ).all())  # fmt: skip
    labels = (f"{year}-{month:02}" for month in range(1, 13))
    return [one for one in labels if one >= min(states, default=one) and states.get(one) != "closed"]


def refuse_unclosed(session: Session, year: int) -> None:
    """Raise Conflict year_not_closed when the year has an open month, or lacks one."""
    if months := unclosed(session, year):
        told = ", ".join(months[:3]) + ("…" if len(months) > 3 else "")
        raise Conflict("year_not_closed", Text("L’année {year} n’est pas close : {months}.", year=year, months=told),
                       "Établissez et clôturez d’abord chacun de ses mois.")  # fmt: skip


def basis(session: Session, year: int, accounts: Accounting) -> Basis:
    """The costs and units of the last closed year before `year`."""
    labels = session.scalars(
        sa.select(Period.label)
        .where(Period.label.endswith("-12"), ~Period.sample, Period.label < str(year))
        .order_by(Period.label.desc())
    )
    for label in labels:
        if closed(session, int(label[:4])):
            found = unit_cost.report(session, label[:4], accounts)
            if found.units or found.total:
                return Basis(int(label[:4]), found.total, found.units)
    return Basis(None, Decimal("0.00"), Decimal(0))


def current(session: Session, year: int) -> YearTerms | None:
    """What was told last of a year; None before."""
    return session.scalar(
        sa.select(YearTerms).where(YearTerms.year == year).order_by(YearTerms.id.desc()).limit(1)
    )  # fmt: skip


def history(session: Session, year: int) -> list[YearTerms]:
    """All that was told of a year, newest first."""
    return list(session.scalars(sa.select(YearTerms).where(YearTerms.year == year).order_by(YearTerms.id.desc())))


def needed(session: Session, year: int) -> YearTerms:
    """What was told of a year. Raises Conflict cost_not_told."""
    found = current(session, year)
    if found is None:
        raise Conflict(
            "cost_not_told",
            Text("Le coût unitaire de {year} n’est pas communiqué.", year=year),
            "Communiquez-le aux membres, puis dites-le dans « Cycle annuel ».",
        )
    return found


def telling(session: Session, year: int, accounts: Accounting, today: date) -> Telling:
    """Whether members were told in time: before the day of the budget's vote."""
    said, terms = accounts.vote(f"{year}-01"), first(session, year)
    day = said.on(year) if said else None
    if terms:
        state = "late" if day and terms.told_on >= day else "told"
    else:
        state = "overdue" if day and today >= day else "waiting"
    return Telling(state, day, said.source if said else "", said.read_on if isinstance(said, Vote) else None)


def first(session: Session, year: int) -> YearTerms | None:
    """What was told first of a year."""
    return session.scalar(sa.select(YearTerms).where(YearTerms.year == year).order_by(YearTerms.id).limit(1))


def tell(session: Session, year: int, given: Mapping[str, str], accounts: Accounting, today: date) -> YearTerms:
    """Write down what members were told: costs_change, units_change, frequency, told_on, source, as typed.

    Raises InvalidInput invalid_terms (faults by field), Conflict year_settled.
    """
    refuse_settled(session, checked_year(year))
    texts = {name: str(given.get(name) or "").strip() for name in
             ("costs_change", "units_change", "frequency", "told_on", "source")}  # fmt: skip
    faults: list[Fault] = []
    costs = number(texts["costs_change"] or "0", 2, "costs_change", faults)
    units = number(texts["units_change"] or "0", 6, "units_change", faults)
    told_on = day(texts["told_on"], today, faults)
    if texts["frequency"] not in FREQUENCIES:
        faults.append(fault("frequency", Text("mensuelle, trimestrielle ou annuelle est attendu")))
    if not 0 < len(texts["source"]) <= 200 or not texts["source"].isprintable():
        faults.append(fault("source", Text("un texte est attendu, de 200 caractères au plus")))
    base = basis(session, year, accounts)
    if units is not None and base.units + units <= 0:
        faults.append(fault("units_change", Text("il faut plus de zéro unité en tout")))
    if costs is not None and base.costs + costs < 0:
        faults.append(fault("costs_change", Text("le coût ne peut être négatif")))
    if not faults and costs is not None and units is not None and base.costs + costs >= MOST * (base.units + units):
        faults.append(fault("units_change", Text("un coût unitaire de moins de {most} est attendu", most=MOST)))
    if faults:
        raise InvalidInput("invalid_terms", "Ces termes sont à corriger.", "Voyez les champs.",
                           facts={"errors": faults})  # fmt: skip
    assert costs is not None and units is not None and told_on is not None
    terms = YearTerms(
        year=year, unit=accounts.unit(f"{year}-12").label, base_year=base.year, costs=base.costs, units=base.units,
        costs_change=costs, units_change=units, unit_cost=divided(base.costs + costs, base.units + units),
        frequency=texts["frequency"], told_on=told_on, source=texts["source"], made_by=session.info["actor"],
    )  # fmt: skip
    session.add(terms)
    session.flush()
    audit.record(session, "billing.tell", f"year {year}", detail={
        "unit_cost": str(terms.unit_cost), "told_on": str(told_on), "frequency": terms.frequency})  # fmt: skip
    return terms


def checked_year(year: int) -> int:
    """That year. Raises InvalidInput invalid_period."""
    if not 2020 <= year <= 2099:
        raise InvalidInput("invalid_period", Text("« {month} » n’est pas une année.", month=str(year)[:20]),
                           "Écrivez 2026.")  # fmt: skip
    return year


def refuse_settled(session: Session, year: int) -> None:
    """Raise Conflict year_settled once the year has its settlement; lock it against one that is being made."""
    session.execute(sa.select(sa.func.pg_advisory_xact_lock(5211, year)))
    if settled(session, year):
        raise Conflict("year_settled", Text("L’année {year} est régularisée.", year=year),
                       "Elle ne change plus : choisissez une année suivante.")  # fmt: skip


def settled(session: Session, year: int) -> bool:
    """Whether the year has its settlement."""
    query = sa.select(Due.id).where(Due.year == year, Due.kind == "settlement").limit(1)
    return session.scalar(query) is not None


def number(text: str, places: int, name: str, faults: list[Fault]) -> Decimal | None:
    """A decimal as people type it; None and a fault where it is none."""
    plain = text.replace("\u202f", "").replace("\u00a0", "").replace(" ", "").replace("−", "-").replace(",", ".")
    if not re.fullmatch(rf"-?[0-9]{{1,10}}(\.[0-9]{{1,{places}}})?", plain):
        faults.append(fault(name, Text("un nombre comme {example} est attendu", example=example("1840,00"))))
        return None
    return Decimal(plain)


def day(text: str, today: date, faults: list[Fault]) -> date | None:
    """A day that has come; None and a fault for any other."""
    french = re.fullmatch(r"([0-9]{2})/([0-9]{2})/([0-9]{4})", text)
    try:
        found = date.fromisoformat("-".join(reversed(french.groups())) if french else text)
    except ValueError:
        faults.append(fault("told_on", Text("une date comme 31/10/2026 est attendue")))
        return None
    if not date(2019, 1, 1) <= found <= today:
        faults.append(fault("told_on", Text("un jour passé, ou ce jour, est attendu")))
        return None
    return found


def fault(field: str, sentence: str) -> Fault:
    """What is wrong in a field."""
    return {"parameter": field, "code": "invalid_terms", "sentence": sentence}
