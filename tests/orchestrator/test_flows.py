"""Flows on the real dev cloud: create, stop, start, delete; failure undone; cancel; limits."""

from __future__ import annotations

import pytest

from orchestrator.tables import Resource
from tests.orchestrator.flowing import Stage

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
