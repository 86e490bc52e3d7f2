"""A year of the cycle at a glance: what was told, and each member's forecast, calls, real cost and settlement."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator.tables import Member
from tenants import billing, cycle_calls, cycle_forecasts, cycle_terms, dues
from tenants.accounting import Accounting
from tenants.cycle_calls import NONE, Call
from tenants.cycle_terms import Basis, Telling
from tenants.tables import Period, Statement
from tenants.tables_cycle import Due, Forecast, YearTerms


@dataclass(frozen=True)
class Row:
    """A member's year. modes: in the order in which they hold; foreseen: euros of its forecast; planned: calls to come.

    settled: euros of its settlement (below zero: they go back); None before.
    """

    slug: str
    name: str
    modes: tuple[str, ...]
    units: Decimal
    forecasts: tuple[Forecast, ...]
    foreseen: Decimal | None
    calls: tuple[Due, ...]
    planned: tuple[Call, ...]
    withheld: Decimal
    cost: Decimal
    settled: Decimal | None

    @property
    def called(self) -> Decimal:
        """Euros."""
        return sum((due.amount for due in self.calls), NONE)

    @property
    def to_call(self) -> Decimal:
        """Euros."""
        return sum((call.amount for call in self.planned), NONE)


@dataclass(frozen=True)
class Year:
    """basis: what the unit cost is found from; terms: what was told, None yet; closed: whether it may be settled."""

    year: int
    basis: Basis
    terms: YearTerms | None
    telling: Telling
    unit: dict[str, str]
    closed: bool
    settled: bool
    rows: tuple[Row, ...]


def overview(session: Session, year: int, accounts: Accounting, today: date) -> Year:
    """Members that are active, or have something in that year, by name."""
    terms, known = cycle_terms.current(session, cycle_terms.checked_year(year)), rows(session, year)
    return Year(
        year=year, basis=cycle_terms.basis(session, year, accounts), terms=terms,
        telling=cycle_terms.telling(session, year, accounts, today),
        unit=cycle_terms.words(accounts.unit(f"{year}-12")),
        closed=cycle_terms.closed(session, year), settled=any(row.settled is not None for row in known),
        rows=tuple(known),
    )  # fmt: skip


def rows(session: Session, year: int, member_id: int | None = None) -> list[Row]:
    """Of one member, or of all that are active or have something in that year, by name."""
    terms, modes = cycle_terms.current(session, year), billing.months(session, year)
    forecasts = cycle_forecasts.in_force(session, year, member_id)
    calls = dues.listed(session, year, "call")  # of all, whose last says which months are called
    made = cycle_calls.documents(calls)
    called_until = max(map(cycle_calls.last, made.values()), default=0)
    settlements = dues.listed(session, year, "settlement", member_id)
    stated = _stated(session, year)
    members = sa.select(Member).order_by(Member.name, Member.siret)
    if member_id is not None:
        members = members.where(Member.id == member_id)
    found = []
    for member in session.scalars(members):
        held, issued = forecasts.get(member.id, []), calls.get(member.id, [])
        if member.state != "active" and not (held or issued or member.id in stated):
            continue
        planned: list[Call] = []
        if terms and not settlements and member.state == "active":
            planned = cycle_calls.plan(
                held, terms.unit_cost, terms.frequency, modes[member.id], made.get(member.id, []), called_until
            )  # fmt: skip
        cost, withheld = stated.get(member.id, (NONE, NONE))
        end = settlements.get(member.id)
        found.append(Row(
            slug=member.slug, name=member.name, modes=tuple(dict.fromkeys(modes[member.id])),
            units=sum((one.units for one in held), Decimal(0)), forecasts=tuple(held), calls=tuple(issued),
            foreseen=sum((cycle_calls.of_line(one, terms.unit_cost) for one in held), NONE) if terms else None,
            planned=tuple(planned), withheld=withheld, cost=cost, settled=end[0].amount if end else None,
        ))  # fmt: skip
    return found


def _stated(session: Session, year: int) -> dict[int, tuple[Decimal, Decimal]]:
    """By member what its statements of a year say: euros in all, and withheld."""
    sums = sa.func.sum(Statement.total), sa.func.coalesce(sa.func.sum(Statement.withheld), NONE)
    query = (
        sa.select(Statement.member_id, *sums)
        .join(Period, Period.id == Statement.period_id)
        .where(Period.label.startswith(f"{year}-"), ~Period.sample)
        .group_by(Statement.member_id)
    )
    return {member: (total, withheld or NONE) for member, total, withheld in session.execute(query)}


def years(session: Session, member_id: int, present: int) -> list[int]:
    """Years in which a member has a statement, a call or a forecast, and the present one; newest first."""
    labels = session.scalars(
        sa.select(Period.label).join(Statement, Statement.period_id == Period.id)
        .where(Statement.member_id == member_id, ~Period.sample)
    )  # fmt: skip
    foreseen = session.scalars(sa.select(Forecast.year).where(Forecast.member_id == member_id))
    found = {int(label[:4]) for label in labels} | {*dues.years(session, member_id)} | {*foreseen}
    return sorted(found | {present}, reverse=True)


def document(found: Year) -> dict[str, Any]:
    """The same for programs."""
    terms, basis = found.terms, found.basis
    return {
        "year": found.year, "unit": found.unit, "closed": found.closed, "settled": found.settled,
        "basis": {"year": basis.year, "costs": basis.costs, "units": basis.units, "unit_cost": basis.unit_cost},
        "terms": told(terms) if terms else None,
        "telling": {"state": found.telling.state, "vote": found.telling.vote, "source": found.telling.source},
        "members": [
            {"slug": row.slug, "name": row.name, "modes": list(row.modes), "units": row.units,
             "foreseen": row.foreseen, "calls": len(row.calls), "called": row.called, "to_call": row.to_call,
             "withheld": row.withheld, "cost": row.cost, "settled": row.settled}
            for row in found.rows
        ],
    }  # fmt: skip


def told(terms: YearTerms) -> dict[str, Any]:
    """What was told, for programs."""
    names = ("year", "unit", "base_year", "costs", "units", "costs_change", "units_change", "unit_cost", "frequency",
             "told_on", "source")  # fmt: skip
    return {name: getattr(terms, name) for name in names}


def called(due: Due) -> dict[str, Any]:
    """A due, for programs."""
    known = dues.read(due)
    return {"member": known["member"]["slug"], "year": due.year, "kind": due.kind, "number": due.number,
            "reference": known["reference"], "period": known["period"], "since": cycle_calls.since(known),
            "dated": due.dated, "amount": due.amount, "hash": due.hash}  # fmt: skip
