"""Costs as finance books them: read, spread over months to the cent, imported whole or not at all, sealed."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import DBAPIError

from orchestrator.database import territory_session
from orchestrator.errors import Conflict, InvalidInput
from orchestrator.tables import AuditEntry
from tenants import accounting, cost_entries, cost_import, cost_schedule, periods
from tenants.finance import Sharing
from tenants.tables import CostPool
from tenants.tables_finance import CostEntry, CostPart
from tests.tenants.costed import ACCOUNTS, ENERGY, POOLS, SERVERS, STAFF, SUPPLIER, book
from tests.tenants.ledger import LATER, PARIS
from tests.tenants.test_month import write_month

MONTH = "2026-03"


def months(starts: date, count: int) -> list[str]:
    first = starts.year * 12 + starts.month - 1
    return [f"{number // 12:04}-{number % 12 + 1:02}" for number in range(first - 2, first + count + 3)]


@pytest.mark.slow
@settings(deadline=None)
@given(
    st.decimals("-99999999.99", "99999999.99", places=2),
    st.dates(date(2000, 1, 1), date(2050, 12, 31)),
    st.integers(1, 120),
)
def test_the_parts_of_an_amount_sum_to_it(amount: Decimal, starts: date, count: int) -> None:
    parts = [cost_schedule.part(amount, starts, count, month) for month in months(starts, count)]
    told = [part for part in parts if part is not None]
    assert sum(told, Decimal(0)) == amount
    assert len(told) == count + (starts.day > 1)
    assert months(starts, count)[1 + len(told)] == cost_schedule.last_month(starts, count)
    whole = told[1:-1] if starts.day > 1 else told
    assert all(abs(part - amount / count) <= Decimal("0.01") for part in whole)


def test_depreciation_begins_on_its_day_or_the_next_year() -> None:
    bought = date(2026, 3, 16)
    starts = cost_schedule.begins("depreciation", bought, prorata=True)
    # 16 of March's 31 days of 1000 a month, and the other 15 at the very end.
    assert [cost_schedule.part(Decimal(60000), starts, 60, month) for month in ("2026-02", "2026-03", "2026-04")] == [
        None, Decimal("516.13"), Decimal("1000.00")]  # fmt: skip
    assert cost_schedule.part(Decimal(60000), starts, 60, "2031-03") == Decimal("483.87")
    assert cost_schedule.part(Decimal(60000), starts, 60, "2031-04") is None
    assert cost_schedule.begins("depreciation", bought, prorata=False) == date(2027, 1, 1)
    assert cost_schedule.begins("supplier", bought, prorata=False) == date(2026, 3, 1)


def test_every_account_that_is_mapped_exists_and_takes_entries() -> None:
    for flow, own in ACCOUNTS.everything("flows"):
        for side in ("billed", "paid", "refund", "refunded", "deducted", "received"):
            code = getattr(flow, side)
            for variant in ("D", "A"):
                [chart] = [one for one in ACCOUNTS.ours.charts if one.variant == variant]
                assert not own
                assert code is None or code in chart.leaves, (flow.kind, side, variant)
    for old, new in ACCOUNTS.ours.replaced.items():
        assert old not in ACCOUNTS.chart(MONTH).leaves
        assert new.by in ACCOUNTS.chart(MONTH).leaves
    assert ACCOUNTS.flow("commune", MONTH).paid == "62876"


@pytest.mark.parametrize(
    ("code", "words"),
    [("6512", "65811"), ("6581", "65811, 65818"), ("2183", "21838"), ("999", "M57 D 2024"), ("", "M57 D 2024")],
)
def test_only_leaves_are_accepted(code: str, words: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        ACCOUNTS.leaf(code, MONTH)
    assert refused.value.code == "wrong_account"
    assert words in str(refused.value)


def test_a_territory_says_its_own_and_is_held_to_leaves(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("territory")
    (folder / "finance").mkdir()
    path = folder / "finance" / "accounting.yaml"
    sourced = 'source: "Délibération", read_on: 2026-11-01'
    path.write_text(f'rates:\n  - {{from: 2026-01, code: fctva_iaas, percent: "5", {sourced}}}\n', encoding="utf-8")
    told = accounting.load(folder)
    assert [told.rate("fctva_iaas", month) and told.rate("fctva_iaas", month).percent  # type: ignore[union-attr]
            for month in ("2020-12", "2025-12", "2026-01")] == [None, Decimal("5.6"), Decimal(5)]  # fmt: skip
    wrong = f'flows:\n  - {{from: 2026-01, kind: company, billed: "6512", refund: "62878", {sourced}}}\n'
    path.write_text(wrong, encoding="utf-8")
    with pytest.raises(InvalidInput, match="6512"):
        accounting.load(folder)


@pytest.mark.parametrize(
    ("more", "fields"),
    [
        ({"account": "6512", "amount": "beaucoup"}, {"account", "amount"}),
        ({"account": "21838"}, {"account"}),
        ({"pool": "amortissement"}, {"pool"}),
        ({"pool": "rien", "date": "31/02/2026", "label": ""}, {"pool", "date", "label"}),
        ({"kwh": "12", "service_model": "cloud"}, {"kwh", "service_model"}),
        ({"kind": "energy", "supplier": "x"}, {"amount", "service_model", "kwh", "kwh_price", "pue"}),
        ({"kind": "depreciation", "amount": "-1", "account": "6156"}, {"amount", "account", "months", "service_model"}),
        ({"kind": "x"}, {"kind"}),
    ],
)
def test_faults_are_told_by_field(more: dict[str, str], fields: set[str]) -> None:
    with pytest.raises(InvalidInput) as refused:
        cost_entries.read({**SUPPLIER, **more}, ACCOUNTS, POOLS)
    assert {fault["parameter"] for fault in refused.value.facts["errors"]} == fields


def test_what_each_kind_comes_to(staff: sa.Engine) -> None:
    with territory_session(staff, "Karim") as session:
        made = [book(session, given) for given in (SUPPLIER, SERVERS, ENERGY, STAFF)]
        assert [str(one.amount) for one in made] == ["1200.50", "60000.00", "300.00", "25000.00"]
        assert [one.section for one in made] == ["fonctionnement", "investissement", "fonctionnement", "fonctionnement"]
        found = {one.kind: str(part) for one, part in cost_entries.listed(session, MONTH)}
        assert found == {"supplier": "1200.50", "depreciation": "516.13", "energy": "300.00", "staff": "2083.33"}
        with pytest.raises(Conflict) as refused:
            book(session, SUPPLIER)
        assert refused.value.code == "cost_already_there"
        asked = sa.select(AuditEntry.actor).where(AuditEntry.action == "cost_entry.add")
        assert session.scalars(asked).all() == ["Karim"] * 4


def drafted(staff: sa.Engine, *entries: dict[str, str]) -> Sharing:
    """March with what is booked."""
    with territory_session(staff, "test") as session:
        declared = write_month(session)
        for one in entries:
            book(session, one)
        periods.draft(session, MONTH, declared, LATER, PARIS)
        assert periods.check(session, MONTH) == []
    return declared


@pytest.mark.slow
def test_entries_make_up_the_pools(staff: sa.Engine) -> None:
    drafted(staff, SUPPLIER, ENERGY, STAFF)
    with territory_session(staff, "test") as session:
        pools = {pool.code: (str(pool.declared), str(pool.amount)) for pool in session.scalars(sa.select(CostPool))}
        assert pools == {"energie": ("50.01", "350.01"), "exploitation": ("100.00", "2183.33")}
        assert session.scalars(sa.select(CostPart.amount).where(CostPart.pool_id.is_(None))).all() == [
            Decimal("1200.50")]  # fmt: skip


@pytest.mark.slow
def test_an_entry_of_an_unknown_pool_stops_the_month(staff: sa.Engine) -> None:
    with territory_session(staff, "test") as session:
        declared = write_month(session)
        book(session, SERVERS)
        with pytest.raises(Conflict) as refused:
            periods.draft(session, MONTH, declared, LATER, PARIS)
    assert refused.value.code == "unknown_pool"


@pytest.mark.slow
def test_a_closed_month_keeps_its_parts(staff: sa.Engine, owner: sa.Engine) -> None:
    drafted(staff, STAFF, SUPPLIER)
    with territory_session(staff, "test") as session:
        periods.close(session, MONTH, LATER)
    with territory_session(staff, "test") as session:
        [staff_cost, supplier] = session.scalars(sa.select(CostEntry.id).order_by(CostEntry.id))
        for entry, month, code in (
            (staff_cost, MONTH, "period_closed"), (supplier, "2026-02", "period_closed"), (staff_cost, "2026-04", ""),
            (staff_cost, "2026-05", "cost_ended"),
        ):  # fmt: skip
            try:
                cost_entries.end(session, entry, month)
                told = ""
            except Conflict as error:
                told = error.code
            assert told == code, month
        kept = cost_entries.find(session, staff_cost)
        assert cost_entries.part_of(kept, MONTH) == Decimal("2083.33")
        assert cost_entries.part_of(kept, "2026-04") is None
        with pytest.raises(Conflict) as late:
            book(session, ENERGY)
        assert late.value.code == "period_closed"
        book(session, SERVERS)  # its other months are open
    with pytest.raises(DBAPIError, match="closed"), owner.begin() as connection:
        connection.execute(sa.text("UPDATE cost_parts SET amount = amount + 1"))


CSV = f"""{cost_import.EXAMPLE}fournisseur;;Secours;65811;12/03/2026;;1 200,50;Lumen;F-1;iaas;;;;;;
amortissement;amortissement;Serveurs;21838;16/03/2026;60;60000;;;;oui;;;;;

énergie;energie;Mars;60612;31/03/2026;;;;;;;1000;0,20;1,5;;
personnel;exploitation;Agents;64111;01/01/2026;;;;;;;;;;100000;25
"""


def test_a_file_is_imported_whole(staff: sa.Engine) -> None:
    lines = cost_import.read("\ufeff" + CSV, ACCOUNTS, POOLS)
    assert [line.faults for line in lines] == [()] * 4
    assert ([line.number for line in lines], cost_import.total(lines)) == ([2, 3, 5, 6], Decimal("86500.50"))
    with territory_session(staff, "Karim") as session:
        assert cost_import.keep(session, lines) == 4
        assert {one.kind for one, _ in cost_entries.listed(session)} == {"supplier", "depreciation", "energy", "staff"}


def test_a_file_with_a_fault_keeps_nothing(staff: sa.Engine) -> None:
    wrong = CSV.replace("21838", "2183").replace("0,20", "cher") + CSV.splitlines()[1] + "\n"
    lines = cost_import.read(wrong, ACCOUNTS, POOLS)
    assert {line.number: [fault["parameter"] for fault in line.faults] for line in lines if line.faults} == {
        3: ["account"], 5: ["kwh_price"]}  # fmt: skip
    for text, expected in ((wrong, {(3, "account"), (5, "kwh_price")}), (CSV + CSV.splitlines()[1], {(7, "line")})):
        with pytest.raises(InvalidInput) as refused, territory_session(staff, "Karim") as session:
            cost_import.keep(session, cost_import.read(text, ACCOUNTS, POOLS))
        assert {(fault["line"], fault["parameter"]) for fault in refused.value.facts["errors"]} == expected
    with territory_session(staff, "Karim") as session:
        assert cost_entries.listed(session) == []


@pytest.mark.parametrize("text", ["", "a;b\n", "nature;nature\nx;y", "nature;libellé\n", "nature\n" + "x\n" * 1001])
def test_what_is_no_such_file_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        cost_import.read(text, ACCOUNTS, POOLS)
    assert refused.value.code == "invalid_file"
