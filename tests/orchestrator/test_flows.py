"""Flows on the real dev cloud: create, stop, start, delete; failure undone; cancel; limits."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import sqlalchemy as sa

from orchestrator.database import territory_session
from orchestrator.tables import Flow, FlowStep, Place, Resource
from tests.orchestrator.flaky import flaky
from tests.orchestrator.flowing import Stage, eventually

pytestmark = pytest.mark.cloud

FULL = {"disk_gib": 1, "public_address": True}


def test_a_service_lives_and_leaves_nothing(stage: Stage) -> None:
    stage.start()
    service_id, flow = stage.order("web", **FULL)
    (created,) = stage.rest(flow)
    assert (created.state, created.error_detail) == ("done", None)
    service = stage.service(service_id)
    assert service.state == "active"
    assert service.address and service.public_address
    ref = str(service.ref)
    assert stage.in_cloud() == [(ref, kind) for kind in ("floating_ip", "port", "server", "volume")]
    assert set(stage.steps(flow).values()) == {"done"}

    assert stage.rest(stage.ask(service_id, "stop_server"))[0].state == "done"
    assert stage.service(service_id).state == "stopped"
    assert stage.rest(stage.ask(service_id, "start_server"))[0].state == "done"
    assert stage.service(service_id).state == "active"

    assert stage.rest(stage.ask(service_id, "delete_server"))[0].state == "done"
    assert stage.service(service_id).state == "deleted"
    assert stage.in_cloud() == []
    assert all(resource.deleted_at for resource in stage.rows(Resource))
    assert [event for kind, event in stage.events(service_id) if kind == "server"] == [
        "launched", "serving", "stopped", "started", "deleted",
    ]  # fmt: skip
    assert [event for kind, event in stage.events(service_id) if kind == "volume"] == ["created", "deleted"]


def test_a_failure_is_undone_and_told(stage: Stage) -> None:
    stage.start()
    service_id, flow = stage.order("web", flavor="s1.unknown", **FULL)
    (failed,) = stage.rest(flow)
    assert (failed.state, failed.error_code) == ("failed", "cloud_not_found")
    assert failed.error_sentence and "DSI" in failed.error_sentence
    assert "s1.unknown" in (failed.error_detail or "")
    assert stage.steps(flow) == {"project": "done", "volume": "undone", "port": "undone", "server": "undone"}
    assert stage.service(service_id).state == "failed"
    assert stage.in_cloud() == []
    assert [event for kind, event in stage.events(service_id) if kind == "volume"] == ["created", "deleted"]


def test_the_clouds_quota_is_told_apart(stage: Stage) -> None:
    stage.start()
    _, flow = stage.order("web", disk_gib=5000)
    (failed,) = stage.rest(flow)
    assert (failed.state, failed.error_code) == ("failed", "cloud_quota_exceeded")
    assert stage.in_cloud() == []


def test_a_member_without_a_place(stage: Stage) -> None:
    with territory_session(stage.owner, "tests") as session:
        session.execute(sa.delete(Place))
    stage.start()
    service_id, flow = stage.order("web")
    (failed,) = stage.rest(flow)
    assert (failed.state, failed.error_code) == ("failed", "place_missing")
    assert stage.service(service_id).state == "failed"


def test_cancel_undoes_what_was_made(stage: Stage) -> None:
    stage.start()
    service_id, flow = stage.order("web", **FULL)
    eventually(lambda: stage.steps(flow).get("build") == "running", "a server that builds")
    cancel(stage, flow)
    (cancelled,) = stage.rest(flow)
    assert (cancelled.state, cancelled.error_code) == ("cancelled", "flow_cancelled")
    assert stage.service(service_id).state == "failed"
    assert stage.in_cloud() == []


def test_cancel_before_it_begins(stage: Stage) -> None:
    service_id, flow = stage.order("web")
    cancel(stage, flow)
    stage.start()
    assert stage.rest(flow)[0].state == "cancelled"
    assert stage.steps(flow) == {}
    assert stage.service(service_id).state == "failed"


def test_limits_for_a_member(stage: Stage) -> None:
    flows = [stage.order(f"vm-{number}", flavor="s1.unknown")[1] for number in range(4)]
    stage.start(flows_per_member=1)
    done = stage.rest(*flows)
    spans = sorted((flow.started_at, flow.ended_at) for flow in done)
    assert all(ended <= started for (_, ended), (started, _) in pairwise(spans))


@pytest.mark.parametrize("reached", [False, True])
def test_an_answer_that_fails_is_asked_again_and_makes_one_thing(stage: Stage, tmp_path: Path, reached: bool) -> None:
    """Neutron answers 503 to the first two ports asked for, once before and once after it made them."""
    with flaky(stage.settings, tmp_path, "network", "POST", "/ports", failures=2, reached=reached) as clouds_file:
        stage.start(clouds_file=clouds_file)
        service_id, flow = stage.order("web")
        (created,) = stage.rest(flow)
    assert (created.state, created.error_detail) == ("done", None)
    ref = str(stage.service(service_id).ref)
    assert stage.in_cloud() == [(ref, "port"), (ref, "server")]
    (port,) = stage.rows(FlowStep, FlowStep.flow_id == flow, FlowStep.name == "port")
    assert (port.state, port.attempts) == ("done", 2 if reached else 3)


def cancel(stage: Stage, flow: int) -> None:
    """As the owner of the service asks for it."""
    with territory_session(stage.owner, "tests") as session:
        session.execute(sa.update(Flow).where(Flow.id == flow).values(cancel_requested=True))
