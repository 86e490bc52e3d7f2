"""Calls on account: forecast units × the unit cost that was told, month by month, exact to the cent over the year.

A line of the convention is rounded once; its months are its largest-remainder split in the order of time. What was
called stays: a new forecast or cost changes what is still to be called, and the year's settlement does the rest. A line
that is added once calls were made asks for its past months in one: in the next call, or in one more of the last.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator.errors import InvalidInput, Text
from orchestrator.tables import Member
from tenants import billing, cycle_forecasts, cycle_terms, dues
from tenants.cost_entries import CENT
from tenants.sharing import split
from tenants.statements import Document
from tenants.tables_cycle import FREQUENCIES, Due, Forecast

NONE = Decimal("0.00")
Subject = tuple[str, str]


@dataclass(frozen=True)
class Call:
    """A call to come. month: in which it is due; lines: forecast, months that it asks for and euros of each."""

    month: int
    lines: tuple[tuple[Forecast, tuple[int, ...], Decimal], ...]

    @property
    def amount(self) -> Decimal:
        """Euros."""
        return sum((amount for _, _, amount in self.lines), NONE)

    @property
    def since(self) -> int:
        """The first month that it asks for."""
        return min(months[0] for _, months, _ in self.lines)


def of_line(forecast: Forecast, unit_cost: Decimal) -> Decimal:
    """Euros of a line of the convention over its year."""
    return (forecast.units * unit_cost).quantize(CENT, ROUND_HALF_UP)


def last(issued: Iterable[Document]) -> int:
    """The last month (1 to 12) that calls ask for; 0: none was made."""
    return max((month for document in issued for line in document["lines"] for month in line["months"]), default=0)


def since(document: Document) -> str | None:
    """The first month, as 2026-01, that a call asks for; None of what is no call."""
    first = min((month for line in document.get("lines", ()) for month in line["months"]), default=None)
    return first and f"{document['year']}-{first:02}"


def plan(
    forecasts: Iterable[Forecast],
    unit_cost: Decimal,
    frequency: str,
    modes: Sequence[str],
    issued: Sequence[Document],
    called_until: int = 0,
) -> list[Call]:
    """What is still to be called of a year, by month. modes: how the member pays in each month; issued: calls made.

    called_until: the last month that was called of anybody; `last` of the member's own calls counts too.
    """
    step = FREQUENCIES[frequency]
    open_from = min(max(last(issued), called_until) + 1, 13 - step)
    covered: dict[Subject, set[int]] = {}
    called: dict[Subject, Decimal] = {}
    for document in issued:
        for line in document["lines"]:
            of = (line["kind"], line["subject"])
            covered.setdefault(of, set()).update(line["months"])
            called[of] = called.get(of, NONE) + Decimal(line["amount"])
    parts: dict[int, list[tuple[Forecast, int, Decimal]]] = {}
    for forecast in forecasts:
        of = (forecast.kind, forecast.subject)
        left = _left(forecast, unit_cost, modes, covered.get(of, set()), called.get(of, NONE))
        for month, amount in left.items():
            parts.setdefault((max(month, open_from) - 1) // step, []).append((forecast, month, amount))
    calls = [_call(held, open_from) for _, held in sorted(parts.items())]
    return [call for call in calls if call.amount]


def _left(
    forecast: Forecast, unit_cost: Decimal, modes: Sequence[str], covered: set[int], called: Decimal
) -> dict[int, Decimal]:
    """What a line still asks for in each of its months that is paid by calls and not covered."""
    whole = _months(of_line(forecast, unit_cost), range(forecast.first, forecast.last + 1))
    mine = {month: amount for month, amount in whole.items() if modes[month - 1] == "calls"}
    rest = max(sum(mine.values(), NONE) - called, NONE)
    open_ = [month for month in mine if month not in covered]
    return _months(rest, open_) if open_ else {}


def _months(amount: Decimal, months: Iterable[int]) -> dict[int, Decimal]:
    """An amount in equal parts; the cents that are left go to the first months."""
    found = split(amount, {f"{month:02}": Fraction(1) for month in months})
    return {int(month): one.amount for month, one in found.items()}


def _call(held: list[tuple[Forecast, int, Decimal]], open_from: int) -> Call:
    of: dict[Forecast, tuple[list[int], Decimal]] = {}
    for forecast, month, amount in held:
        months, before = of.get(forecast, ([], NONE))
        of[forecast] = ([*months, month], before + amount)
    lines = tuple((forecast, tuple(months), amount) for forecast, (months, amount) in of.items())
    return Call(max(min(month for _, month, _ in held), open_from), lines)


def checked_month(month: int, typed: str = "") -> int:
    """That month (1 to 12). typed: as somebody wrote it. Raises InvalidInput invalid_period."""
    if not 1 <= month <= 12:
        raise InvalidInput("invalid_period", Text("« {month} » n’est pas un mois.", month=typed[:20] or str(month)),
                           "Écrivez-le de 1 à 12.")  # fmt: skip
    return month


def documents(made: Mapping[int, Iterable[Due]]) -> dict[int, list[Document]]:
    """By member, what its calls say."""
    return {member: list(map(dues.read, calls)) for member, calls in made.items()}


def issue(session: Session, year: int, month: int, today: date) -> list[Due]:
    """Make every call of a year that is due by a month (1 to 12) and was not made: by SIRET, then time.

    Raises Conflict cost_not_told or year_settled, InvalidInput invalid_period.
    """
    checked_month(month)
    cycle_terms.refuse_settled(session, cycle_terms.checked_year(year))
    terms = cycle_terms.needed(session, year)
    modes, forecasts = billing.months(session, year), cycle_forecasts.in_force(session, year)
    made, found = documents(dues.listed(session, year, "call")), list[Due]()
    called_until = max(map(last, made.values()), default=0)
    for member in session.scalars(
        sa.select(Member).where(Member.id.in_(forecasts), Member.state == "active")
        .order_by(Member.siret.collate("C"))
    ):  # fmt: skip
        issued = made.get(member.id, [])
        calls = plan(forecasts[member.id], terms.unit_cost, terms.frequency, modes[member.id], issued, called_until)
        number = len(issued)
        for call in calls:
            if call.month <= month:
                number += 1
                body = _document(call, year, terms.unit_cost)
                found.append(dues.add(session, member, year, "call", number, today, call.amount, body))
    return found


def _document(call: Call, year: int, unit_cost: Decimal) -> Document:
    lines = [
        {"kind": one.kind, "subject": one.subject, "units": str(one.units), "convention": one.reference,
         "year_amount": str(of_line(one, unit_cost)), "months": list(months), "amount": str(amount)}
        for one, months, amount in call.lines
    ]  # fmt: skip
    return {"period": f"{year}-{call.month:02}", "unit_cost": str(unit_cost), "lines": lines,
            "total": str(call.amount)}  # fmt: skip
