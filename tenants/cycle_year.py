"""A year's end: the uses converted into units, what they cost, what was called or withheld, and the difference.

The yearly statement (état annuel, CGCT art. D.5211-16) of a member is the document of its settlement: sealed once all
months of the year are closed and the next year's unit cost is told. Before, it is a draft, made of what is stated.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator.errors import Conflict, Text
from orchestrator.tables import Member
from tenants import cycle_calls, cycle_forecasts, cycle_terms, dues
from tenants.accounting import Accounting
from tenants.cost_entries import CENT
from tenants.cycle_terms import MILLIONTH
from tenants.statements import Document
from tenants.tables import Offer, Period, Statement
from tenants.tables_cycle import Due, Forecast, YearTerms

NONE = Decimal("0.00")
SETTLED = ("calls", "deduction")  # modes that a year's end settles
USES = """
SELECT u.member_id, p.label, coalesce(v.specification ->> 'offer', '') AS offer, b.code,
    sum(u.quantity * extract(epoch FROM upper(u.during) - lower(u.during))) AS held
FROM usage_intervals u JOIN periods p ON p.id = u.period_id JOIN meters b ON b.id = u.meter_id
JOIN resources r ON r.id = u.resource_id JOIN services v ON v.id = r.service_id
WHERE u.period_id = ANY(:periods) AND b.code = ANY(:meters)
    AND (CAST(:member AS bigint) IS NULL OR u.member_id = :member)
GROUP BY u.member_id, p.label, offer, b.code
"""


@dataclass
class Facts:
    """What a year's documents are made of. periods: its months; by member statements, uses, calls and forecasts."""

    year: int
    periods: dict[int, Period]
    terms: YearTerms | None
    next: YearTerms | None
    unit: dict[str, str]
    weights: dict[str, Decimal]
    titles: dict[str, Any]
    statements: dict[int, list[Statement]] = field(default_factory=dict)
    uses: dict[int, list[Any]] = field(default_factory=dict)
    calls: dict[int, list[Due]] = field(default_factory=dict)
    forecasts: dict[int, list[Forecast]] = field(default_factory=dict)


def facts(session: Session, year: int, accounts: Accounting, member_id: int | None = None) -> Facts:
    """Of a year, of one member or of all."""
    months = session.scalars(
        sa.select(Period)
        .where(Period.label.startswith(f"{year}-"), ~Period.sample, Period.metered_until.is_not(None))
        .order_by(Period.label)
    )
    unit = accounts.unit(f"{year}-12")
    found = Facts(
        year=cycle_terms.checked_year(year), periods={month.id: month for month in months},
        terms=cycle_terms.current(session, year), next=cycle_terms.current(session, year + 1),
        unit=cycle_terms.words(unit), weights=dict(unit.meters),
        titles=dict(session.execute(sa.select(Offer.slug, Offer.title).order_by(Offer.slug, Offer.version)).all()),
        calls=dues.listed(session, year, "call", member_id),
        forecasts=cycle_forecasts.in_force(session, year, member_id),
    )  # fmt: skip
    stated = sa.select(Statement).where(Statement.period_id.in_(found.periods)).order_by(Statement.period_id)
    if member_id is not None:
        stated = stated.where(Statement.member_id == member_id)
    for one in session.scalars(stated):
        found.statements.setdefault(one.member_id, []).append(one)
    asked = {"periods": list(found.periods), "meters": list(found.weights), "member": member_id}
    for use in session.execute(sa.text(USES), asked):
        found.uses.setdefault(use.member_id, []).append(use)
    return found


def annual(session: Session, year: int, member: Member, accounts: Accounting, today: date) -> Document:
    """A member's yearly statement: as it was sealed, else a draft of this day."""
    kept = session.scalar(
        sa.select(Due).where(Due.member_id == member.id, Due.year == year, Due.kind == "settlement")
    )  # fmt: skip
    if kept:
        return dues.read(kept)
    body = document(facts(session, year, accounts, member.id), member)
    return {**body, **dues.head(member, year, "settlement", 0, today), "state": "draft"}


def document(known: Facts, member: Member) -> Document:
    """The yearly statement, but for what `dues.head` says. Figures are texts; what is not known is null.

    owed: of the months that a year's end settles, what their statements ask for; settled: owed less called or withheld.
    """
    units, uses = _uses(known, known.uses.get(member.id, ()))
    months = [
        _month(known.periods[one.period_id], one, units)
        for one in sorted(known.statements.get(member.id, ()), key=lambda one: known.periods[one.period_id].label)
    ]
    calls = [
        {
            **{name: told[name] for name in ("number", "dated", "reference", "amount", "period")},
            "hash": told["hash"],
            "since": cycle_calls.since(told),
        }
        for told in map(dues.read, known.calls.get(member.id, ()))
    ]
    called, withheld = _total(calls, "amount"), _total(months, "withheld")
    owed = {mode: _total([one for one in months if one["mode"] == mode], "payable") for mode in SETTLED}
    settled = {"calls": owed["calls"] - called, "deduction": owed["deduction"] - withheld}
    whole = sum(units.values(), Decimal(0))
    told = known.terms.unit_cost if known.terms else None
    return {
        "period": f"{known.year}-12", "unit": known.unit, "months": months, "uses": uses, "units": _text(whole),
        "forecast": [_forecast(one) for one in known.forecasts.get(member.id, ())],
        "terms": _terms(known.terms), "next": _terms(known.next), "observed": _observed(known),
        "at_unit_cost": None if told is None else str((whole * told).quantize(CENT, ROUND_HALF_UP)),
        "total": str(_total(months, "total")), "owed": str(sum(owed.values(), NONE)), "calls": calls,
        "called": str(called), "withheld": str(withheld),
        "settled": {mode: str(amount) for mode, amount in settled.items()},
        "amount": str(sum(settled.values(), NONE)),
    }  # fmt: skip


def _uses(known: Facts, held: Iterable[Any]) -> tuple[dict[str, Decimal], list[Document]]:
    """Units by month, and each offer's uses by meter: their sums are equal, since each part is rounded once."""
    months: dict[str, Decimal] = defaultdict(Decimal)
    hours: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    units: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for use in held:
        part = (use.held * known.weights[use.code] / 3600).quantize(MILLIONTH, ROUND_HALF_UP)
        months[use.label] += part
        units[use.offer, use.code] += part
        hours[use.offer, use.code] += use.held
    return months, [
        {"offer": offer, "title": known.titles.get(offer), "meter": meter, "weight": str(known.weights[meter]),
         "hours": str((hours[offer, meter] / 3600).quantize(MILLIONTH, ROUND_HALF_UP)),
         "units": _text(units[offer, meter])}
        for offer, meter in sorted(units, key=lambda key: (key[0] == "", key))
    ]  # fmt: skip


def _month(period: Period, statement: Statement, units: dict[str, Decimal]) -> Document:
    return {
        "period": period.label, "state": "closed" if period.state == "closed" else "draft",
        "mode": statement.billing or "title", "units": _text(units.get(period.label, Decimal(0))),
        "total": str(statement.total), "payable": str(statement.total + (statement.vat or 0)),
        "withheld": str(statement.withheld or NONE), "statement": statement.hash,
    }  # fmt: skip


def _forecast(one: Forecast) -> Document:
    return {"kind": one.kind, "subject": one.subject, "units": str(one.units), "first": one.first, "last": one.last,
            "convention": one.reference}  # fmt: skip


def _terms(terms: YearTerms | None) -> Document | None:
    if terms is None:
        return None
    return {"year": terms.year, "unit_cost": str(terms.unit_cost), "unit": terms.unit, "told_on": str(terms.told_on),
            "frequency": terms.frequency, "source": terms.source}  # fmt: skip


def _observed(known: Facts) -> str | None:
    """What a unit really cost in the year: the next year's cost was found from it."""
    if known.next is None or known.next.base_year != known.year or not known.next.units:
        return None
    return str(cycle_terms.divided(known.next.costs, known.next.units))


def _text(units: Decimal) -> str:
    return str(units.quantize(MILLIONTH))


def _total(rows: Iterable[Document], name: str) -> Decimal:
    return sum((Decimal(row[name]) for row in rows), NONE)


def settle(session: Session, year: int, accounts: Accounting, today: date) -> list[Due]:
    """Seal the yearly statement of every member with a statement or a call, by SIRET: once.

    Raises Conflict year_not_closed, cost_not_told (of the next year), year_settled or year_wrong (its proof fails).
    """
    cycle_terms.refuse_settled(session, cycle_terms.checked_year(year))
    session.execute(sa.select(Period.id).where(Period.label.startswith(f"{year}-")).with_for_update(read=True))
    cycle_terms.refuse_unclosed(session, year)
    cycle_terms.needed(session, year + 1)
    known = facts(session, year, accounts)
    members = session.scalars(
        sa.select(Member).where(Member.id.in_({*known.statements, *known.calls})).order_by(Member.siret.collate("C"))
    ).all()
    made = []
    for member in members:
        body = document(known, member)
        made.append(dues.add(session, member, year, "settlement", 0, today, Decimal(body["amount"]), body))
    if wrong := differences(session, year):
        raise Conflict("year_wrong", Text("Ces états annuels ne se vérifient pas : {references}.",
                                          references=", ".join(wrong[:5])),
                       "Rien n’est scellé : prévenez la DSI.")  # fmt: skip
    return made


def differences(session: Session, year: int) -> list[str]:
    """References of the settlements whose sums do not follow from closed statements and calls; none, in a true year."""
    rows = session.execute(sa.text(PROOF), {"year": year, "months": f"{year}-%"})
    return [json.loads(row.document)["reference"] for row in rows]


# Worked out anew from rows, beside the documents that were sealed.
PROOF = """
SELECT d.document FROM dues d LEFT JOIN LATERAL (
    SELECT sum(t.total + coalesce(t.vat, 0) - coalesce(t.withheld, 0)) AS due FROM statements t
    JOIN periods p ON p.id = t.period_id WHERE t.member_id = d.member_id AND NOT p.sample AND p.state = 'closed'
        AND p.label LIKE :months AND t.billing IN ('calls', 'deduction')) s ON true
LEFT JOIN LATERAL (SELECT sum(c.amount) AS called FROM dues c
    WHERE c.member_id = d.member_id AND c.year = d.year AND c.kind = 'call') c ON true
WHERE d.kind = 'settlement' AND d.year = :year
    AND d.amount <> coalesce(s.due, 0) - coalesce(c.called, 0)
"""
