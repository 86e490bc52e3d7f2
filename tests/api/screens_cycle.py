"""What is looked at of the yearly cycle. They join SCREENS."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

from sqlalchemy.orm import Session

from orchestrator.settings import ROOT
from orchestrator.tables import Member
from tenants import accounting, billing, cycle_calls, cycle_forecasts, cycle_terms, cycle_year, dues
from tests.api.screen import MEMBER, TERRITORY, Screen, inside, typed
from tests.api.screens_admin import given


def cycled(session: Session, member_id: int) -> int:
    """Next year: its unit cost is told, brevaux pays by calls of which the first quarter's is made."""
    today = datetime.now(UTC).date()
    year, accounts = today.year + 1, accounting.load(ROOT / "nowhere")
    billing.change(session, "brevaux", f"{year}-01", "calls", "", "Délibération 2026-12-14/04")
    told = {"costs_change": "24690", "units_change": "2000000", "frequency": "quarterly", "told_on": str(today),
            "source": "Courrier aux maires"}  # fmt: skip
    cycle_terms.tell(session, year, told, accounts, today)
    known = cycle_forecasts.subjects(session, year, accounts)
    for subject, units in (("vcpu", "17520"), (next(iter(known.offers)), "26280")):
        line = {"member": "brevaux", "subject": subject, "units": units, "reference": "Convention 2026-03"}
        cycle_forecasts.add(session, cycle_forecasts.read(year, line, known, "t"))
    cycle_calls.issue(session, year, 1, today)
    return year


def settled(session: Session, member_id: int) -> str:
    """A yearly statement that gives money back; as if its year had been closed."""
    known = cycle_year.facts(session, 2025, accounting.load(ROOT / "nowhere"))
    member = session.get_one(Member, member_id)
    body = {**cycle_year.document(known, member), "called": "1234.56", "amount": "-1234.56",
            "settled": {"calls": "-1234.56", "deduction": "0.00"}}  # fmt: skip
    if not dues.listed(session, 2025, "settlement", member_id):
        dues.add(session, member, 2025, "settlement", 0, date(2026, 2, 1), Decimal("-1234.56"), body)
    return "/statements/annual?year=2025"


SCREENS = (
    Screen("finance-cycle-before", "/finance/cycle?year=2040", TERRITORY),
    Screen("finance-cycle", "", TERRITORY, inside(lambda s, m: f"/finance/cycle?year={cycled(s, m)}")),
    Screen("finance-cycle-terms", "", TERRITORY, inside(lambda s, m: f"/finance/cycle/terms?year={cycled(s, m)}"),
           typed(costs_change="x", source="")),
    Screen("finance-cycle-forecast", "", TERRITORY,
           inside(lambda s, m: f"/finance/cycle/forecasts/brevaux?year={cycled(s, m)}"), typed(first="13")),
    Screen("finance-cycle-import", "/finance/cycle/import?year=2027", TERRITORY,
           act=given("membre;objet;unités\nbrevaux;vcpu;17520\nnul;rien;x\n")),
    Screen("annual-chosen", "/statements/annual", TERRITORY),
    Screen("annual", "", MEMBER, inside(lambda s, m: f"/statements/annual?year={cycled(s, m)}")),
    Screen("annual-sealed", "", MEMBER, inside(settled)),
)  # fmt: skip
