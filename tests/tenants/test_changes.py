"""A change of a service is looked at, ordered, held and released; nothing is held twice, two can't race."""

from __future__ import annotations

import random
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa

from orchestrator import repair
from orchestrator.database import member_session, territory_session
from orchestrator.errors import ClocherError, Conflict, InvalidInput, NotFound
from orchestrator.tables import Flow, Service
from tenants import changes, orders, policy, quotas, wholes
from tenants.tables import Order
from tests.tenants.ordering import NOW, member, seed, wish

SMALL, MEDIUM = Decimal("10.95"), Decimal("29.20")  # a month: 7.30 + 3.65; 14.60 + 14.60


@pytest.fixture(autouse=True)
def _seeded(owner: sa.Engine) -> None:
    seed(owner)


@pytest.fixture
def strict(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever costs more waits for the DSI."""
    rules = [{"name": {"fr": "Tout", "en": "All"}, "orders": ["change"], "steps": ["dsi"]}]
    monkeypatch.setattr(policy, "load", lambda: policy.Policy.model_validate({"rules": rules}))


def create(owner: sa.Engine, web: sa.Engine, member_id: int, name: str = "web", **more: Any) -> int:
    """An active service's id."""
    with member_session(web, member_id, "agent") as session:
        order = orders.place(session, member_id, more.pop("offer", "vm-small"), wish(name, **more), name, NOW)
    assert order.service_id and order.flow_id
    end(owner, order.flow_id, "done", "active")
    return order.service_id


def end(owner: sa.Engine, flow_id: int | None, state: str, service_state: str | None = None) -> None:
    """What the end of a flow does to itself and its service."""
    with territory_session(owner, "worker") as session:
        flow = session.get_one(Flow, flow_id)
        held = state == "held"
        flow.state, flow.ended_at, flow.held_at = state, None if held else NOW, NOW if held else None
        if service_state:
            session.execute(sa.update(Service).where(Service.id == flow.service_id).values(state=service_state))


def change(web: sa.Engine, member_id: int, service_id: int, key: str = "", **wanted: Any) -> Order:
    with member_session(web, member_id, "agent") as session:
        return changes.place(session, service_id, wanted, key or str(uuid.uuid4()), NOW)


def preview(web: sa.Engine, member_id: int, service_id: int, **wanted: Any) -> changes.Preview:
    with member_session(web, member_id, "agent") as session:
        return changes.preview(session, service_id, wanted, NOW)


def held(owner: sa.Engine, member_id: int) -> dict[str, Any]:
    with territory_session(owner, "tests") as session:
        counts, monthly = quotas.held(session, member_id)
    return {**counts, "monthly": monthly}


def refused(code: str, kind: type[ClocherError], act: Any, *words: Any, **more: Any) -> ClocherError:
    with pytest.raises(kind) as error:
        act(*words, **more)
    assert error.value.code == code
    return error.value


def test_only_what_is_held_goes_on_and_nothing_comes_between(
    owner: sa.Engine, staff: sa.Engine, web: sa.Engine
) -> None:
    """A held change is still the service's one live operation and holds its quota; an ended one never runs again."""
    brevaux = member(owner, vcpus=2)
    service = create(owner, web, brevaux)
    first = change(web, brevaux, service, offer="vm-medium")
    end(owner, first.flow_id, "held", "resizing")
    refused("not_allowed_now", Conflict, change, web, brevaux, service, disk_gib=10)
    end(owner, first.flow_id, "held", "active")
    refused("flow_running", Conflict, change, web, brevaux, service, disk_gib=10)
    with member_session(web, brevaux, "agent") as session:
        assert quotas.held(session, brevaux)[0]["vcpus"] == 2
        refused("quota_exceeded", Conflict, quotas.check, session, brevaux, {"vcpus": 1}, Decimal(0), NOW)
    assert first.flow_id
    for state in ("failed", "cancelled", "done"):
        with territory_session(owner, "worker") as session:
            row = {"state": state, "ended_at": NOW, "held_at": None}
            session.execute(sa.update(Flow).where(Flow.id == first.flow_id).values(**row))
        for act in (repair.retry, repair.undo):
            with territory_session(staff, "dsi") as session:
                refused("flow_not_held", Conflict, act, session, first.flow_id)


def test_a_resize_is_seen_before_it_is_ordered(owner: sa.Engine, web: sa.Engine) -> None:
    brevaux = member(owner)
    service = create(owner, web, brevaux)
    seen = preview(web, brevaux, service, offer="vm-medium")
    assert (seen.kind, seen.now.monthly, seen.after.monthly, seen.difference) == (
        "resize", SMALL, MEDIUM, MEDIUM - SMALL,
    )  # fmt: skip
    limits = {limit.name: (limit.held, limit.after, limit.limit) for limit in seen.limits}
    assert limits == {
        "vcpus": (1, 2, 200),
        "ram_mib": (1024, 4096, 400_000),
        "monthly": (SMALL, MEDIUM, Decimal("5000.00")),
    }
    assert (seen.harmful, seen.steps, seen.refused) == (False, (), None)
    assert "interruption" in seen.effects[0]
    assert held(owner, brevaux)["vcpus"] == 1  # a look holds nothing
    order = change(web, brevaux, service, offer="vm-medium")
    assert (order.kind, order.state, order.monthly, order.difference) == ("resize", "approved", MEDIUM, MEDIUM - SMALL)
    with territory_session(owner, "tests") as session:
        flow = session.get_one(Flow, order.flow_id)
        assert (flow.kind, flow.state) == ("resize_server", "queued")
        assert flow.parameters == {
            "offer": "vm-medium", "offer_version": 1, "flavor": "s1.medium", "vcpus": 2, "ram_mib": 4096,
        }  # fmt: skip


@pytest.mark.parametrize(
    ("wanted", "kind", "parameters"),
    [
        ({"disk_gib": 30}, "grow_volume", {"role": "main", "disk_gib": 30}),
        ({"disk_gib": 0}, "remove_volume", {"role": "main"}),
        ({"volume": "base", "disk_gib": 5}, "add_volume", {"role": "base", "name": "base", "disk_gib": 5}),
        ({"public_address": False}, "remove_address", {}),
    ],
)
def test_each_change_queues_its_flow(
    owner: sa.Engine, web: sa.Engine, wanted: dict[str, Any], kind: str, parameters: dict[str, Any]
) -> None:
    brevaux = member(owner)
    service = create(owner, web, brevaux, disk_gib=20, public_address=True)
    order = change(web, brevaux, service, **wanted)
    with territory_session(owner, "tests") as session:
        flow = session.get_one(Flow, order.flow_id)
        assert (flow.kind, flow.parameters) == (kind, parameters)


def test_an_increase_is_held_at_once_a_decrease_is_free_at_the_end(owner: sa.Engine, web: sa.Engine) -> None:
    brevaux = member(owner)
    service = create(owner, web, brevaux)
    up = change(web, brevaux, service, offer="vm-medium")
    assert held(owner, brevaux) == {
        "servers": 1, "vcpus": 2, "ram_mib": 4096, "volumes": 0, "disk_gib": 0, "public_addresses": 0,
        "monthly": MEDIUM,
    }  # fmt: skip
    end(owner, up.flow_id, "done")
    assert held(owner, brevaux)["monthly"] == MEDIUM
    down = change(web, brevaux, service, offer="vm-small")
    assert held(owner, brevaux)["vcpus"] == 2
    end(owner, down.flow_id, "done")
    assert held(owner, brevaux)["monthly"] == SMALL
    failed = change(web, brevaux, service, offer="vm-large")
    end(owner, failed.flow_id, "held")
    assert held(owner, brevaux)["vcpus"] == 4  # a person may still bring it to its end
    end(owner, failed.flow_id, "failed")
    assert held(owner, brevaux)["vcpus"] == 1


@pytest.mark.slow
def test_a_waiting_change_holds_blocks_and_is_decided(
    owner: sa.Engine, web: sa.Engine, staff: sa.Engine, strict: None
) -> None:
    brevaux = member(owner, vcpus=4)
    service = create(owner, web, brevaux)
    assert preview(web, brevaux, service, offer="vm-large").steps == ("dsi",)
    order = change(web, brevaux, service, offer="vm-large")
    assert (order.state, order.flow_id, held(owner, brevaux)["vcpus"]) == ("waiting", None, 4)
    refused("change_waiting", Conflict, change, web, brevaux, service, disk_gib=5)
    assert preview(web, brevaux, service, disk_gib=5).refused.code == "change_waiting"
    refused("quota_exceeded", Conflict, create, owner, web, brevaux, "two")
    with member_session(web, brevaux, "agent") as session:
        orders.cancel(session, order.id, NOW)
    assert held(owner, brevaux)["vcpus"] == 1
    again = change(web, brevaux, service, offer="vm-large")
    with territory_session(staff, "dsi") as session:
        approved = orders.approve(session, again.id, NOW)
    assert approved.state == "approved"
    end(owner, approved.flow_id, "done")
    assert change(web, brevaux, service, offer="vm-small").state == "approved"  # what gets smaller asks nobody


@pytest.mark.slow
def test_quota_and_budget_bound_the_difference(owner: sa.Engine, web: sa.Engine) -> None:
    brevaux = member(owner, vcpus=2, disk_gib=40, budget="400")
    service = create(owner, web, brevaux, disk_gib=20)
    error = refused("quota_exceeded", Conflict, change, web, brevaux, service, offer="vm-large")
    assert error.facts == {"quota": "vcpus", "asked": 3, "held": 1, "limit": 2}
    assert change(web, brevaux, service, disk_gib=40).state == "approved"
    orgelune = member(owner, "orgelune", budget="350.39")  # a twelfth is a cent less than a medium server costs
    other = create(owner, web, orgelune)
    seen = preview(web, orgelune, other, offer="vm-medium")
    assert seen.refused is not None and seen.refused.code == "budget_exceeded"
    error = refused("budget_exceeded", Conflict, change, web, orgelune, other, offer="vm-medium")
    assert (error.facts["asked"], error.facts["held"]) == ("18.25", "10.95")


@pytest.mark.slow
def test_what_makes_no_sense_is_refused(owner: sa.Engine, web: sa.Engine) -> None:
    brevaux, orgelune = member(owner), member(owner, "orgelune")
    service = create(owner, web, brevaux, disk_gib=20)
    for code, wanted in (
        ("nothing_changes", {"offer": "vm-small"}),
        ("nothing_changes", {"disk_gib": 20}),
        ("nothing_changes", {"public_address": False}),
        ("volume_shrinks", {"disk_gib": 19}),
        ("unknown_offer", {"offer": "vm-huge"}),
        ("invalid_change", {}),
        ("invalid_change", {"disk_gib": "30"}),
        ("invalid_change", {"disk_gib": -1}),
        ("invalid_change", {"disk_gib": 5, "volume": "/etc"}),
        ("invalid_change", {"offer": "vm-medium", "public_address": True}),
        ("invalid_change", {"public_address": True, "monthly": 0}),
    ):
        refused(code, InvalidInput, change, web, brevaux, service, **wanted)
        refused(code, InvalidInput, preview, web, brevaux, service, **wanted)
    refused("not_found", NotFound, change, web, orgelune, service, offer="vm-medium")
    with territory_session(owner, "tests") as session:
        session.execute(sa.update(Service).values(protected=True))
    for wanted in ({"disk_gib": 0},):
        refused("service_protected", Conflict, change, web, brevaux, service, **wanted)
    with territory_session(owner, "tests") as session:
        session.execute(sa.update(Service).values(state="stopping"))
    refused("not_allowed_now", Conflict, change, web, brevaux, service, disk_gib=40)


def test_the_same_request_is_one_order(owner: sa.Engine, web: sa.Engine) -> None:
    brevaux = member(owner)
    service = create(owner, web, brevaux)
    with ThreadPoolExecutor(8) as pool:
        ids = set(pool.map(lambda _: change(web, brevaux, service, "twice", disk_gib=10).id, range(16)))
    assert len(ids) == 1
    refused("request_key_reused", Conflict, change, web, brevaux, service, "twice", disk_gib=11)
    refused("request_key_reused", Conflict, create, owner, web, brevaux, "twice")


@pytest.mark.slow
def test_fifty_changes_at_once_against_a_quota(owner: sa.Engine, web: sa.Engine) -> None:
    brevaux = member(owner, disk_gib=200, volumes=60)
    services = [create(owner, web, brevaux, f"web-{number}") for number in range(50)]

    def one(service: int) -> str:
        try:
            return change(web, brevaux, service, disk_gib=10).state
        except Conflict as error:
            return error.code

    with ThreadPoolExecutor(10) as pool:
        assert Counter(pool.map(one, services)) == {"approved": 20, "quota_exceeded": 30}
    assert held(owner, brevaux)["disk_gib"] == 200


class Model:
    """What each service is and what it is becoming, by hand."""

    def __init__(self) -> None:
        self.now: dict[int, dict[str, Decimal]] = {}
        self.next: dict[int, tuple[Order, dict[str, Decimal]]] = {}

    def held(self) -> dict[str, Decimal]:
        total: Counter[str] = Counter()
        for service, sizes in self.now.items():
            wanted = self.next[service][1] if service in self.next else sizes
            total.update({name: max(size, wanted[name]) for name, size in sizes.items()})
        return dict(total)


def sizes_of(order: Order) -> dict[str, Any]:
    return {name: getattr(order, name) for name in quotas.COLUMNS}


@pytest.mark.slow
@pytest.mark.parametrize("seed_number", [0, *(pytest.param(more, marks=pytest.mark.slow) for more in range(1, 6))])
def test_what_is_held_follows_any_history(
    owner: sa.Engine, web: sa.Engine, staff: sa.Engine, strict: None, seed_number: int
) -> None:
    chance = random.Random(seed_number)
    brevaux = member(owner)
    model = Model()
    services = [create(owner, web, brevaux, f"web-{n}", disk_gib=10) for n in range(3)]
    with territory_session(owner, "tests") as session:
        for order in session.scalars(sa.select(Order)):
            model.now[order.service_id] = sizes_of(order)
    for _ in range(40):
        service = chance.choice(services)
        if service not in model.now:
            continue
        if service not in model.next:
            wanted = chance.choice(
                [
                    {"offer": chance.choice(["vm-small", "vm-medium", "vm-large"])},
                    {"disk_gib": chance.choice([0, 10, 20, 50])},
                    {"volume": "base", "disk_gib": chance.choice([0, 5, 15])},
                    {"public_address": chance.random() < 0.5},
                ]
            )
            try:
                order = change(web, brevaux, service, **wanted)
                model.next[service] = order, sizes_of(order)
            except InvalidInput:
                pass
        else:
            order, sizes = model.next.pop(service)
            if order.state == "waiting":
                with territory_session(staff, "dsi") as session:
                    if chance.random() < 0.3:
                        orders.reject(session, order.id, "non", NOW)
                    else:
                        model.next[service] = orders.approve(session, order.id, NOW), sizes
            elif chance.random() < 0.1:
                end(owner, order.flow_id, "failed", "deleted")
                del model.now[service]
            elif chance.random() < 0.3:
                end(owner, order.flow_id, chance.choice(["failed", "cancelled"]))
            else:
                end(owner, order.flow_id, "done")
                model.now[service] = sizes
        assert held(owner, brevaux) == {name: model.held().get(name, 0) for name in quotas.COLUMNS}
    with territory_session(owner, "tests") as session:
        for service in model.now:
            settled = wholes.of(session, wholes.settled(session, session.get_one(Service, service)))
            assert settled.sizes.items() <= model.now[service].items()
