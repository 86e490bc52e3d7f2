"""An order is placed, held, decided and released in one transaction; two can't race."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
import sqlalchemy as sa

from orchestrator.database import member_session, territory_session
from orchestrator.errors import ClocherError, Conflict, Forbidden, InvalidInput, NotFound
from orchestrator.tables import AuditEntry, Flow, Member, Service
from tenants import operations, orders, quotas, reading
from tenants.tables import Order
from tests.tenants.ordering import NOW, member, seed, wish


@pytest.fixture(autouse=True)
def _seeded(owner: sa.Engine) -> None:
    seed(owner)


def place(web: sa.Engine, member_id: int, name: str = "web", offer: str = "vm-small", key: str = "", **more) -> Order:
    with member_session(web, member_id, "agent") as session:
        return orders.place(session, member_id, offer, wish(name, **more), key or str(uuid.uuid4()), NOW)


def refused(act: Callable[[], object], kind: type[ClocherError], code: str) -> ClocherError:
    with pytest.raises(kind) as error:
        act()
    assert error.value.code == code
    return error.value


def finish(owner: sa.Engine, service_id: int | None, state: str) -> None:
    """What the flow's end does to the service, and to itself."""
    with territory_session(owner, "worker") as session:
        session.execute(sa.update(Service).where(Service.id == service_id).values(state=state))
        ended = "failed" if state == "failed" else "done"
        session.execute(sa.update(Flow).where(Flow.service_id == service_id).values(state=ended, ended_at=NOW))


def test_an_order_makes_service_flow_and_audit_in_one_transaction(owner: sa.Engine, web: sa.Engine) -> None:
    brevaux = member(owner)
    order = place(web, brevaux, disk_gib=20, public_address=True)
    # 730 h × (1 vCPU × 0.01 + 1 GiB × 0.005 + 20 GiB × 0.0001 + 1 address × 0.004)
    assert (order.state, order.monthly) == ("approved", Decimal("7.30") + Decimal("3.65") + Decimal("4.38"))
    assert order.estimate["monthly"] == "15.33"
    with territory_session(owner, "tests") as session:
        service = session.get_one(Service, order.service_id)
        flow = session.get_one(Flow, order.flow_id)
        assert (service.name, service.state, flow.kind, flow.state) == ("web", "creating", "create_server", "queued")
        assert service.specification["flavor"] == "s1.small"
        assert service.specification["disk_gib"] == 20
        queued = sa.text("SELECT count(*) FROM dbos.workflow_status WHERE workflow_uuid = :id")
        assert session.scalar(queued, {"id": f"flow-{flow.id}"}) == 1
        actions = session.scalars(sa.select(AuditEntry.action).where(AuditEntry.member_id == brevaux)).all()
        assert actions == ["order.place"]


def test_what_fails_leaves_nothing(owner: sa.Engine, web: sa.Engine) -> None:
    brevaux = member(owner, servers=0)
    refused(lambda: place(web, brevaux), Conflict, "quota_exceeded")
    with territory_session(owner, "tests") as session:
        for table in (Order, Service, Flow):
            assert session.scalar(sa.select(sa.func.count()).select_from(table)) == 0


@pytest.mark.slow
def test_fifty_at_once_against_a_quota_of_twenty(owner: sa.Engine, web: sa.Engine) -> None:
    brevaux = member(owner, servers=20)

    def one(number: int) -> str:
        try:
            return place(web, brevaux, f"web-{number}").state
        except Conflict as error:
            return error.code

    with ThreadPoolExecutor(10) as pool:
        outcomes = Counter(pool.map(one, range(50)))
    assert outcomes == {"approved": 20, "quota_exceeded": 30}
    with territory_session(owner, "tests") as session:
        assert quotas.held(session, brevaux)[0]["servers"] == 20
        assert session.scalar(sa.select(sa.func.count()).select_from(Flow)) == 20


@pytest.mark.slow
def test_the_same_request_at_once_is_one_order(owner: sa.Engine, web: sa.Engine) -> None:
    brevaux = member(owner)
    with ThreadPoolExecutor(8) as pool:
        ids = set(pool.map(lambda _: place(web, brevaux, key="twice").id, range(16)))
    assert len(ids) == 1
    refused(lambda: place(web, brevaux, "other", key="twice"), Conflict, "request_key_reused")
    refused(lambda: place(web, brevaux, "web", "vm-medium", key="twice"), Conflict, "request_key_reused")
    refused(lambda: place(web, brevaux, "web", key="twice", disk_gib=-1), Conflict, "request_key_reused")


def test_request_keys_belong_to_a_member(owner: sa.Engine, web: sa.Engine) -> None:
    first, second = member(owner, "brevaux"), member(owner, "orgelune")
    assert place(web, first, key="same").id != place(web, second, key="same").id


def test_request_keys_have_a_form(owner: sa.Engine, web: sa.Engine) -> None:
    brevaux = member(owner)
    for key in ("", "x" * 201, "a\nb"):
        with member_session(web, brevaux, "agent") as session:
            act = lambda key=key, session=session: orders.place(session, brevaux, "vm-small", wish(), key, NOW)  # noqa: E731
            refused(act, InvalidInput, "invalid_request_key")


@pytest.mark.parametrize(
    ("quota", "more", "asked"),
    [
        ("vcpus", {}, 1),
        ("ram_mib", {}, 1024),
        ("volumes", {"disk_gib": 5}, 1),
        ("disk_gib", {"disk_gib": 5}, 5),
        ("public_addresses", {"public_address": True}, 1),
    ],
)
def test_each_quota_says_which(owner: sa.Engine, web: sa.Engine, quota: str, more: dict, asked: int) -> None:
    brevaux = member(owner, **{quota: 0})
    error = refused(lambda: place(web, brevaux, **more), Conflict, "quota_exceeded")
    assert error.facts == {"quota": quota, "asked": asked, "held": 0, "limit": 0}
    if more:
        assert place(web, brevaux, "plain").state == "approved"  # what it does not ask for does not count


@pytest.mark.slow
def test_budget_bounds_a_month_to_a_twelfth(owner: sa.Engine, web: sa.Engine) -> None:
    # vm-small costs 10.95 a month: two of them are 262.80 a year, to the cent.
    brevaux = member(owner, budget="262.80")
    place(web, brevaux, "one")
    place(web, brevaux, "two")
    error = refused(lambda: place(web, brevaux, "three"), Conflict, "budget_exceeded")
    assert error.facts == {"asked": "10.95", "held": "21.90", "limit": "21.90", "budget": "262.80"}
    assert "10,95\xa0€" in error.sentence
    orgelune = member(owner, "orgelune", budget="262.79")
    place(web, orgelune, "one")
    refused(lambda: place(web, orgelune, "two"), Conflict, "budget_exceeded")


@pytest.mark.slow
def test_a_waiting_order_holds_until_it_is_decided(owner: sa.Engine, web: sa.Engine, staff: sa.Engine) -> None:
    brevaux = member(owner, vcpus=8)
    xlarge = lambda name: place(web, brevaux, name, "vm-xlarge")  # noqa: E731
    first = xlarge("first")
    assert (first.state, first.service_id) == ("waiting", None)
    refused(lambda: xlarge("second"), Conflict, "quota_exceeded")
    refused(lambda: place(web, brevaux, "first"), Conflict, "name_taken")
    with territory_session(staff, "dsi") as session:
        assert orders.reject(session, first.id, "Trop gros pour la mairie.", NOW).state == "rejected"
    second = xlarge("second")
    with member_session(web, brevaux, "agent") as session:
        assert orders.cancel(session, second.id, NOW).state == "cancelled"
    third = xlarge("third")
    with territory_session(staff, "dsi") as session:
        approved = orders.approve(session, third.id, NOW)
        assert (approved.state, approved.decided_by) == ("approved", "dsi")
        assert session.get_one(Flow, approved.flow_id).kind == "create_server"
    refused(lambda: xlarge("fourth"), Conflict, "quota_exceeded")
    finish(owner, approved.service_id, "failed")
    assert xlarge("third").state == "waiting"
    with territory_session(owner, "tests") as session:
        told = session.scalars(sa.select(AuditEntry.action).where(AuditEntry.action != "offer.publish")).all()
        assert Counter(told) == {"order.place": 4, "order.reject": 1, "order.cancel": 1, "order.approve": 1}


@pytest.mark.slow
def test_a_deleted_service_releases_what_it_held(owner: sa.Engine, web: sa.Engine) -> None:
    brevaux = member(owner, servers=1)
    order = place(web, brevaux)
    finish(owner, order.service_id, "active")
    refused(lambda: place(web, brevaux, "two"), Conflict, "quota_exceeded")
    finish(owner, order.service_id, "deleted")
    assert place(web, brevaux, "web", key="again").state == "approved"


def test_an_order_is_decided_once_and_by_the_territory(owner: sa.Engine, web: sa.Engine, staff: sa.Engine) -> None:
    brevaux = member(owner)
    order = place(web, brevaux, offer="vm-xlarge")
    with member_session(web, brevaux, "agent") as session:
        refused(lambda: orders.approve(session, order.id, NOW), Forbidden, "territory_only")
        refused(lambda: orders.reject(session, order.id, "no", NOW), Forbidden, "territory_only")
    with territory_session(staff, "dsi") as session:
        refused(lambda: orders.reject(session, order.id, "  ", NOW), InvalidInput, "invalid_reason")
        orders.approve(session, order.id, NOW)
    for act in (lambda s: orders.approve(s, order.id, NOW), lambda s: orders.cancel(s, order.id, NOW)):
        with territory_session(staff, "dsi") as session:
            refused(lambda act=act, session=session: act(session), Conflict, "order_decided")


def test_two_decisions_at_once_are_one(owner: sa.Engine, web: sa.Engine, staff: sa.Engine) -> None:
    brevaux = member(owner)
    order = place(web, brevaux, offer="vm-xlarge")

    def decide(number: int) -> str:
        try:
            with territory_session(staff, f"dsi-{number}") as session:
                if number % 2:
                    return orders.approve(session, order.id, NOW).state
                return orders.reject(session, order.id, "non", NOW).state
        except Conflict as error:
            return error.code

    with ThreadPoolExecutor(6) as pool:
        outcomes = Counter(pool.map(decide, range(6)))
    assert outcomes["order_decided"] == 5


def test_foreign_orders_are_unknown(owner: sa.Engine, web: sa.Engine) -> None:
    brevaux, orgelune = member(owner), member(owner, "orgelune")
    order = place(web, brevaux, offer="vm-xlarge")
    with member_session(web, orgelune, "spy") as session:
        for act in (lambda: reading.show(session, Order, order.id), lambda: orders.cancel(session, order.id, NOW)):
            refused(act, NotFound, "not_found")
        assert reading.page(session, Order) == ([], None)


def test_a_closed_member_orders_nothing(owner: sa.Engine, web: sa.Engine) -> None:
    brevaux = member(owner)
    with territory_session(owner, "tests") as session:
        session.execute(sa.update(Member).values(state="closed"))
    refused(lambda: place(web, brevaux), Conflict, "member_closed")


def test_names_are_unique_among_the_living(owner: sa.Engine, web: sa.Engine) -> None:
    brevaux, orgelune = member(owner), member(owner, "orgelune")
    place(web, brevaux)
    refused(lambda: place(web, brevaux, key="again"), Conflict, "name_taken")
    assert place(web, orgelune).state == "approved"


def test_operations_follow_the_service(owner: sa.Engine, web: sa.Engine) -> None:
    brevaux = member(owner)
    order = place(web, brevaux)
    assert order.service_id is not None

    def ask(verb: str) -> Flow:
        with member_session(web, brevaux, "agent") as session:
            return operations.ask(session, order.service_id, verb)

    assert refused(lambda: ask("stop"), Conflict, "flow_running").facts == {"flow": order.flow_id}
    finish(owner, order.service_id, "active")
    refused(lambda: ask("start"), Conflict, "not_allowed_now")
    stop = ask("stop")
    assert (stop.kind, stop.state, stop.requested_by) == ("stop_server", "queued", "agent")
    refused(lambda: ask("delete"), Conflict, "flow_running")
    with member_session(web, brevaux, "agent") as session:
        refused(lambda: operations.cancel(session, stop.id), Conflict, "not_cancellable")
    finish(owner, order.service_id, "deleting")
    assert ask("delete").kind == "delete_server"  # the first delete failed half way: ask again
    finish(owner, order.service_id, "deleted")
    for verb in ("start", "stop", "delete"):
        refused(lambda verb=verb: ask(verb), Conflict, "not_allowed_now")


@pytest.mark.slow
def test_a_creation_can_be_cancelled_while_it_lives(owner: sa.Engine, web: sa.Engine) -> None:
    brevaux = member(owner)
    order = place(web, brevaux)
    for _ in range(2):
        with member_session(web, brevaux, "agent") as session:
            assert operations.cancel(session, order.flow_id).cancel_requested
    finish(owner, order.service_id, "failed")
    with member_session(web, brevaux, "agent") as session:
        refused(lambda: operations.cancel(session, order.flow_id), Conflict, "flow_ended")
        told = session.scalars(sa.select(AuditEntry.action)).all()
    assert told.count("flow.cancel") == 1


def test_the_web_role_cannot_write_a_services_state(owner: sa.Engine, web: sa.Engine) -> None:
    brevaux = member(owner)
    order = place(web, brevaux)
    with pytest.raises(sa.exc.ProgrammingError), member_session(web, brevaux, "agent") as session:
        session.execute(sa.update(Service).where(Service.id == order.service_id).values(state="active"))


def test_two_requests_at_once_queue_one_flow(owner: sa.Engine, web: sa.Engine) -> None:
    brevaux = member(owner)
    order = place(web, brevaux)
    finish(owner, order.service_id, "active")

    def ask(_: int) -> str:
        try:
            with member_session(web, brevaux, "agent") as session:
                return operations.ask(session, order.service_id, "delete").kind
        except Conflict as error:
            return error.code

    with ThreadPoolExecutor(6) as pool:
        assert Counter(pool.map(ask, range(6))) == {"delete_server": 1, "flow_running": 5}
