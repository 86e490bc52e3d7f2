"""A key that is not voted: the same amounts as if it had been in force, and nothing written."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator.database import territory_session
from orchestrator.errors import ClocherError, Conflict, InvalidInput
from orchestrator.tables import Member
from tenants import keys_export, keys_simulation, periods
from tenants.finance import CRITERIA, Sharing
from tenants.keys_proposal import Proposal, from_yaml, read
from tenants.keys_simulation import Simulation
from tenants.tables import AllocationKey, CostPool, StatementLine
from tests.tenants.ledger import LATER, PARIS, Ledger
from tests.tenants.test_month import write_month

AMOUNTS = {"exploitation": "100.00", "energie": "50.01"}


def simulated(session: Session, weights: dict[str, str], *pools: str) -> Simulation:
    return keys_simulation.simulate(session, read(weights, pools))


def amounts(found: Simulation) -> dict[str, tuple[str, str]]:
    return {one.slug: (str(one.before), str(one.after)) for one in found.members}


@pytest.fixture
def march(staff: sa.Engine) -> sa.Engine:
    """The month that is worked out in `test_month`, closed."""
    with territory_session(staff, "test") as session:
        periods.draft(session, "2026-03", write_month(session), LATER, PARIS)
        periods.check(session, "2026-03")
        periods.close(session, "2026-03", LATER)
    return staff


@pytest.mark.slow
def test_by_hand(march: sa.Engine) -> None:
    """100.00 in four equal parts: 25.00 each. By inhabitants, of 4500: 22.22, 66.67 (the cent left), none, 11.11."""
    with territory_session(march, "test") as session:
        found = simulated(session, {"equal": "1"}, "exploitation")
        assert amounts(found) == {
            "aubrac": ("23.61", "25.00"), "breval": ("45.83", "25.00"), "cidre": ("12.50", "25.00"),
            "desert": ("18.06", "25.00"),
        }  # fmt: skip
        assert [(pool.code, pool.keys, pool.months, pool.amount) for pool in found.base.pools] == [
            ("exploitation", ("mixte v1",), 1, Decimal("100.00"))
        ]
        [aubrac, *_] = found.members
        assert (aubrac.difference, aubrac.percent) == (Decimal("1.39"), Decimal("5.89"))
        assert amounts(simulated(session, {"population": "1"}, "exploitation")) == {
            "aubrac": ("23.61", "22.22"), "breval": ("45.83", "66.67"), "cidre": ("12.50", "0.00"),
            "desert": ("18.06", "11.11"),
        }  # fmt: skip


@pytest.mark.slow
def test_the_key_in_force_changes_nothing_though_inhabitants_changed(march: sa.Engine) -> None:
    with territory_session(march, "test") as session:
        session.execute(sa.update(Member).values(population=sa.func.coalesce(Member.population, 0) * 3 + 7))
        for weights, pool in (({"population": "0.5", "equal": "0.5"}, "exploitation"), ({"usage": "1"}, "energie")):
            found = simulated(session, weights, pool)
            assert all(one.difference == 0 for one in found.members)
            assert found.before == found.after == Decimal(AMOUNTS[pool])


@pytest.mark.slow
@pytest.mark.parametrize(
    "weights",
    [
        {"population": "0.333333", "equal": "0.666667"},
        {"usage": "0.2", "vcpu": "0.8"},
        {"population": "0.1", "usage": "0.2", "vcpu": "0.3", "equal": "0.4"},
    ],
)
def test_it_is_what_a_draft_by_that_key_gives(staff: sa.Engine, weights: dict[str, str]) -> None:
    """Months with a cost that gives money back, drafted by one key and simulated by another, then drafted by that."""
    costs = {**AMOUNTS, "aide": "-33.34"}
    with territory_session(staff, "test") as session:
        write_month(session)
        draft_all(session, Ledger(session).sharing({"autre": {"equal": "1"}}, by("autre", costs)))
        found = simulated(session, weights)
        draft_all(session, Ledger(session).sharing({"voulue": weights}, by("voulue", costs)))
        drafted = session.execute(
            sa.select(Member.slug, sa.func.sum(StatementLine.amount))
            .join(Member, Member.id == StatementLine.member_id)
            .where(StatementLine.kind == "share")
            .group_by(Member.slug)
        )
        assert {one.slug: one.after for one in found.members} == {row[0]: row[1] for row in drafted}
        assert found.before == found.after == 3 * Decimal("116.67")


def by(key: str, costs: dict[str, str]) -> dict[str, tuple[str, str]]:
    return {code: (key, amount) for code, amount in costs.items()}


def draft_all(session: Session, declared: Sharing) -> None:
    for label in ("2026-02", "2026-03", "2026-04"):
        periods.draft(session, label, declared, LATER, PARIS)
        assert periods.check(session, label) == []


@pytest.mark.slow
def test_nothing_is_written(march: sa.Engine) -> None:
    with territory_session(march, "test") as session:
        session.execute(sa.text("SET TRANSACTION READ ONLY"))
        assert simulated(session, {"vcpu": "1"}).members


def month(session: Session, label: str, sample: bool = False) -> None:
    """A month with a cost of every month, and one of its own."""
    if not session.scalar(sa.select(AllocationKey.id)):
        Ledger(session).sharing({"parts": {"equal": "1"}}, {})
        session.execute(sa.text("UPDATE allocation_keys SET during = '[2024-01-01,)'"))
    of = {"label": {"fr": "x"}, "key": "parts"}
    costs = [
        {**of, "code": f"seul-{label}", "months": {label: "1.00"}},
        {**of, "code": "base", "monthly": {"2024-01": "10.00"}},
    ]
    periods.draft(session, label, Sharing.model_validate({"pools": costs}), LATER, PARIS, sample=sample)


@pytest.mark.slow
def test_twelve_months_up_to_the_last_one_shared(staff: sa.Engine) -> None:
    with territory_session(staff, "test") as session:
        Ledger(session).member("a", 1, 10)
        for label in ("2025-03", "2025-04", "2025-06", "2026-03"):
            month(session, label)
        found = simulated(session, {"equal": "1"})
        assert [period.label for period in found.base.months] == ["2025-04", "2025-06", "2026-03"]
        assert found.base.missing == ["2025-05", *(f"2025-{n:02}" for n in range(7, 13)), "2026-01", "2026-02"]
        assert [pool.code for pool in found.base.pools] == ["base", "seul-2025-04", "seul-2025-06", "seul-2026-03"]
        alone = simulated(session, {"equal": "1"}, "seul-2025-06")
        assert [period.label for period in alone.base.months] == ["2025-06"]
        assert (alone.base.missing, alone.after) == ([], 1)


def test_samples_count_only_where_nothing_is_real(staff: sa.Engine) -> None:
    with territory_session(staff, "test") as session:
        Ledger(session).member("a", 1, 10)
        month(session, "2026-03", sample=True)
        assert [period.sample for period in simulated(session, {"equal": "1"}).base.months] == [True]
        month(session, "2026-02")
        assert [period.label for period in simulated(session, {"equal": "1"}).base.months] == ["2026-02"]


def test_who_came_or_left_counts_in_its_own_months(staff: sa.Engine) -> None:
    with territory_session(staff, "test") as session:
        ledger = Ledger(session)
        ledger.member("reste", 1, 30)
        ledger.member("part", 2, 30)
        month(session, "2026-02")
        session.execute(sa.text("UPDATE members SET state = 'closed' WHERE slug = 'part'"))
        ledger.member("arrive", 3, 60)
        month(session, "2026-03")
        session.expire_all()
        found = simulated(session, {"population": "1"}, "base")
    assert {one.slug: (one.months, one.state) for one in found.members} == {
        "arrive": (("2026-03",), "active"), "part": (("2026-02",), "closed"),
        "reste": (("2026-02", "2026-03"), "active"),
    }  # fmt: skip
    # 10.00 by 30 and 30, then 10.00 by 30 and 60.
    assert {slug: after for slug, (_, after) in amounts(found).items()} == {
        "arrive": "6.67", "part": "5.00", "reste": "8.33",
    }  # fmt: skip


def test_percent_of_nothing_is_none(staff: sa.Engine) -> None:
    with territory_session(staff, "test") as session:
        ledger = Ledger(session)
        ledger.member("a", 1, 1)
        ledger.member("b", 2, None)
        periods.draft(
            session, "2026-03", ledger.sharing({"h": {"population": "1"}}, {"c": ("h", "-3.00")}), LATER, PARIS
        )
        a, b = simulated(session, {"equal": "1"}).members
    assert (a.difference, a.percent) == (Decimal("1.50"), Decimal("50.00"))  # it gets less back
    assert (b.before, b.after, b.percent) == (0, Decimal("-1.50"), None)


def refused(code: str, kind: type[ClocherError], act: Callable[[], object]) -> dict[str, str]:
    with pytest.raises(kind) as error:
        act()
    assert error.value.code == code
    return {fault["parameter"]: fault["sentence"] for fault in error.value.facts.get("errors", [])}


@pytest.mark.parametrize(
    ("weights", "fields"),
    [
        ({}, ["weights"]),
        ({"equal": "0.9"}, ["weights"]),
        ({"equal": "0.5", "usage": "0.500001"}, ["weights"]),
        ({"equal": "1.1"}, ["weights.equal"]),
        ({"equal": "-1", "usage": "NaN", "vcpu": "1"}, ["weights.equal", "weights.usage"]),
        ({"age": "1"}, ["weights.age"]),
        ({"equal": "0.1234567", "usage": "0.8765433"}, ["weights.equal", "weights.usage"]),
    ],
)
def test_weights_that_are_none(weights: dict[str, str], fields: list[str]) -> None:
    assert list(refused("invalid_key", InvalidInput, lambda: read(weights))) == fields


def test_what_can_not_be_simulated(staff: sa.Engine) -> None:
    with territory_session(staff, "test") as session:
        refused("nothing_to_simulate", Conflict, lambda: simulated(session, {"equal": "1"}))
        Ledger(session).member("a", 1, 10)
        month(session, "2026-03")
        assert "pools" in refused("invalid_key", InvalidInput, lambda: simulated(session, {"equal": "1"}, "autre"))
        faults = refused("nothing_to_share_by", Conflict, lambda: simulated(session, {"equal": "0.5", "vcpu": "0.5"}))
        assert "2026-03" in faults["weights.vcpu"]
        assert simulated(session, {"equal": "1", "vcpu": "0"}).members


def test_read_keeps_the_order_of_the_criteria() -> None:
    assert read({"equal": " 0.25", "population": "0.75", "usage": ""}) == Proposal(
        {"population": Decimal("0.75"), "equal": Decimal("0.25")}
    )
    assert list(read(dict.fromkeys(CRITERIA[::-1], "0.25")).weights) == list(CRITERIA)


def test_yaml() -> None:
    assert from_yaml('weights: {usage: "0.4", equal: 0.6}\npools: [energie]') == Proposal(
        {"usage": Decimal("0.4"), "equal": Decimal("0.6")}, ("energie",)
    )
    refused("broken_yaml", InvalidInput, lambda: from_yaml("weights: ["))
    for text in ("", "- 1", "weights: 1", "weights: {equal: [1]}", "weights: {equal: 1}\npools: a", "a: 1"):
        assert list(refused("invalid_key", InvalidInput, lambda text=text: from_yaml(text))) == ["weights"]


@pytest.mark.slow
def test_csv_is_what_a_spreadsheet_reads(march: sa.Engine) -> None:
    with territory_session(march, "test") as session:
        session.execute(sa.update(Member).where(Member.slug == "aubrac").values(name="=Aubrac"))
        found = simulated(session, {"population": "0.25", "equal": "0.75"}, "exploitation")
    lines = keys_export.as_csv(found).decode("utf-8-sig").split("\r\n")
    assert len(lines) == 1 + 4 + 1 + 1
    about = "SIMULATION;population 0,25 + parts égales 0,75;exploitation;2026-03;2026-03;"
    assert lines[1].startswith(f"{about}'=Aubrac;000000001;1;23,61;")
    assert lines[5].endswith(";Total;;1;100,00;100,00;0,00;0,00")


@pytest.mark.slow
def test_closed_months_do_not_move(march: sa.Engine) -> None:
    with territory_session(march, "test") as session:
        before = session.execute(sa.text("SELECT t::text FROM statement_lines t ORDER BY id")).all()
        simulated(session, {"equal": "1"})
        assert session.execute(sa.text("SELECT t::text FROM statement_lines t ORDER BY id")).all() == before
        assert session.scalar(sa.select(sa.func.count()).select_from(CostPool)) == 2
