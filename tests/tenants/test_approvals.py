"""The chain of approvals: whose turn, by what right, until when; two decisions can't race."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator.database import member_session, territory_session
from orchestrator.errors import ClocherError, Conflict, Forbidden, InvalidInput
from orchestrator.tables import AuditEntry, Flow
from tenants import approvals, deputies, orders, quotas
from tenants.tables import Order
from tenants.tables_approvals import Approval
from tenants.tables_identity import AccountRole
from tests.tenants.approving import Caller, adopt, person, place
from tests.tenants.ordering import NOW, member, seed

CHAIN = ("approver", "finance", "dsi")
PAID = {"engagement_number": "E2026-114", "budget_line": "2183-020"}
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def _seeded(owner: sa.Engine) -> None:
    seed(owner)


@pytest.fixture
def brevaux(owner: sa.Engine) -> int:
    return member(owner)


class House:
    """A member with its people, and the DSI's."""

    def __init__(self, owner: sa.Engine, web: sa.Engine, staff: sa.Engine, member_id: int) -> None:
        self.owner, self.web, self.staff, self.member_id = owner, web, staff, member_id
        self.camille = person(owner, "camille", member_id, "requester")
        self.noor = person(owner, "noor", member_id, "approver")
        self.sacha = person(owner, "sacha", member_id, "finance")
        self.dominique = person(owner, "dominique", None, "dsi_operator")

    def session(self, who: Caller) -> AbstractContextManager[Session]:
        if who.member_id is None:
            return territory_session(self.staff, who.actor)
        return member_session(self.web, who.member_id, who.actor)

    def approve(self, who: Caller, order: Order, at: datetime = NOW, **given: Any) -> Order:
        with self.session(who) as session:
            return orders.approve(session, order.id, at, who, **given)

    def reject(self, who: Caller, order: Order, reason: str = "Trop cher.") -> Order:
        with self.session(who) as session:
            return orders.reject(session, order.id, reason, NOW, who)

    def waiting_for(self, who: Caller, order: Order) -> dict[str, Any] | None:
        with self.session(who) as session:
            return approvals.waiting_for(session, session.get_one(Order, order.id), NOW)

    def mine(self, who: Caller) -> list[int]:
        with self.session(who) as session:
            return [row["order"].id for row in approvals.mine(session, who, NOW)]

    def told(self, order: Order) -> list[tuple[str, str]]:
        with territory_session(self.owner, "tests") as session:
            entries = session.scalars(sa.select(AuditEntry).where(AuditEntry.subject == f"order {order.id}"))
            return [(entry.action, entry.actor.split()[1]) for entry in entries]


@pytest.fixture
def house(owner: sa.Engine, web: sa.Engine, staff: sa.Engine, brevaux: int) -> House:
    return House(owner, web, staff, brevaux)


def refused(act: Callable[[], object], kind: type[ClocherError], code: str) -> ClocherError:
    with pytest.raises(kind) as error:
        act()
    assert error.value.code == code
    return error.value


@pytest.mark.slow
def test_each_step_in_its_turn_and_the_last_starts(house: House) -> None:
    adopt(house.owner, *CHAIN)
    order = place(house.web, house.camille)
    assert order.state == "waiting"
    for early in (house.sacha, house.dominique, house.camille):
        refused(lambda early=early: house.approve(early, order, **PAID), Forbidden, "own_order"
                if early is house.camille else "not_yours")  # fmt: skip
    told = house.waiting_for(house.camille, order)
    assert told and (told["step"], told["position"], told["steps"], told["people"]) == ("approver", 1, 3, ["Noor"])
    assert house.approve(house.noor, order).state == "waiting"
    assert (house.mine(house.noor), house.mine(house.sacha)) == ([], [order.id])
    refused(lambda: house.approve(house.sacha, order), InvalidInput, "engagement_needed")
    assert house.approve(house.sacha, order, **PAID).state == "waiting"
    told = house.waiting_for(house.camille, order)
    assert told and (told["step"], told["people"], told["escalated"]) == ("dsi", [], False)
    assert house.mine(house.dominique) == [order.id]
    done = house.approve(house.dominique, order)
    assert (done.state, done.decided_by) == ("approved", house.dominique.actor)
    assert house.waiting_for(house.camille, order) is None
    with territory_session(house.owner, "tests") as session:
        assert session.get_one(Flow, done.flow_id).state == "queued"
        second = approvals.chain(session, order.id)[1]
        assert (second.engagement_number, second.budget_line) == (PAID["engagement_number"], PAID["budget_line"])
        assert second.account_id == house.sacha.account_id
    assert [action for action, _ in house.told(order)] == [
        "order.place", "approval.grant", "approval.grant", "order.approve"
    ]  # fmt: skip


def test_an_approver_alone_starts_it(house: House) -> None:
    adopt(house.owner, "approver")
    order = house.approve(house.noor, place(house.web, house.camille))
    assert (order.state, order.service_id is not None, order.flow_id is not None) == ("approved", True, True)


@pytest.mark.slow
def test_a_refusal_ends_it_and_frees_what_it_held(house: House) -> None:
    adopt(house.owner, *CHAIN)
    order = place(house.web, house.camille)
    refused(lambda: house.reject(house.noor, order, "   "), InvalidInput, "invalid_reason")
    done = house.reject(house.noor, order)
    assert (done.state, done.reason) == ("rejected", "Trop cher.")
    with territory_session(house.owner, "tests") as session:
        assert [step.state for step in approvals.chain(session, order.id)] == ["refused", "skipped", "skipped"]
        assert quotas.held(session, house.member_id)[0]["servers"] == 0
    refused(lambda: house.approve(house.noor, order), Conflict, "order_decided")


def test_nobody_approves_his_own_order_unless_the_policy_says_so(house: House) -> None:
    adopt(house.owner, "approver")
    boss = person(house.owner, "boss", house.member_id, "requester", "approver")
    order = place(house.web, boss)
    refused(lambda: house.approve(boss, order), Forbidden, "own_order")
    told = house.waiting_for(boss, order)
    assert told and told["people"] == ["Noor"]
    adopt(house.owner, "approver", approver={"own": True})
    assert house.approve(boss, place(house.web, boss, "other")).state == "approved"
    refused(lambda: house.approve(boss, order), Forbidden, "own_order")  # it keeps the rules it was placed under


@pytest.mark.slow
def test_what_nobody_in_the_house_can_decide_goes_to_the_dsi(house: House) -> None:
    adopt(house.owner, "approver", "finance")
    with territory_session(house.owner, "tests") as session:
        session.execute(sa.delete(AccountRole).where(AccountRole.role.in_(("approver", "finance"))))
    order = place(house.web, house.camille)
    told = house.waiting_for(house.camille, order)
    assert told and (told["people"], told["escalated"]) == ([], True)
    refused(lambda: house.approve(house.camille, order), Forbidden, "own_order")
    assert house.approve(house.dominique, order).state == "waiting"
    assert house.approve(house.dominique, order).state == "approved"  # the DSI knows no engagement of a commune
    auditor = person(house.owner, "auditor", None, "auditor")
    refused(lambda: house.approve(auditor, place(house.web, house.camille, "b")), Forbidden, "not_yours")


def test_the_dsi_decides_nothing_that_is_a_members(house: House) -> None:
    adopt(house.owner, "approver")
    order = place(house.web, house.camille)
    refused(lambda: house.approve(house.dominique, order), Forbidden, "not_yours")
    with territory_session(house.staff, "root") as session:
        refused(lambda: orders.approve(session, order.id, NOW), Forbidden, "not_yours")


def test_the_database_keeps_the_dsis_step_from_a_members_transaction(house: House) -> None:
    adopt(house.owner, "dsi")
    order = place(house.web, house.camille)
    change = sa.update(Approval).where(Approval.order_id == order.id)
    yes = {"state": "granted", "decided_by": "me", "decided_at": NOW}
    with pytest.raises(sa.exc.ProgrammingError, match="row-level security"), house.session(house.noor) as session:
        session.execute(change.values(**yes))
    other = member(house.owner, "orgelune")
    with member_session(house.web, other, "spy") as session:
        assert session.scalars(sa.select(Approval)).all() == []


def test_a_deputy_decides_in_anothers_name(house: House) -> None:
    adopt(house.owner, "approver")
    order = place(house.web, house.camille)
    with house.session(house.noor) as session:
        deputies.appoint(session, house.noor, house.noor.account_id, house.sacha.account_id, "approver",
                         NOW - DAY, NOW + DAY)  # fmt: skip
    assert house.mine(house.sacha) == [order.id]
    refused(lambda: house.approve(house.sacha, order, NOW + DAY), Forbidden, "not_yours")  # the end is not within
    assert house.approve(house.sacha, order).state == "approved"
    with territory_session(house.owner, "tests") as session:
        step = approvals.chain(session, order.id)[0]
        assert (step.account_id, step.instead_of) == (house.sacha.account_id, house.noor.account_id)
        entry = session.scalars(sa.select(AuditEntry).where(AuditEntry.action == "order.approve")).one()
        assert (entry.actor, entry.detail["for"]) == (house.sacha.actor, "Noor")


@pytest.mark.slow
def test_a_deputy_has_no_more_than_the_one_replaced(house: House) -> None:
    adopt(house.owner, "approver")
    with house.session(house.noor) as session:
        row = deputies.appoint(session, house.noor, house.noor.account_id, house.camille.account_id, "approver",
                               NOW - DAY, None)  # fmt: skip
        assert [found["deputy"] for found in deputies.listed(session, house.member_id, NOW)] == ["Camille"]
    own = place(house.web, house.camille)
    refused(lambda: house.approve(house.camille, own), Forbidden, "own_order")  # a deputy's own order is his own too
    other = place(house.web, person(house.owner, "lou", house.member_id, "requester"), "other")
    with territory_session(house.owner, "tests") as session:
        session.execute(sa.delete(AccountRole).where(AccountRole.role == "approver"))
    refused(lambda: house.approve(house.camille, other), Forbidden, "not_yours")
    with house.session(house.camille) as session:
        deputies.end(session, house.camille, row.id, NOW)
        assert deputies.listed(session, house.member_id, NOW) == []


def test_deputies_are_of_the_house_and_appointed_by_those_concerned(house: House) -> None:
    stranger = person(house.owner, "stranger", member(house.owner, "orgelune"), "approver")

    def appoint(who: Caller, account: Caller, deputy: Caller, role: str) -> object:
        with house.session(who) as session:
            return deputies.appoint(session, who, account.account_id, deputy.account_id, role, NOW, None)

    refused(lambda: appoint(house.noor, house.noor, stranger, "approver"), InvalidInput, "invalid_deputy")
    refused(lambda: appoint(house.noor, house.noor, house.sacha, "finance"), InvalidInput, "invalid_deputy")
    refused(lambda: appoint(house.noor, house.noor, house.noor, "approver"), InvalidInput, "invalid_deputy")
    refused(lambda: appoint(house.camille, house.noor, house.camille, "approver"), Forbidden, "not_yours")
    assert appoint(house.noor, house.sacha, house.camille, "finance")


def test_a_policy_may_refuse_deputies(house: House) -> None:
    with house.session(house.noor) as session:
        deputies.appoint(session, house.noor, house.noor.account_id, house.sacha.account_id, "approver", NOW, None)
    adopt(house.owner, "approver", approver={"deputies": False})
    order = place(house.web, house.camille)
    refused(lambda: house.approve(house.sacha, order), Forbidden, "not_yours")


def test_a_yes_can_be_taken_back_while_the_next_step_waits(house: House) -> None:
    adopt(house.owner, *CHAIN)
    order = place(house.web, house.camille)

    def take_back(who: Caller) -> Order:
        with house.session(who) as session:
            return approvals.take_back(session, order.id, who, NOW)

    refused(lambda: take_back(house.noor), Conflict, "nothing_to_take_back")
    house.approve(house.noor, order)
    refused(lambda: take_back(house.sacha), Conflict, "nothing_to_take_back")
    take_back(house.noor)
    assert (house.mine(house.noor), house.mine(house.sacha)) == ([order.id], [])
    house.approve(house.noor, order)
    house.approve(house.sacha, order, **PAID)
    refused(lambda: take_back(house.noor), Conflict, "nothing_to_take_back")
    with house.session(house.camille) as session:
        assert orders.cancel(session, order.id, NOW).state == "cancelled"
    refused(lambda: take_back(house.sacha), Conflict, "order_decided")


@pytest.mark.slow
def test_what_nobody_decides_expires_and_frees_what_it_held(house: House, worker: sa.Engine) -> None:
    adopt(house.owner, "approver", "dsi", approver={"expires_days": 5})
    order = place(house.web, house.camille)
    assert approvals.expire(worker, "worker w", NOW + 5 * DAY - timedelta(microseconds=1)) == 0
    refused(lambda: house.approve(house.noor, order, NOW + 5 * DAY), Conflict, "approval_expired")
    assert approvals.expire(worker, "worker w", NOW + 5 * DAY) == 1
    assert approvals.expire(worker, "worker w", NOW + 5 * DAY) == 0
    with territory_session(house.owner, "tests") as session:
        assert session.get_one(Order, order.id).state == "expired"
        assert [step.state for step in approvals.chain(session, order.id)] == ["expired", "skipped"]
        assert quotas.held(session, house.member_id)[0]["servers"] == 0
    assert house.told(order)[-1] == ("order.expire", "w")


@pytest.mark.slow
def test_the_clock_of_a_step_starts_with_its_turn(house: House, worker: sa.Engine) -> None:
    adopt(house.owner, "approver", "dsi", approver={"expires_days": 5}, dsi={"expires_days": 5})
    order = place(house.web, house.camille)
    house.approve(house.noor, order, NOW + 4 * DAY)
    assert approvals.expire(worker, "worker w", NOW + 8 * DAY) == 0
    assert house.approve(house.dominique, order, NOW + 8 * DAY).state == "approved"


@pytest.mark.slow
def test_each_reminder_day_reminds_once(house: House, worker: sa.Engine) -> None:
    adopt(house.owner, "approver", approver={"remind_days": [3, 10]})
    order = place(house.web, house.camille)
    days = [2, 3, 3, 4, 9, 11, 12, 29]
    assert [approvals.remind(worker, "worker w", NOW + day * DAY) for day in days] == [0, 1, 0, 0, 0, 1, 0, 0]
    house.approve(house.noor, order, NOW + 29 * DAY)
    assert approvals.remind(worker, "worker w", NOW + 60 * DAY) == 0


@pytest.mark.slow
@pytest.mark.parametrize("second", ["approve", "reject", "cancel", "expire"])
def test_of_two_acts_at_once_one_happens(house: House, worker: sa.Engine, second: str) -> None:
    adopt(house.owner, "approver", approver={"expires_days": 5})
    lou = person(house.owner, "lou", house.member_id, "approver")

    def cancel(order: Order) -> str:
        with house.session(house.camille) as session:
            return orders.cancel(session, order.id, NOW).state

    def expire(order: Order) -> str:
        return {0: "order_decided", 1: "expired"}[approvals.expire(worker, "worker w", NOW + 5 * DAY)]

    acts: dict[str, Callable[[Order], str]] = {
        "approve": lambda order: house.approve(lou, order).state,
        "reject": lambda order: house.reject(lou, order).state,
        "cancel": cancel,
        "expire": expire,
    }

    def outcome(act: Callable[[Order], str], order: Order) -> str:
        try:
            return act(order)
        except Conflict as error:
            return error.code

    for number in range(5):
        order = place(house.web, house.camille, f"web-{number}")
        with ThreadPoolExecutor(2) as pool:
            both = [lambda order: house.approve(house.noor, order).state, acts[second]]
            found = Counter(pool.map(lambda act, order=order: outcome(act, order), both))
        assert found["order_decided"] == 1 and found.total() == 2
        with territory_session(house.owner, "tests") as session:
            told = session.get_one(Order, order.id)
            assert found[told.state] == 1
            assert (told.flow_id is not None) == (told.state == "approved")
            assert not [step for step in approvals.chain(session, order.id) if step.state == "waiting"]
