"""The unit cost of March 2026, how members pay it, and the files for finance's software.

Units: vCPU-hours in service, of `test_month`: aubrac 743 h × 2 = 1486; breval 245.99.. h (1 vCPU until the resize, 2
after). Costs: 100.00 + 50.01 declared, 300.00 of energy, 1200.50 covered by prices: 1650.51.
"""

from __future__ import annotations

import csv
from decimal import Decimal

import pytest
import sqlalchemy as sa

from orchestrator.database import member_session, territory_session
from orchestrator.errors import Conflict, InvalidInput, NotFound
from orchestrator.tables import Member
from tenants import billing, contracts, periods, pretitles, statements, unit_cost
from tenants.finance import Sharing
from tenants.tables_finance import BillingMode
from tests.tenants.costed import ACCOUNTS, ENERGY, SUPPLIER, book
from tests.tenants.ledger import LATER, PARIS, Ledger, close_the_rest
from tests.tenants.taxed import ADDRESS
from tests.tenants.test_month import TOTALS, write_month

MONTH = "2026-03"


@pytest.fixture
def march(staff: sa.Engine) -> None:
    with territory_session(staff, "test") as session:
        declared = write_month(session)
        for one in (SUPPLIER, ENERGY):
            book(session, one)
        billing.change(session, "breval", "2026-01", "deduction", "80,00", "D-12")
        billing.change(session, "desert", "2026-03", "information", "", "D-13")
        periods.draft(session, MONTH, declared, LATER, PARIS)
        assert periods.check(session, MONTH) == []


def test_before_anything_there_is_no_unit_cost(staff: sa.Engine) -> None:
    with territory_session(staff, "test") as session:
        found = unit_cost.report(session, "2026", ACCOUNTS)
        assert (found.months, found.unit_cost, found.members, found.total) == ([], None, [], 0)
        for when in ("mars", "2026-3", "20260"):
            with pytest.raises(InvalidInput):
                unit_cost.report(session, when, ACCOUNTS)


@pytest.mark.slow
@pytest.mark.usefixtures("march")
def test_billed_against_cost(staff: sa.Engine) -> None:
    with territory_session(staff, "test") as session:
        found = unit_cost.report(session, MONTH, ACCOUNTS)
        assert unit_cost.report(session, "2026", ACCOUNTS) == found
    assert found.total == Decimal("1650.51")
    assert sum(one.cost for one in found.members) == found.total == sum(one.cost for one in found.offers)
    assert sum(one.billed for one in found.members) == found.billed == sum(one.billed for one in found.offers)
    assert found.billed == sum(map(Decimal, TOTALS.values())) + 300
    held = {one.key: one for one in found.members}
    assert held["aubrac"].units == Decimal(1486)
    assert found.unit_cost is not None
    assert abs(found.unit_cost * found.units - found.total) < Decimal("0.01")
    assert abs(held["aubrac"].cost - found.unit_cost * 1486) < Decimal("0.01")
    assert (held["desert"].units, held["desert"].cost, held["desert"].difference) == (0, 0, Decimal("18.06"))
    assert [one.key for one in found.offers] == [""]  # these services were not ordered
    told = unit_cost.document(found)
    assert (told["fctva"][0]["base"], told["fctva"][0]["amount"]) == (Decimal("1200.50"), Decimal("67.23"))


@pytest.mark.slow
@pytest.mark.usefixtures("march")
def test_statements_say_how_they_are_paid(staff: sa.Engine, web: sa.Engine) -> None:
    with territory_session(staff, "test") as session:
        documents = statements.documents(session, periods.find(session, MONTH))
        modes = {document["member"]["slug"]: document["billing"] for document in documents}
        breval = session.scalar(sa.select(Member.id).where(Member.slug == "breval"))
    assert modes == {"aubrac": {"mode": "title"}, "breval": {"mode": "deduction", "withheld": "80.00"},
                     "cidre": {"mode": "title"}, "desert": {"mode": "information"}}  # fmt: skip
    assert breval
    with member_session(web, breval, "agent") as session:
        assert session.scalars(sa.select(BillingMode.reference)).all() == ["D-12"]


@pytest.mark.slow
@pytest.mark.usefixtures("march")
def test_a_mode_is_dated_and_never_changes_a_closed_month(staff: sa.Engine) -> None:
    with territory_session(staff, "test") as session:
        billing.change(session, "breval", "2026-06", "title", "", "D-20")
        billing.change(session, "breval", "2026-05", "title", "", "D-21")  # what was told for June goes
        rows = session.execute(sa.text("SELECT during::text, mode FROM billing_modes WHERE mode <> 'information'"
                                       " ORDER BY during")).all()  # fmt: skip
        assert [tuple(row) for row in rows] == [("[2026-01-01,2026-05-01)", "deduction"), ("[2026-05-01,)", "title")]
        [row] = [one for one in billing.listed(session, LATER.date().replace(month=4)) if one["slug"] == "breval"]
        assert (row["mode"], row["withheld"], str(row["next"]), row["next_mode"]) == (
            "deduction", Decimal("80.00"), "2026-05-01", "title")  # fmt: skip
        periods.close(session, MONTH, LATER)
        with pytest.raises(Conflict) as refused:
            billing.change(session, "aubrac", MONTH, "information", "", "D-22")
        assert refused.value.code == "period_closed"
        with pytest.raises(NotFound):
            billing.change(session, "nulle-part", "2026-05", "title", "", "D")
        with pytest.raises(InvalidInput) as wrong:
            billing.change(session, "cidre", "mai", "deduction", "x", "")
        fields = {fault["parameter"] for fault in wrong.value.facts["errors"]}
        assert fields == {"month", "mode", "withheld", "reference"}


@pytest.mark.slow
@pytest.mark.usefixtures("march")
def test_pre_titles_of_a_closed_month(staff: sa.Engine) -> None:
    with territory_session(staff, "test") as session, pytest.raises(Conflict) as refused:
        pretitles.month(session, periods.find(session, MONTH), ACCOUNTS)
    assert refused.value.code == "period_not_closed"
    with territory_session(staff, "test") as session:
        periods.close(session, MONTH, LATER)
    files = []
    for _ in range(2):
        with territory_session(staff, "test") as session:
            rows = pretitles.month(session, periods.find(session, MONTH), ACCOUNTS)
            files.append(pretitles.as_csv(rows))
            session.execute(sa.text("UPDATE members SET name = 'Autre nom'"))
    assert files[0] == files[1]
    told = list(csv.DictReader(files[0].decode("utf-8-sig").splitlines(), delimiter=";"))
    assert [(row["Nom du tiers"], row["Flux"], row["Compte de l’agglomération"], row["Compte du tiers"]) for row in told
            ] == [("Aubrac", "titre", "70875", "62876"), ("Breval", "retenue AC", "739211", "73211"),
                  ("Cidre", "titre", "7088", "")]  # fmt: skip
    assert (told[1]["Montant (EUR)"], told[0]["SIRET du tiers"]) == ("80,00", "00000000100015")
    assert Decimal(told[0]["Montant (EUR)"].replace(",", ".")) == rows[0]["Coût réel (EUR)"]


@pytest.mark.slow
@pytest.mark.usefixtures("march")
def test_a_year_is_settled_once_december_is_closed(staff: sa.Engine) -> None:
    with territory_session(staff, "test") as session:
        periods.close(session, MONTH, LATER)
        with pytest.raises(Conflict) as refused:
            pretitles.year(session, "2026", ACCOUNTS)
        assert refused.value.code == "year_not_closed"
        with pytest.raises(InvalidInput):
            pretitles.year(session, "l’an", ACCOUNTS)
    with territory_session(staff, "test") as session:
        after = LATER.replace(year=2027)
        ledger = Ledger(session)
        ledger.volume(ledger.service_of("breval", "archives"), ("created", "2026-12-01 08:00", 1000))
        contracts.write(session, "breval", {"since": "2026-12", "regime": "normal", **ADDRESS})
        periods.draft(session, "2026-12", Sharing(), after, PARIS)
        assert periods.check(session, "2026-12") == []
        periods.close(session, "2026-12", after)
        close_the_rest(session, 2026)
        [row] = pretitles.year(session, "2026", ACCOUNTS)
        real, taxes = session.execute(sa.text(
            "SELECT sum(total), sum(vat) FROM statements t JOIN members m ON m.id = t.member_id WHERE m.slug = 'breval'"
        )).one()  # fmt: skip
    assert (row["Coût réel (EUR)"], taxes > 0) == (real, True)
    signed = row["Montant (EUR)"] * (1 if row["Sens"] == "à retenir" else -1)
    assert signed == real + taxes - 160
    assert (row["Flux"], row["Référence"]) == ("régularisation AC", "2026-REG-000000002")
