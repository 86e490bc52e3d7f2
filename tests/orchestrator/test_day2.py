"""What is done to a service that lives, on the real dev cloud; the guests' part of it is in test_day2_guest."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from orchestrator import cloud, repair, snapshots, sweep
from orchestrator import cloud_images as images
from orchestrator import cloud_servers as servers
from orchestrator import cloud_volumes as volumes
from orchestrator.cloud import Cloud
from orchestrator.database import territory_session
from orchestrator.errors import NotFound
from orchestrator.steps import Runtime
from orchestrator.tables import AuditEntry, Flow, Resource, ResourceEvent, Service, Snapshot
from tests.orchestrator.flowing import Stage

pytestmark = pytest.mark.cloud

MEDIUM = {"offer": "vm-medium", "offer_version": 1, "flavor": "s1.medium", "vcpus": 2, "ram_mib": 4096}
SMALL = {"offer": "vm-small", "offer_version": 1, "flavor": "s1.small", "vcpus": 1, "ram_mib": 1024}


@pytest.fixture
def project(stage: Stage) -> Cloud:
    """The member's project, to look with."""
    return cloud.connect(stage.settings).project(stage.ids.project_id)


def living(stage: Stage, kind: str, role: str = "main") -> Resource:
    """The living resource of a kind and role."""
    (found,) = stage.rows(Resource, Resource.kind == kind, Resource.role == role, Resource.deleted_at.is_(None))
    return found


def ask(stage: Stage, service_id: int, kind: str, **parameters: Any) -> None:
    """Do something to a service that succeeds."""
    flow = stage.do(service_id, kind, **parameters)
    assert (flow.state, flow.error_code, flow.error_detail) == ("done", None, None)
    assert set(stage.steps(flow.id).values()) == {"done"}


def take_snapshot(stage: Stage, service_id: int, name: str = "avant") -> int:
    """A snapshot, ready; its id."""
    with territory_session(stage.owner, "tests") as session:
        snapshot_id = snapshots.declare(session, session.get_one(Service, service_id), name).id
    ask(stage, service_id, "snapshot_server", snapshot_id=snapshot_id)
    return snapshot_id


def active(stage: Stage, name: str = "web", **specification: Any) -> int:
    """A service that is active; its id."""
    stage.start()
    service_id, flow = stage.order(name, **specification)
    assert stage.rest(flow)[0].state == "done"
    return service_id


def test_another_size_and_back(stage: Stage, project: Cloud) -> None:
    service_id = active(stage)
    server = living(stage, "server")
    ask(stage, service_id, "resize_server", **MEDIUM)
    service = stage.service(service_id)
    assert service.state == "active"
    assert {key: service.specification[key] for key in MEDIUM} == MEDIUM
    assert servers.get_server(project, server.cloud_id).flavor == "s1.medium"
    ask(stage, service_id, "stop_server")
    ask(stage, service_id, "resize_server", **SMALL)
    assert stage.service(service_id).state == "stopped"
    found = servers.get_server(project, server.cloud_id)
    assert (found.flavor, found.status) == ("s1.small", "SHUTOFF")
    ask(stage, service_id, "start_server")
    told = stage.rows(ResourceEvent, ResourceEvent.resource_id == server.id)
    sizes = [(event.kind, event.vcpus, event.ram_mib) for event in told if event.kind != "launched"]
    assert sizes == [
        ("serving", 1, 1024), ("resized", 2, 4096), ("stopped", 2, 4096), ("resized", 1, 1024), ("started", 1, 1024),
    ]  # fmt: skip


def test_a_size_that_the_cloud_has_not_changes_nothing(stage: Stage, project: Cloud) -> None:
    service_id = active(stage)
    failed = stage.do(service_id, "resize_server", **MEDIUM | {"flavor": "s1.unknown"})
    assert (failed.state, failed.error_code) == ("failed", "cloud_not_found")
    service = stage.service(service_id)
    assert (service.state, service.specification["flavor"]) == ("active", "s1.small")
    found = servers.get_server(project, living(stage, "server").cloud_id)
    assert (found.flavor, found.status) == ("s1.small", "ACTIVE")


def test_a_volume_comes_grows_and_goes(stage: Stage, project: Cloud) -> None:
    service_id = active(stage)
    ask(stage, service_id, "add_volume", role="photos", name="photos", disk_gib=1)
    volume = living(stage, "volume", "photos")
    server = living(stage, "server")
    assert volumes.get_volume(project, volume.cloud_id).server_ids == (server.cloud_id,)
    assert stage.service(service_id).specification["volumes"] == {"photos": {"name": "photos", "disk_gib": 1}}
    ask(stage, service_id, "grow_volume", role="photos", disk_gib=3)
    found = volumes.get_volume(project, volume.cloud_id)
    assert (found.size_gib, found.status) == (3, "in-use")
    assert stage.service(service_id).specification["volumes"]["photos"]["disk_gib"] == 3
    ask(stage, service_id, "remove_volume", role="photos")
    assert stage.service(service_id).specification["volumes"] == {}
    told = stage.rows(ResourceEvent, ResourceEvent.resource_id == volume.id)
    assert [(event.kind, event.disk_gib) for event in told] == [("created", 1), ("resized", 3), ("deleted", None)]
    ref = str(stage.service(service_id).ref)
    assert stage.in_cloud() == [(ref, "port"), (ref, "server")]


def test_a_volume_that_a_snapshot_needs_stays(stage: Stage, project: Cloud) -> None:
    service_id = active(stage, disk_gib=1)
    take_snapshot(stage, service_id)
    refused = stage.do(service_id, "remove_volume", role="main")
    assert (refused.state, refused.error_code) == ("failed", "volume_has_snapshots")
    assert volumes.get_volume(project, living(stage, "volume").cloud_id).status == "in-use"
    assert stage.service(service_id).specification["disk_gib"] == 1


def test_a_volume_beyond_the_clouds_quota_leaves_nothing(stage: Stage) -> None:
    service_id = active(stage)
    failed = stage.do(service_id, "add_volume", role="photos", name="photos", disk_gib=5000)
    assert (failed.state, failed.error_code) == ("failed", "cloud_quota_exceeded")
    assert stage.service(service_id).state == "active"
    assert "volumes" not in stage.service(service_id).specification


def test_an_address_comes_and_goes(stage: Stage) -> None:
    service_id = active(stage)
    ask(stage, service_id, "add_address")
    service = stage.service(service_id)
    assert service.public_address
    assert service.specification["public_address"] is True
    ask(stage, service_id, "remove_address")
    service = stage.service(service_id)
    assert (service.public_address, service.specification["public_address"]) == (None, False)
    assert [event for kind, event in stage.events(service_id) if kind == "floating_ip"] == ["created", "deleted"]


@pytest.mark.parametrize("hard", [False, True])
def test_reboot(stage: Stage, project: Cloud, hard: bool) -> None:
    service_id = active(stage)
    ask(stage, service_id, "reboot_server", hard=hard)
    assert stage.service(service_id).state == "active"
    assert servers.get_server(project, living(stage, "server").cloud_id).status == "ACTIVE"


def test_another_name(stage: Stage, project: Cloud) -> None:
    service_id = active(stage, "web")
    stage.rest(stage.order("mail")[1])
    refused = stage.do(service_id, "rename_server", name="mail")
    assert (refused.state, refused.error_code) == ("failed", "name_taken")
    server = stage.rows(Resource, Resource.kind == "server", Resource.service_id == service_id)[0]
    assert servers.get_server(project, server.cloud_id).name == "web"
    ask(stage, service_id, "rename_server", name="site")
    assert stage.service(service_id).name == servers.get_server(project, server.cloud_id).name == "site"


def test_a_snapshot_is_kept_restored_and_deleted(stage: Stage, project: Cloud) -> None:
    service_id = active(stage, disk_gib=1, public_address=True)
    before = stage.service(service_id)
    snapshot_id = take_snapshot(stage, service_id)
    (snapshot,) = stage.rows(Snapshot)
    assert (snapshot.state, snapshot.ended_at) == ("ready", None)
    assert snapshot.size_gib and snapshot.size_gib >= 2
    image = living(stage, "image", f"snapshot-{snapshot_id}")
    assert images.get_image(project, image.cloud_id).status == "active"
    ref = str(before.ref)
    parts = [(ref, kind) for kind in ("floating_ip", "image", "port", "server", "volume", "volume_snapshot")]
    assert stage.in_cloud() == parts

    server_id = living(stage, "server").cloud_id
    ask(stage, service_id, "restore_server", snapshot_id=snapshot_id)
    after = stage.service(service_id)
    assert (after.state, after.address, after.public_address) == ("active", before.address, before.public_address)
    found = servers.get_server(project, server_id)
    assert found.volume_ids == (living(stage, "volume").cloud_id,)
    assert found.tag and found.tag.service == ref
    assert stage.in_cloud() == parts

    ask(stage, service_id, "delete_snapshot", snapshot_id=snapshot_id)
    assert [kept.state for kept in stage.rows(Snapshot)] == ["deleted"]
    assert stage.in_cloud() == [part for part in parts if part[1] not in {"image", "volume_snapshot"}]
    sized = sa.select(sa.func.sum(ResourceEvent.disk_gib)).where(
        ResourceEvent.kind == "created", ResourceEvent.resource_id == Resource.id,
        Resource.kind.in_(("image", "volume_snapshot")),
    )  # fmt: skip
    with territory_session(stage.owner, "tests") as session:
        assert session.scalar(sized) == snapshot.size_gib
    gone = stage.do(service_id, "restore_server", snapshot_id=snapshot_id)
    assert (gone.state, gone.error_code) == ("failed", "snapshot_state")


def test_data_volumes_are_restored_too(stage: Stage, project: Cloud) -> None:
    service_id = active(stage, disk_gib=1)
    ask(stage, service_id, "add_volume", role="photos", name="photos", disk_gib=1)
    snapshot_id = take_snapshot(stage, service_id)
    ask(stage, service_id, "grow_volume", role="main", disk_gib=2)
    old, photos, server = living(stage, "volume"), living(stage, "volume", "photos"), living(stage, "server")
    with territory_session(stage.owner, "tests") as session:
        kept = snapshots.declare(session, session.get_one(Service, service_id), "avant de restaurer").id

    ask(stage, service_id, "restore_server", snapshot_id=snapshot_id, volumes=["main"], safety_id=kept)
    assert stage.service(service_id).state == "active"
    new = living(stage, "volume")
    found = servers.get_server(project, server.cloud_id)
    assert sorted(found.volume_ids) == sorted((new.cloud_id, photos.cloud_id))
    assert (found.status, volumes.get_volume(project, new.cloud_id).size_gib) == ("ACTIVE", 2)
    # The new one is paid from the very instant at which the old one is no more.
    (ended,) = stage.rows(ResourceEvent, ResourceEvent.resource_id == old.id, ResourceEvent.kind == "deleted")
    (begun,) = stage.rows(ResourceEvent, ResourceEvent.resource_id == new.id)
    assert (begun.kind, begun.at, begun.disk_gib) == ("created", ended.at, 2)
    assert [row.state for row in stage.rows(Snapshot)] == ["ready", "ready"]

    # The old one stays in the cloud for as long as snapshots are of it, and is then the sweeper's.
    control = cloud.connect(stage.settings)
    quick = stage.settings.model_copy(update={"sweep_patience_seconds": 0.0})
    runtime = Runtime(quick, stage.owner, control)
    ask(stage, service_id, "restore_server", snapshot_id=kept, volumes=["main", "photos"])
    assert [thing.cloud_id for _ in range(2) for thing in sweep.run(runtime)] == [new.cloud_id]
    for each in (snapshot_id, kept):
        ask(stage, service_id, "delete_snapshot", snapshot_id=each)
    swept = {thing.cloud_id for _ in range(2) for thing in sweep.run(runtime)}
    assert swept == {old.cloud_id, photos.cloud_id}
    ref = str(stage.service(service_id).ref)
    assert stage.in_cloud() == [(ref, kind) for kind in ("port", "server", "volume", "volume")]
    assert sorted(servers.get_server(project, server.cloud_id).volume_ids) == sorted(
        living(stage, "volume", role).cloud_id for role in ("main", "photos")
    )


@pytest.mark.parametrize("breaks", ["rebuild", "configure"])
def test_a_restore_that_fails_gives_the_volumes_back(stage: Stage, project: Cloud, breaks: str) -> None:
    service_id = active(stage, disk_gib=1)
    snapshot_id = take_snapshot(stage, service_id)
    old, server = living(stage, "volume"), living(stage, "server")
    if breaks == "rebuild":
        images.delete_image(project, living(stage, "image", f"snapshot-{snapshot_id}").cloud_id)
    else:  # as late as can be: server and volumes are new, and the guest runs
        with territory_session(stage.owner, "tests") as session:
            service = session.get_one(Service, service_id)
            service.specification = service.specification | {"play": "of-nothing"}
    flow = stage.ask(service_id, "restore_server", snapshot_id=snapshot_id, volumes=["main"])
    if breaks == "configure":
        stage.held(flow, seconds=400)
        with territory_session(stage.owner, "tests") as session:
            repair.undo(session, flow)
    (failed,) = stage.rest(flow, seconds=300)
    assert (failed.state, stage.steps(flow)[breaks]) == ("failed", "failed")
    assert (stage.service(service_id).state, living(stage, "volume").id) == ("active", old.id)
    found = servers.get_server(project, server.cloud_id)
    assert (found.status, found.volume_ids) == ("ACTIVE", (old.cloud_id,))
    assert stage.in_cloud().count((str(stage.service(service_id).ref), "volume")) == 1
    assert [event.kind for event in stage.rows(ResourceEvent, ResourceEvent.resource_id == old.id)] == ["created"]


def test_what_a_service_has_goes_with_it(stage: Stage) -> None:
    service_id = active(stage, disk_gib=1)
    ask(stage, service_id, "add_volume", role="photos", name="photos", disk_gib=1)
    take_snapshot(stage, service_id)
    ask(stage, service_id, "delete_server")
    assert stage.in_cloud() == []
    assert all(row.deleted_at for row in stage.rows(Resource))
    assert [kept.state for kept in stage.rows(Snapshot)] == ["deleted"]


def test_an_operation_that_does_not_fit_the_state_is_told(stage: Stage) -> None:
    service_id = active(stage)
    ask(stage, service_id, "stop_server")
    refused = stage.do(service_id, "reboot_server", hard=False)
    assert (refused.state, refused.error_code) == ("failed", "service_state")
    assert stage.steps(refused.id) == {}
    assert stage.service(service_id).state == "stopped"
    told = [entry.action for entry in stage.rows(AuditEntry, AuditEntry.subject == f"flow {refused.id}")]
    assert told == ["flow.failed"]


def test_the_console(stage: Stage, project: Cloud) -> None:
    active(stage)
    server_id = living(stage, "server").cloud_id
    assert isinstance(servers.console_log(project, server_id, 20), str)
    with pytest.raises(NotFound) as refused:
        servers.remote_console(project, server_id)
    assert refused.value.code == "console_not_offered"


def test_each_end_is_audited_once(stage: Stage) -> None:
    service_id = active(stage)
    ask(stage, service_id, "add_address")
    ends = [entry.action for entry in stage.rows(AuditEntry, AuditEntry.action.startswith("flow."))]
    assert ends == ["flow.done"] * len(stage.rows(Flow))
