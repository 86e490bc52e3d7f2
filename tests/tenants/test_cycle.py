"""The yearly cycle to the cent: a unit cost told, forecasts, calls, the year's end; who joins and leaves in between.

Aubrac (vCPU-hours): 10000 all year; breval 1000 from July on (it joins), then until October (it leaves). At the unit
cost 0.012345: 123.45 → 10.29 × 9 + 10.28 × 3; 12.345 → 12.35, half up → 2.06 × 5 + 2.05.
"""

from __future__ import annotations

import csv
import json
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from orchestrator.database import member_session, territory_session
from orchestrator.errors import Conflict, InvalidInput
from orchestrator.tables import Member
from tenants import (
    billing,
    cycle,
    cycle_calls,
    cycle_files,
    cycle_forecasts,
    cycle_terms,
    cycle_year,
    dues,
    periods,
    pretitles,
)
from tenants.accounting import Accounting, Declaration
from tenants.finance import Sharing
from tenants.tables_cycle import Due, Forecast
from tests.tenants.costed import ACCOUNTS
from tests.tenants.ledger import LATER, PARIS, close_the_rest
from tests.tenants.test_month import write_month

DAY = date(2026, 3, 1)
TERMS = {"costs_change": "246,90", "units_change": "20000", "frequency": "monthly", "told_on": "2026-02-20",
         "source": "Courrier du 20 février"}  # fmt: skip


def tell(session: Session, year: int = 2026, today: date = DAY, **more: str) -> None:
    cycle_terms.tell(session, year, {**TERMS, **more}, ACCOUNTS, today)


def vote(before: str) -> Declaration:
    """A territory that says when its budget is voted."""
    return Declaration.model_validate(
        {"votes": [{"from": "2026-01", "before": before, "source": "Délibération", "read_on": "2026-01-02"}]}
    )


def foresee(session: Session, member: str, units: str, first: int = 1, last: int = 12) -> None:
    known = cycle_forecasts.subjects(session, 2026, ACCOUNTS)
    told = {"member": member, "subject": "vcpu", "units": units, "first": str(first), "last": str(last),
            "reference": "Convention 2026"}  # fmt: skip
    cycle_forecasts.add(session, cycle_forecasts.read(2026, told, known, "test"))


@pytest.fixture
def begun(staff: sa.Engine) -> Sharing:
    """Aubrac and breval pay by calls, desert for information; what is forecast of the year is told."""
    with territory_session(staff, "test") as session:
        declared = write_month(session)
        for slug in ("aubrac", "breval"):
            billing.change(session, slug, "2026-01", "calls", "", "D-1")
        billing.change(session, "desert", "2026-01", "information", "", "D-2")
        tell(session)
        foresee(session, "aubrac", "10000")
        foresee(session, "breval", "1 000", first=7)
        foresee(session, "desert", "500")
        return declared


def amounts(made: list[Due], session: Session, slug: str) -> list[str]:
    member = session.scalar(sa.select(Member.id).where(Member.slug == slug))
    return [str(due.amount) for due in made if due.member_id == member]


def test_a_budget_is_voted_on_a_day_of_each_year() -> None:
    assert [vote(day).votes[0].on(2027) for day in ("03-30", "12-31")] == [date(2027, 3, 30), date(2027, 12, 31)]
    for day in ("02-29", "04-31", "13-01", "4-15"):
        with pytest.raises(ValidationError):
            vote(day)


def test_the_unit_cost_is_told_with_its_day(staff: sa.Engine) -> None:
    with territory_session(staff, "test") as session:
        assert cycle_terms.basis(session, 2026, ACCOUNTS).unit_cost is None
        states = [cycle_terms.telling(session, 2026, ACCOUNTS, day).state for day in (DAY, date(2026, 4, 15))]
        assert states == ["waiting", "overdue"]
        with pytest.raises(InvalidInput) as wrong:
            tell(session, told_on="2026-03-02", frequency="daily", units_change="0", costs_change="-1", source="")
        fields = {one["parameter"] for one in wrong.value.facts["errors"]}
        assert fields == {"told_on", "frequency", "units_change", "costs_change", "source"}
        with pytest.raises(InvalidInput):  # a unit for as much as no column holds
            tell(session, costs_change="9999999999", units_change="0,000001")
        tell(session)
        terms = cycle_terms.needed(session, 2026)
        assert (terms.unit_cost, terms.base_year) == (Decimal("0.012345"), None)
        found = cycle_terms.telling(session, 2026, ACCOUNTS, date(2026, 12, 1))
        assert (found.state, found.vote) == ("told", date(2026, 4, 15))
        own = vote("02-20")
        found = cycle_terms.telling(session, 2026, Accounting(own, ACCOUNTS.ours), DAY)
        assert (found.state, found.source, found.read_on) == ("late", "Délibération", date(2026, 1, 2))
    with territory_session(staff, "test") as session, pytest.raises(DBAPIError):
        session.execute(sa.text("UPDATE year_terms SET unit_cost = 1"))


@pytest.mark.slow
def test_calls_are_exact_over_the_year(staff: sa.Engine, begun: Sharing) -> None:
    with territory_session(staff, "test") as session:
        with pytest.raises(Conflict) as refused:
            cycle_calls.issue(session, 2027, 1, DAY)
        assert refused.value.code == "cost_not_told"
        first = cycle_calls.issue(session, 2026, 3, DAY)
        assert amounts(first, session, "aubrac") == ["10.29"] * 3
        assert cycle_calls.issue(session, 2026, 3, DAY) == []
        rest = cycle_calls.issue(session, 2026, 12, DAY)
        assert amounts(first + rest, session, "aubrac") == ["10.29"] * 9 + ["10.28"] * 3
        assert amounts(rest, session, "breval") == ["2.06"] * 5 + ["2.05"]
        assert len(first + rest) == 18  # desert, for information, has none
        told = [dues.read(due) for due in rest if due.number == 4]
        assert [(one["reference"], one["period"]) for one in told] == [
            ("2026-A04-000000001", "2026-04"), ("2026-A04-000000002", "2026-10")]  # fmt: skip
        assert [dues.first_break(session, one) for one in session.scalars(sa.select(Member))] == [None] * 4


def test_quarters_and_years_are_called_in_their_first_month(staff: sa.Engine, begun: Sharing) -> None:
    with territory_session(staff, "test") as session:
        tell(session, frequency="quarterly")
        made = cycle_calls.issue(session, 2026, 7, DAY)
        assert amounts(made, session, "aubrac") == ["30.87"] * 3
        assert amounts(made, session, "breval") == ["6.18"]
        tell(session, frequency="yearly")
        made = cycle_calls.issue(session, 2026, 12, DAY)
        assert (amounts(made, session, "aubrac"), amounts(made, session, "breval")) == (["30.84"], ["6.17"])
        lines = dues.read(made[0])["lines"]
        assert [(one["subject"], one["months"], one["amount"]) for one in lines] == [("vcpu", [10, 11, 12], "30.84")]


def test_a_new_forecast_changes_what_is_still_to_be_called(staff: sa.Engine, begun: Sharing) -> None:
    with territory_session(staff, "test") as session:
        made = cycle_calls.issue(session, 2026, 8, DAY)
        foresee(session, "breval", "500", first=7, last=10)  # it leaves: 6.17 in all, 4.12 called
        foresee(session, "aubrac", "5000")  # 61.73 in all, 82.32 called: nothing more, the year's end gives back
        made = cycle_calls.issue(session, 2026, 12, DAY)
        assert amounts(made, session, "breval") == ["1.03", "1.02"]
        assert amounts(made, session, "aubrac") == []


def test_who_comes_late_is_asked_for_its_past_months_at_once(staff: sa.Engine, begun: Sharing) -> None:
    with territory_session(staff, "test") as session:
        cycle_calls.issue(session, 2026, 3, DAY)
        billing.change(session, "desert", "2026-01", "calls", "", "D-3")
        foresee(session, "desert", "10000")
        assert cycle_calls.issue(session, 2026, 3, DAY) == []
        [row] = [one for one in cycle.rows(session, 2026) if one.slug == "desert"]
        assert [(call.month, call.since) for call in row.planned][:2] == [(4, 1), (5, 5)]
        made = cycle_calls.issue(session, 2026, 5, DAY)
        assert amounts(made, session, "desert") == ["41.16", "10.29"]
        said = [one["Objet"] for one in cycle_files.calls(session, 2026, 4, ACCOUNTS)]
        assert [one.partition("appel ")[2] for one in said] == ["4", "1 (depuis 01/2026)"]


def line(subject: str, units: int, first: int = 1, last: int = 12) -> Forecast:
    return Forecast(member_id=1, year=2026, kind="offer", subject=subject, units=Decimal(units), first=first, last=last,
                    reference="c")  # fmt: skip


def as_issued(call: cycle_calls.Call) -> dict[str, Any]:
    return {"year": 2026, "period": f"2026-{call.month:02}", "lines": [
        {"kind": one.kind, "subject": one.subject, "months": list(months), "amount": str(amount)}
        for one, months, amount in call.lines]}  # fmt: skip


@pytest.mark.parametrize(
    ("frequency", "called", "asked"),
    [
        # After March was called, the line of the whole year asks for January to April in April, then month by month.
        ("monthly", 3, [(4, [1, 2, 3, 4], "16.00"), (5, [5], "4.00"), (6, [6], "4.00")]),
        ("monthly", 12, [(12, list(range(1, 13)), "48.00")]),
        ("quarterly", 1, [(4, [1, 2, 3, 4, 5, 6], "24.00"), (7, [7, 8, 9], "12.00"), (10, [10, 11, 12], "12.00")]),
        ("quarterly", 10, [(10, list(range(1, 13)), "48.00")]),
        ("yearly", 1, [(1, list(range(1, 13)), "48.00")]),
    ],
)
def test_a_late_line_asks_for_its_past_months_in_one_call(
    frequency: str, called: int, asked: list[tuple[int, list[int], str]]
) -> None:
    old, late, modes = line("old", 12), line("late", 48), ["calls"] * 12
    before = cycle_calls.plan([old], Decimal(1), frequency, modes, [])
    issued = [as_issued(call) for call in before if call.month <= called]
    for others, lines in (([], [old, late]), (issued, [late])):  # a member of the year, or one that comes late itself
        mine = [] if others else issued
        calls = cycle_calls.plan(lines, Decimal(1), frequency, modes, mine, max(map(cycle_calls.last, [others])))
        found = [(call.month, list(months), f"{amount}") for call in calls for one, months, amount in call.lines
                 if one is late]  # fmt: skip
        assert found[: len(asked)] == asked
        assert sum(Decimal(amount) for _, _, amount in found) == 48
        told = as_issued(calls[0])
        assert (cycle_calls.since(told), calls[0].since) == ("2026-01", 1)


def test_a_file_says_each_subject_of_a_member_once(staff: sa.Engine, begun: Sharing) -> None:
    told = "membre;objet;unités;premier mois;dernier mois;convention\n"
    halves = "aubrac;vcpu;100;1;6;C\nbreval;vcpu;5;;;C\naubrac;vcpu;200;7;12;C\n"
    with territory_session(staff, "test") as session:
        known = cycle_forecasts.subjects(session, 2026, ACCOUNTS)
        lines = cycle_forecasts.read_file(2026, told + halves, known, "test")
        assert [[one["parameter"] for one in line.faults] for line in lines] == [[], [], ["subject"]]
        assert cycle_forecasts.total(lines) == 105
        with pytest.raises(InvalidInput):
            cycle_forecasts.keep(session, lines)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    units=st.lists(st.decimals("0.01", 99999, places=2), min_size=1, max_size=4),
    cost=st.decimals("0.000001", 9, places=6),
    first=st.integers(1, 12),
    steps=st.lists(st.sampled_from(["monthly", "quarterly", "yearly"]), min_size=12, max_size=12),
)
def test_whatever_the_steps_the_calls_sum_to_the_convention(
    units: list[Decimal], cost: Decimal, first: int, steps: list[str]
) -> None:
    lines = [Forecast(member_id=1, year=2026, kind="offer", subject=f"o{at}", units=held, first=first, last=12,
                      reference="c") for at, held in enumerate(units)]  # fmt: skip
    issued: list[dict[str, Any]] = []
    for month, frequency in enumerate(steps, 1):
        for call in cycle_calls.plan(lines, cost, frequency, ["calls"] * 12, issued):
            if call.month <= month:
                issued.append(as_issued(call))
    sums = {line.subject: sum(Decimal(one["amount"]) for document in issued for one in document["lines"]
                              if one["subject"] == line.subject) for line in lines}  # fmt: skip
    assert sums == {line.subject: cycle_calls.of_line(line, cost) for line in lines}


def close(session: Session, label: str, declared: Sharing) -> None:
    after = LATER.replace(year=2027)
    periods.draft(session, label, declared, after, PARIS)
    assert periods.check(session, label) == []
    periods.close(session, label, after)


@pytest.mark.slow
def test_a_year_is_settled_and_told(staff: sa.Engine, web: sa.Engine, begun: Sharing) -> None:
    end = date(2027, 2, 1)
    with territory_session(staff, "test") as session:
        billing.change(session, "desert", "2026-12", "deduction", "5,00", "D-3")
        cycle_calls.issue(session, 2026, 12, DAY)
        close(session, "2026-03", begun)
        with pytest.raises(Conflict) as refused:
            cycle_year.settle(session, 2026, ACCOUNTS, end)
        assert refused.value.code == "year_not_closed"
        close(session, "2026-12", Sharing())
        with pytest.raises(Conflict) as refused:
            cycle_year.settle(session, 2026, ACCOUNTS, end)
        assert refused.value.code == "year_not_closed", "what a month that was forgotten owes would be in no settlement"
        assert "2026-04, 2026-05, 2026-06…" in str(refused.value)
        close_the_rest(session, 2026)
        with pytest.raises(Conflict) as refused:
            cycle_year.settle(session, 2026, ACCOUNTS, end)
        assert refused.value.code == "cost_not_told"
        [alone] = pretitles.year(session, "2026", ACCOUNTS)
        assert (alone["Nom du tiers"], alone["Montant (EUR)"], alone["Sens"]) == ("Desert", Decimal("5.00"), "à verser")
        tell(session, 2027, end, told_on="2027-01-20", units_change="0", costs_change="10,00")
        made = cycle_year.settle(session, 2026, ACCOUNTS, end)
        known = {read["member"]["slug"]: read for read in map(dues.read, made)}
        totals = dict(session.execute(sa.text(
            "SELECT m.slug, sum(t.total) FROM statements t JOIN members m ON m.id = t.member_id GROUP BY m.slug"
        )).all())  # fmt: skip
        assert cycle_year.differences(session, 2026) == []
        found = cycle.overview(session, 2026, ACCOUNTS, end)
        assert (found.settled, found.closed, found.telling.state) == (True, True, "told")
        with pytest.raises(Conflict):
            foresee(session, "aubrac", "1")
        with pytest.raises(Conflict):
            cycle_year.settle(session, 2026, ACCOUNTS, end)
        with pytest.raises(Conflict) as refused:
            pretitles.year(session, "2026", ACCOUNTS)
        assert refused.value.code == "year_settled", "two files with the same references would be paid twice"
    assert {slug: Decimal(one["amount"]) for slug, one in known.items()} == {
        "aubrac": totals["aubrac"] - Decimal("123.45"), "breval": totals["breval"] - Decimal("12.35"),
        "cidre": 0, "desert": Decimal("-5.00"),  # March for information; nothing used in December, 5.00 withheld
    }  # fmt: skip
    aubrac = known["aubrac"]
    assert sum(Decimal(one["units"]) for one in aubrac["uses"]) == Decimal(aubrac["units"]) == 743 * 2 + 744 * 2
    assert sum(Decimal(one["units"]) for one in aubrac["months"]) == Decimal(aubrac["units"])
    assert (aubrac["terms"]["told_on"], aubrac["next"]["told_on"]) == ("2026-02-20", "2027-01-20")
    assert Decimal(aubrac["observed"]) < Decimal(aubrac["next"]["unit_cost"])
    with territory_session(staff, "test") as session:
        _check_files(session, known)
        with pytest.raises(DBAPIError):
            session.execute(sa.text("DELETE FROM dues"))
    with territory_session(staff, "test") as session:
        breval = session.scalars(sa.select(Member).where(Member.slug == "breval")).one()
    with member_session(web, breval.id, "agent") as session:
        assert dues.years(session) == [2026]
        assert {due.member_id for due in session.scalars(sa.select(Due))} == {breval.id}
        mine = session.get_one(Member, breval.id)
        assert cycle_year.annual(session, 2026, mine, ACCOUNTS, end)["hash"] == known["breval"]["hash"]
        assert cycle_year.annual(session, 2027, mine, ACCOUNTS, end)["state"] == "draft"


def _check_files(session: Session, known: dict[str, Any]) -> None:
    def rows(content: bytes) -> list[dict[str, str]]:
        return list(csv.DictReader(content.decode("utf-8-sig").splitlines(), delimiter=";"))

    calls = rows(pretitles.as_csv(cycle_files.calls(session, 2026, None, ACCOUNTS)))
    assert len(calls) == 18
    assert sum(Decimal(row["Montant (EUR)"].replace(",", ".")) for row in calls) == Decimal("135.80")
    assert {row["Compte de l’agglomération"] for row in calls} == {"70875"}
    assert len(cycle_files.calls(session, 2026, 7, ACCOUNTS)) == 2
    ends = {row["Nom du tiers"]: row for row in cycle_files.settlements(session, 2026, ACCOUNTS)}
    assert {name: row["Flux"] for name, row in ends.items()} == {
        "Aubrac": "réduction" if Decimal(known["aubrac"]["amount"]) < 0 else "complément",
        "Breval": "complément", "Desert": "régularisation AC",
    }  # fmt: skip
    assert ends["Breval"]["Référence"] == "2026-REG-000000002"
    assert ends["Desert"]["Empreinte du relevé"] == known["desert"]["hash"]
    files = [cycle_files.annual_csv([known["aubrac"]]) for _ in range(2)]
    assert files[0] == files[1]
    told = rows(files[0])
    last = {row["Nature"]: row["Montant (EUR)"] for row in told}
    assert last["régularisation"].replace(",", ".") == known["aubrac"]["amount"]
    assert json.loads(cycle_files.annual_json(known["aubrac"]))["hash"] == known["aubrac"]["hash"]


@pytest.mark.slow
def test_a_reduction_says_that_helios_issues_no_credit_note(staff: sa.Engine, begun: Sharing) -> None:
    with territory_session(staff, "test") as session:
        foresee(session, "breval", "99999")
        cycle_calls.issue(session, 2026, 12, DAY)
        close(session, "2026-03", begun)
        close(session, "2026-12", Sharing())
        close_the_rest(session, 2026)
        tell(session, 2027, date(2027, 2, 1), told_on="2027-01-20")
        cycle_year.settle(session, 2026, ACCOUNTS, date(2027, 2, 1))
        [row] = [row for row in cycle_files.settlements(session, 2026, ACCOUNTS) if row["Nom du tiers"] == "Breval"]
    assert (row["Flux"], row["Sens"]) == ("réduction", "à verser")
    assert "Hélios n’émet pas l’avoir" in row["Mention"]


def test_forecasts_from_a_spreadsheet(staff: sa.Engine, begun: Sharing) -> None:
    good = "membre;objet;unités;premier mois;dernier mois;convention\naubrac;vcpu;17 520,5;;;C-1\n"
    with territory_session(staff, "test") as session:
        known = cycle_forecasts.subjects(session, 2026, ACCOUNTS)
        lines = cycle_forecasts.read_file(2026, good + "nul;rien;x;5;2;\n;;;;;;;\nbreval;vcpu;1;;13;C\n", known, "t")
        assert [[one["parameter"] for one in line.faults] for line in lines] == [
            [], ["member", "subject", "units", "last", "reference"], ["last"]]  # fmt: skip
        with pytest.raises(InvalidInput) as refused:
            cycle_forecasts.keep(session, lines)
        assert {one["line"] for one in refused.value.facts["errors"]} == {3, 5}
        assert cycle_forecasts.keep(session, cycle_forecasts.read_file(2026, good, known, "t")) == 1
        held = cycle_forecasts.in_force(session, 2026)[known.members["aubrac"].id]
        assert [(one.units, one.reference) for one in held] == [(Decimal("17520.5"), "C-1")]
        with pytest.raises(InvalidInput):
            billing.change(session, "cidre", "2026-01", "calls", "", "D")  # a company pays each month, with its VAT
