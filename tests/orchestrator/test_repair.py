"""Flows that the DSI can mend: held, gone on with, undone, handed over; on the real dev cloud, with real workers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from orchestrator import cloud, repair, waiting
from orchestrator import cloud_servers as servers
from orchestrator.database import member_session, territory_session
from orchestrator.errors import Conflict
from orchestrator.steps import Runtime
from orchestrator.tables import AuditEntry, Flow, FlowStep, Resource, Service, Worker
from tests.orchestrator.flowing import Stage, eventually
from tests.orchestrator.test_kill import restart, run_to_the_end

pytestmark = pytest.mark.cloud


def order_broken(stage: Stage, name: str = "web", **specification: Any) -> tuple[int, int]:
    """An order whose step `server` breaks in a way that no error of ours foresees; its service and flow."""
    return stage.order(name, disk_gib=1, image=None, **specification)


def mend(stage: Stage, service_id: int) -> None:
    """What the DSI does about it."""
    with territory_session(stage.owner, "tests") as session:
        service = session.get_one(Service, service_id)
        service.specification = service.specification | {"image": "debian-12"}


def actions(stage: Stage, flow: int) -> list[str]:
    """What the audit trail says of a flow."""
    return [entry.action for entry in stage.rows(AuditEntry, AuditEntry.subject == f"flow {flow}")]


def test_held_then_gone_on_with(stage: Stage, staff: sa.Engine) -> None:
    stage.start()
    service_id, flow = order_broken(stage)
    held = stage.held(flow)
    assert (held.error_code, held.runs) == ("unexpected", 1)
    assert held.held_at and not held.ended_at
    assert stage.steps(flow) == {"project": "done", "volume": "done", "port": "done", "server": "failed"}
    assert stage.service(service_id).state == "creating"
    made = stage.in_cloud()
    mend(stage, service_id)
    with territory_session(staff, "dsi") as session:
        repair.retry(session, flow)
    with territory_session(staff, "dsi") as session, pytest.raises(Conflict) as refused:
        repair.retry(session, flow)  # the second click
    assert refused.value.code == "flow_not_held"
    (done,) = stage.rest(flow)
    assert (done.state, done.runs, done.error_code) == ("done", 2, None)
    assert stage.service(service_id).state == "active"
    assert set(made) < set(stage.in_cloud())
    assert len(stage.in_cloud()) == 3
    attempts = {step.name: step.attempts for step in stage.rows(FlowStep, FlowStep.flow_id == flow)}
    assert (attempts["port"], attempts["server"]) == (1, 2)
    assert actions(stage, flow) == ["flow.hold", "flow.retry", "flow.done"]


def test_held_then_undone(stage: Stage, staff: sa.Engine) -> None:
    stage.start()
    service_id, flow = order_broken(stage, public_address=True)
    stage.held(flow)
    with territory_session(staff, "dsi") as session:
        repair.hand_over(session, flow, "Camille Renard", "Image retirée du nuage.")
    with territory_session(staff, "dsi") as session:
        repair.undo(session, flow)
    (failed,) = stage.rest(flow)
    assert (failed.state, failed.error_code) == ("failed", "unexpected")
    assert (failed.keeper, failed.keeper_note) == ("Camille Renard", "Image retirée du nuage.")
    assert stage.service(service_id).state == "failed"
    assert stage.in_cloud() == []
    assert all(row.deleted_at for row in stage.rows(Resource))
    assert set(stage.steps(flow).values()) == {"done", "undone"}
    assert actions(stage, flow) == ["flow.hold", "flow.hand_over", "flow.undo", "flow.failed"]


def test_the_member_cancels_what_is_held(stage: Stage, web: sa.Engine) -> None:
    stage.start()
    service_id, flow = order_broken(stage)
    stage.held(flow)
    with member_session(web, stage.member_id, "jeanne") as session:
        session.execute(sa.update(Flow).where(Flow.id == flow).values(cancel_requested=True))
    (cancelled,) = stage.rest(flow)
    assert (cancelled.state, cancelled.error_code) == ("cancelled", "flow_cancelled")
    assert stage.service(service_id).state == "failed"
    assert stage.in_cloud() == []


def test_nobody_came(stage: Stage, worker: sa.Engine) -> None:
    stage.start()
    _, flow = order_broken(stage)
    stage.held(flow)
    runtime = Runtime(stage.settings, worker, cloud.connect(stage.settings))
    assert repair.expire(runtime) == []
    with territory_session(stage.owner, "tests") as session:
        session.execute(sa.update(Flow).values(held_at=datetime.now(UTC) - timedelta(hours=73)))
    assert repair.expire(runtime) == [flow]
    assert repair.expire(runtime) == []
    assert stage.rest(flow)[0].state == "failed"
    assert stage.in_cloud() == []


def test_an_operation_that_is_held_leaves_the_service_in_between(stage: Stage, staff: sa.Engine) -> None:
    stage.start()
    service_id, flow = stage.order("web")
    stage.rest(flow)
    flow = stage.ask(service_id, "add_volume", role="photos", name="photos")  # no size
    assert stage.held(flow).error_code == "unexpected"
    assert stage.service(service_id).state == "active"
    with pytest.raises(sa.exc.IntegrityError):
        stage.ask(service_id, "stop_server")
    with territory_session(staff, "dsi") as session:
        repair.undo(session, flow)
    assert stage.rest(flow)[0].state == "failed"
    assert stage.service(service_id).state == "active"
    assert stage.do(service_id, "stop_server").state == "done"


def test_not_held_where_the_installation_does_not_want_it(stage: Stage) -> None:
    stage.start(hold_failures=False)
    _, flow = order_broken(stage)
    assert stage.rest(flow)[0].state == "failed"
    assert stage.in_cloud() == []


def test_killed_around_holding_going_on_and_undoing(stage: Stage, staff: sa.Engine) -> None:
    orders = [order_broken(stage, f"vm-{number}") for number in range(2)]
    flows = [flow for _, flow in orders]

    def all_held() -> bool:
        """And the worker has died at both places: a flow is held a moment before that is recorded."""
        died = {"hold.effect", "hold.recorded"} <= {mark.name for mark in stage.plan.iterdir()}
        return died and all(flow.state == "held" for flow in stage.rows(Flow))

    run_to_the_end(stage, restart, all_held)
    mend(stage, orders[0][0])
    with territory_session(staff, "dsi") as session:
        repair.retry(session, flows[0])
        repair.undo(session, flows[1])
    run_to_the_end(stage, restart)
    marks = {mark.name for mark in stage.plan.iterdir()}
    assert {"volume.undone", "port.undone", "server.undone", "server.effect", "activate.effect"} <= marks
    done, failed = stage.rest(*flows)
    assert (done.state, done.runs, failed.state, failed.runs) == ("done", 2, "failed", 2)
    ref = str(stage.service(orders[0][0]).ref)
    assert stage.in_cloud() == [(ref, kind) for kind in ("port", "server", "volume")]
    assert [stage.service(service_id).state for service_id, _ in orders] == ["active", "failed"]
    for flow in flows:
        assert len(actions(stage, flow)) == 3


def test_held_when_it_could_not_be_undone(stage: Stage, staff: sa.Engine) -> None:
    """The name is taken at the end, and as the server shall have its old one back the cloud does not know it."""
    first = stage.start()
    service_id, flow = stage.order("web")
    stage.rest(flow, stage.order("mail")[1])
    first.terminate()
    first.join(30)
    (server,) = stage.rows(Resource, Resource.kind == "server", Resource.service_id == service_id)
    flow = stage.ask(service_id, "rename_server", name="mail")
    (stage.plan / "name.effect").touch()
    stage.start(deadly=True).join(60)
    assert (stage.plan / "name.recorded").exists()
    point_at(stage, server.id, "11111111-2222-4333-8444-555555555555")
    stage.start()
    held = stage.held(flow)
    assert (held.error_code, held.undo_requested) == ("name_taken", True)
    assert "undo of name" in (held.error_detail or "")
    point_at(stage, server.id, server.cloud_id)
    with territory_session(staff, "dsi") as session:
        repair.retry(session, flow)
    (failed,) = stage.rest(flow)
    assert (failed.state, failed.error_code) == ("failed", "name_taken")
    project = cloud.connect(stage.settings).project(stage.ids.project_id)
    assert servers.get_server(project, server.cloud_id).name == "web"
    assert stage.service(service_id).state == "active"


def point_at(stage: Stage, resource_id: int, cloud_id: str) -> None:
    """Write another id of the cloud into a resource's row."""
    with territory_session(stage.owner, "tests") as session:
        session.execute(sa.update(Resource).where(Resource.id == resource_id).values(cloud_id=cloud_id))


def test_why_a_flow_waits(stage: Stage, web: sa.Engine, staff: sa.Engine) -> None:
    _, first = stage.order("first")
    _, second = stage.order("second")

    def why(flow: int) -> waiting.Waiting | None:
        with member_session(web, stage.member_id, "jeanne") as session:
            return waiting.why_waiting(session, stage.settings, session.get_one(Flow, flow))

    alone = why(second)
    assert alone and (alone.reason, alone.ahead, alone.ahead_of_member) == ("no_worker", 1, 1)
    with territory_session(stage.owner, "tests") as session:
        session.add(Worker(id="worker-1", host="here", pid=1))
    turn = why(first)
    assert turn and (turn.reason, turn.ahead) == ("turn", 0)
    with territory_session(stage.owner, "tests") as session:
        session.execute(sa.update(Flow).where(Flow.id == first).values(state="running"))
    few = stage.settings.model_copy(update={"flows_per_member": 1})
    with territory_session(staff, "dsi") as session:
        limited = waiting.why_waiting(session, few, session.get_one(Flow, second))
        assert limited and (limited.reason, limited.running_of_member) == ("member_limit", 1)
        all_busy = stage.settings.model_copy(update={"flows_total": 1})
        limited = waiting.why_waiting(session, all_busy, session.get_one(Flow, second))
        assert limited and limited.reason == "global_limit"
        assert waiting.why_waiting(session, few, session.get_one(Flow, first)) is None
    with member_session(web, stage.member_id + 1, "somebody else") as session:
        rows = session.execute(sa.text("SELECT * FROM clocher_queue(:flow)"), {"flow": second}).all()
    assert rows == []


def test_the_worker_undoes_what_waits_too_long(stage: Stage) -> None:
    """The duty itself, in a real worker, at its own pace."""
    _, flow = order_broken(stage)
    stage.start(hold_hours=1e-9)
    stage.held(flow)
    eventually(lambda: stage.rows(Flow, Flow.id == flow)[0].state == "failed", "an undo by the worker", 150)
