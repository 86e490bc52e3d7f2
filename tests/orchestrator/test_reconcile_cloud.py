"""On the real dev cloud: what somebody does with the SDK is found, counted since the cloud's moments, and only once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from openstack.config import OpenStackConfig
from openstack.connection import Connection
from pydantic import SecretStr

from orchestrator import cloud, cloud_feeds, cloud_history, reconcile
from orchestrator.steps import Runtime
from orchestrator.tables import Resource, ResourceEvent, Service
from tests.orchestrator.flowing import Stage, eventually

pytestmark = pytest.mark.cloud

IMAGE, SMALL = "debian-12", "s1.small"


@pytest.fixture
def by_hand(stage: Stage) -> Iterator[Any]:
    """The cloud's administrator in the member's project, as in the dashboard; what it makes is gone afterwards."""
    config = OpenStackConfig(config_files=[str(stage.settings.openstack_config)], load_envvars=False)
    admin = Connection(config=config.get_one("devcloud-admin"))
    user, role = admin.identity.find_user(admin.current_user_id), admin.identity.find_role("member")
    admin.identity.assign_project_role_to_user(stage.ids.project_id, user, role)
    scoped = admin.connect_as(project_id=stage.ids.project_id, project_name=None, project_domain_name=None)
    before = {server.id for server in scoped.compute.servers()}
    yield scoped
    for server in scoped.compute.servers():
        if server.id not in before and not server.metadata:
            scoped.compute.delete_server(server)
            scoped.compute.wait_for_delete(server, wait=120)


def told(stage: Stage, after: int, source: str = "reconcile") -> list[tuple[int, str]]:
    rows = stage.rows(ResourceEvent, ResourceEvent.id > after)
    assert all(row.source == source for row in rows)
    return [(row.resource_id, row.kind) for row in rows]


def test_what_was_done_behind_our_back(stage: Stage, worker: sa.Engine, by_hand: Any) -> None:
    runtime = Runtime(stage.settings, worker, cloud.connect(stage.settings))
    stage.start()
    flow = stage.order("web")[1]
    assert stage.rest(flow)[0].state == "done"
    assert reconcile.members(worker) == [stage.member_id]
    assert reconcile.compare(runtime, stage.member_id) == 0  # ours in every respect
    (ours,) = stage.rows(Resource, Resource.kind == "server")
    before = stage.rows(ResourceEvent)[-1].id

    compute = by_hand.compute
    made = compute.create_server(
        name="Essai de Paul", flavor_id=compute.find_flavor(SMALL).id,
        image_id=by_hand.image.find_image(IMAGE).id, networks=[{"uuid": stage.ids.network_id}],
    )  # fmt: skip
    compute.resize_server(ours.cloud_id, compute.find_flavor("s1.medium").id)
    eventually(lambda: compute.get_server(ours.cloud_id).status == "VERIFY_RESIZE", "the other size")
    compute.confirm_server_resize(ours.cloud_id)
    eventually(lambda: compute.get_server(ours.cloud_id).status == "ACTIVE", "its confirmation")
    eventually(lambda: compute.get_server(made.id).status == "ACTIVE", "the server made by hand")

    assert reconcile.compare(runtime, stage.member_id) > 0
    (hand,) = stage.rows(Resource, Resource.cloud_id == made.id)
    found = told(stage, before)
    assert {(ours.id, "resized"), (hand.id, "created"), (hand.id, "serving")} <= set(found)
    events = {(row.resource_id, row.kind): row for row in stage.rows(ResourceEvent, ResourceEvent.id > before)}
    acts = {
        act.name: act for act in cloud_history.list_acts(runtime.cloud.project(stage.ids.project_id), ours.cloud_id)
    }
    size = events[ours.id, "resized"]
    assert (size.vcpus, size.ram_mib) == (2, 4096)
    assert size.at == acts["resize"].at
    launched = cloud.instant(compute.get_server(made.id).launched_at)
    assert abs((events[hand.id, "serving"].at - launched).total_seconds()) < 2
    assert stage.service(hand.service_id).state == "outside"
    assert reconcile.compare(runtime, stage.member_id) == 0  # a second look changes nothing

    mark = stage.rows(ResourceEvent)[-1].id
    compute.stop_server(ours.cloud_id)
    compute.delete_server(made.id)
    compute.wait_for_delete(made, wait=120)
    eventually(lambda: compute.get_server(ours.cloud_id).status == "SHUTOFF", "its stop")
    # What the cloud tells of itself from the beginning: only what no comparison has seen yet is new.
    feed = SecretStr(f"file://{stage.settings.openstack_config.with_name('notifications.jsonl')}")
    listening = replace(runtime, settings=stage.settings.model_copy(update={"notifications_url": feed}))
    expected = sorted([(ours.id, "stopped"), (hand.id, "deleted")])
    eventually(lambda: cloud_feeds.run(listening) >= 0 and len(told(stage, mark, "notification")) >= 2, "both told")
    assert sorted(told(stage, mark, "notification")) == expected
    assert stage.service(hand.service_id).state == "deleted"
    assert [service.id for service in stage.rows(Service, Service.state == "outside")] == []
    assert reconcile.compare(runtime, stage.member_id) == 0
