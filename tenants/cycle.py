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
from tenants.tables_cycle import Due, YearTerms


@dataclass(frozen=True)
class Row:
    """A member's year. modes: in the order in which they hold; foreseen: euros of its forecast; planned: calls to come.

    settled: euros of its settlement (below zero: they go back); None before.
    """

    slug: str
    name: str
    modes: tuple[str, ...]
    units: Decimal
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
    terms = cycle_terms.current(session, cycle_terms.checked_year(year))
    modes, forecasts = billing.months(session, year), cycle_forecasts.in_force(session, year)
    calls, settlements = dues.listed(session, year, "call"), dues.listed(session, year, "settlement")
    stated = {row.member_id: row for row in session.execute(
        sa.select(Statement.member_id, sa.func.sum(Statement.total).label("cost"),
                  sa.func.coalesce(sa.func.sum(Statement.withheld), NONE).label("withheld"))
        .join(Period, Period.id == Statement.period_id)
        .where(Period.label.startswith(f"{year}-"), ~Period.sample).group_by(Statement.member_id)
    )}  # fmt: skip
    rows = []
    for member in session.scalars(sa.select(Member).order_by(Member.name, Member.siret)):
        held, issued = forecasts.get(member.id, []), calls.get(member.id, [])
        if member.state != "active" and not (held or issued or member.id in stated):
            continue
        costs = [cycle_calls.of_line(one, terms.unit_cost) for one in held] if terms else []
        planned: list[Call] = []
        if terms and not settlements and member.state == "active":
            planned = cycle_calls.plan(
                held, terms.unit_cost, terms.frequency, modes[member.id], map(dues.read, issued)
            )  # fmt: skip
        one = stated.get(member.id)
        end = settlements.get(member.id)
        rows.append(Row(
            slug=member.slug, name=member.name, modes=tuple(dict.fromkeys(modes[member.id])),
            units=sum((forecast.units for forecast in held), Decimal(0)),
            foreseen=sum(costs, NONE) if terms else None, calls=tuple(issued), planned=tuple(planned),
            withheld=one.withheld if one else NONE, cost=one.cost if one else NONE,
            settled=end[0].amount if end else None,
        ))  # fmt: skip
    return Year(
        year=year, basis=cycle_terms.basis(session, year, accounts), terms=terms,
        telling=cycle_terms.telling(session, year, accounts, today), unit=dict(accounts.unit(f"{year}-12").label),
        closed=cycle_terms.closed(session, year), settled=bool(settlements), rows=tuple(rows),
    )  # fmt: skip


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
            "reference": known["reference"], "period": known["period"], "dated": due.dated, "amount": due.amount,
            "hash": due.hash}  # fmt: skip
