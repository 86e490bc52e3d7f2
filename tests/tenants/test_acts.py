"""What may be done with a service, why not, at which price; the same as what the operations then accept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import Range

from orchestrator import flows, snapshots
from orchestrator.database import member_session, territory_session
from orchestrator.errors import Conflict, InvalidInput, NotFound
from orchestrator.tables import AuditEntry, Flow, Resource, Service, Snapshot
from tenants import acts, operations, prices, restoring
from tenants.tables import Meter, Price
from tests.tenants.ordering import KEY, NOW, member, seed
from tests.tenants.test_changes import create, end, refused

KINDS = {
    "start": "start_server", "stop": "stop_server", "reboot": "reboot_server", "resize": "resize_server",
    "volume": "grow_volume", "address": "add_address", "parameters": "change_parameters", "keys": "replace_keys",
    "rename": "rename_server",
    "snapshot": "snapshot_server", "restore": "restore_server", "delete": "delete_server",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _seeded(owner: sa.Engine) -> None:
    seed(owner)


def seen(web: sa.Engine, member_id: int, service: int) -> dict[str, acts.Act]:
    with member_session(web, member_id, "agent") as session:
        row, book = session.get_one(Service, service), prices.in_force(session, NOW)
        found = acts.possible(session, row, book, grace=timedelta(hours=72), most=2)
    return {act.name: act for act in found}


def codes(web: sa.Engine, member_id: int, service: int) -> dict[str, str | None]:
    return {name: act.code for name, act in seen(web, member_id, service).items()}


def put(owner: sa.Engine, **values: Any) -> None:
    with territory_session(owner, "tests") as session:
        session.execute(sa.update(Service).values(**values))


def test_the_states_are_those_of_the_flows() -> None:
    for name, kind in KINDS.items():
        assert set(acts.NEEDS[name]) <= {*flows.KINDS[kind].needs, flows.KINDS[kind].during}, name


@pytest.mark.slow
def test_what_is_possible_follows_the_service(owner: sa.Engine, web: sa.Engine) -> None:
    brevaux = member(owner)
    service = create(owner, web, brevaux, disk_gib=10)
    found = codes(web, brevaux, service)
    assert {name for name, code in found.items() if code is None} == {
        "stop", "reboot", "resize", "volume", "address", "keys", "rename", "snapshot", "schedule", "protect",
        "delete", "delete_now",
    }  # fmt: skip
    assert (found["start"], found["restore"]) == ("not_allowed_now", "no_snapshot")
    put(owner, protected=True)
    found = codes(web, brevaux, service)
    assert (found["delete"], found["delete_now"], found["restore"]) == ("service_protected",) * 3
    assert "protect" not in found and found["unprotect"] is None
    put(owner, protected=False, delete_after=NOW)
    found = codes(web, brevaux, service)
    assert (found["restore_deleted"], found["delete_now"], found["reboot"]) == (None, None, "deletion_planned")
    put(owner, delete_after=None)
    with member_session(web, brevaux, "agent") as session:
        operations.reboot(session, service, hard=True)
    found = codes(web, brevaux, service)
    assert (found["stop"], found["resize"], found["protect"]) == ("flow_running", "flow_running", None)


def test_prices_and_losses_are_told(owner: sa.Engine, web: sa.Engine) -> None:
    brevaux = member(owner)
    service = create(owner, web, brevaux)
    found = seen(web, brevaux, service)
    # 1 vCPU and 1 GiB have no stopped price in these tests: nothing can be said of it.
    assert found["stop"].monthly is None
    assert found["delete_now"].monthly == Decimal("-10.95")
    assert found["delete_now"].loses and "sans retour" in found["delete_now"].loses
    assert found["delete"].tells and "72 heures" in found["delete"].tells


@pytest.mark.slow
def test_each_operation_queues_its_flow(owner: sa.Engine, web: sa.Engine) -> None:
    brevaux = member(owner)
    service = create(owner, web, brevaux)

    def run(kind: str, parameters: dict[str, Any], act: Any, **more: Any) -> None:
        with member_session(web, brevaux, "agent") as session:
            made = act(session, service, **more)
        flow = made[1] if isinstance(made, tuple) else made
        assert (flow.kind, flow.parameters, flow.requested_by) == (kind, parameters, "agent")
        end(owner, flow.id, "done")

    run("reboot_server", {"hard": False}, operations.reboot)
    run("replace_keys", {"ssh_keys": [KEY]}, operations.replace_keys, keys=[KEY, KEY + "\n"])
    run("rename_server", {"name": "site"}, operations.rename, name="site")
    run("snapshot_server", {"snapshot_id": 1}, operations.snapshot, name=" avant ", most=2)
    refused("snapshot_state", Conflict, run, "", {}, operations.restore, snapshot_id=1)
    with territory_session(owner, "tests") as session:
        session.execute(sa.update(Snapshot).values(state="ready", ready_at=NOW, size_gib=10))
    run("restore_server", {"snapshot_id": 1}, operations.restore, snapshot_id=1)
    refused("no_volume_copies", Conflict, run, "", {}, operations.restore, snapshot_id=1, volumes=True)
    refused("snapshot_quota", Conflict, run, "", {}, operations.restore, snapshot_id=1, safety="avant", most=1)
    run("snapshot_server", {"snapshot_id": 2}, operations.snapshot, name="deux", most=2)
    refused("snapshot_quota", Conflict, run, "", {}, operations.snapshot, name="trois", most=2)
    run("delete_snapshot", {"snapshot_id": 1}, operations.delete_snapshot, snapshot_id=1)
    put(owner, protected=True)
    refused("service_protected", Conflict, run, "", {}, operations.restore, snapshot_id=1)
    with territory_session(owner, "tests") as session:
        told = session.scalars(sa.select(AuditEntry.action).where(AuditEntry.actor == "agent")).all()
        assert told == [
            "order.place", "service.reboot", "service.keys", "service.rename_asked", "snapshot.make",
            "service.restore", "snapshot.make", "snapshot.delete",
        ]  # fmt: skip
        keys = session.scalar(sa.select(AuditEntry.detail).where(AuditEntry.action == "service.keys"))
        assert "AAAA" not in str(keys)


def test_going_back_with_the_volumes_and_a_way_to_return(owner: sa.Engine, web: sa.Engine) -> None:
    brevaux = member(owner)
    service = create(owner, web, brevaux)
    with member_session(web, brevaux, "agent") as session:
        snapshot, flow = operations.snapshot(session, service, "avant", most=2)
        one = snapshot.id
    end(owner, flow.id, "done")
    parts = [
        ("volume", "main", "v1"), ("volume", "later", "v2"), ("image", f"snapshot-{one}", "i"),
        ("volume_snapshot", f"snapshot-{one}/main", "c1"), ("volume_snapshot", f"snapshot-{one}9/later", "c2"),
    ]  # fmt: skip
    with territory_session(owner, "tests") as session:
        session.execute(sa.update(Snapshot).values(state="ready", ready_at=NOW, size_gib=10))
        for kind, role, cloud_id in parts:
            session.add(Resource(member_id=brevaux, service_id=service, kind=kind, role=role, cloud_id=cloud_id))
    with member_session(web, brevaux, "agent") as session:
        seen = restoring.preview(session, service, one, NOW, most=2)
        assert (seen.volumes, seen.advised, seen.monthly) == (("main",), False, None), "it has no price"
    with territory_session(owner, "tests") as session:
        meter = session.scalars(sa.select(Meter).where(Meter.code == "snapshot")).one()
        always = Range(datetime(2026, 1, 1, tzinfo=UTC), None)
        session.add(Price(meter_id=meter.id, during=always, hourly=Decimal("0.0001"), book="2026"))
    with member_session(web, brevaux, "agent") as session:
        seen = restoring.preview(session, service, one, NOW, most=2)
        assert (seen.advised, seen.refused) == (True, None)
        assert seen.monthly == prices.monthly(session, {"snapshot": Decimal(10)}, NOW).monthly
        flow = operations.restore(session, service, one, volumes=True, safety=" au cas où ", most=2)
        safety = session.get_one(Snapshot, flow.parameters["safety_id"])
        assert (safety.name, safety.state, safety.service_id) == ("au cas où", "making", service)
        assert flow.parameters == {"snapshot_id": one, "volumes": ["main"], "safety_id": safety.id}
        refusal = restoring.preview(session, service, one, NOW, most=2).refused
        assert refusal and refusal.code == "snapshot_quota"
    # A restore that never began has kept nothing.
    with territory_session(owner, "tests") as session:
        snapshots.give_up(session, session.get_one(Flow, flow.id))
    with territory_session(owner, "tests") as session:
        assert session.get_one(Snapshot, safety.id).state == "failed"
        snapshots.give_up(session, session.get_one(Flow, flow.id))  # once is enough
        assert session.get_one(Snapshot, one).state == "ready"


def test_wrong_wishes_are_refused(owner: sa.Engine, web: sa.Engine) -> None:
    brevaux, orgelune = member(owner), member(owner, "orgelune")
    service = create(owner, web, brevaux)
    create(owner, web, brevaux, "taken")

    def ask(act: Any, who: int = brevaux, **more: Any) -> None:
        with member_session(web, who, "agent") as session:
            act(session, service, **more)

    refused("invalid_name", InvalidInput, ask, operations.rename, name="Site")
    refused("nothing_changes", InvalidInput, ask, operations.rename, name="web")
    refused("name_taken", Conflict, ask, operations.rename, name="taken")
    refused("invalid_keys", InvalidInput, ask, operations.replace_keys, keys=[])
    refused("invalid_ssh_key", InvalidInput, ask, operations.replace_keys, keys=["ssh-rsa nothing"])
    refused("invalid_name", InvalidInput, ask, operations.snapshot, name=" ", most=9)
    refused("snapshot_not_found", NotFound, ask, operations.restore, snapshot_id=2**70)
    for act, more in ((operations.reboot, {}), (operations.snapshot, {"name": "x", "most": 9})):
        refused("not_found", NotFound, ask, act, orgelune, **more)
    put(owner, state="stopped")
    refused("not_allowed_now", Conflict, ask, operations.reboot)
    with territory_session(owner, "tests") as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Flow)) == 2
