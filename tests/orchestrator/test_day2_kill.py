"""A worker killed (SIGKILL) at every boundary of each operation on a living service: done once, nothing doubled."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa

from orchestrator import cloud, snapshots, sweep
from orchestrator.database import territory_session
from orchestrator.steps import Runtime
from orchestrator.tables import Resource, ResourceEvent, Service, Snapshot
from tests.orchestrator.flowing import Stage
from tests.orchestrator.test_day2 import MEDIUM
from tests.orchestrator.test_kill import MOMENTS, check_history, passed, replace, restart, run_to_the_end

pytestmark = pytest.mark.cloud

# What is done in turn to a service with a data volume, the steps of it, and what the cloud has then more.
SIZES = [("resize_server", MEDIUM, ("resize", "confirm", "activate"))]
VOLUMES = [
    ("add_volume", {"role": "photos", "name": "photos", "disk_gib": 1}, ("volume", "attach", "activate")),
    ("grow_volume", {"role": "photos", "disk_gib": 2}, ("extend", "activate")),
    ("remove_volume", {"role": "photos"}, ("check", "detach", "volume", "activate")),
]
SMALL_THINGS = [
    ("add_address", {}, ("address", "activate")),
    ("rename_server", {"name": "site"}, ("name", "activate")),
    ("reboot_server", {"hard": True}, ("reboot", "activate")),
    ("replace_keys", {"ssh_keys": ["ssh-ed25519 AAAA a@b"]}, ("activate",)),
    ("remove_address", {}, ("address", "activate")),
]
SNAPSHOTS = [
    ("snapshot_server", {"snapshot_id": 1}, ("keep main", "image", "ready")),
    ("restore_server", {"snapshot_id": 1}, ("check", "rebuild", "activate")),
    ("delete_snapshot", {"snapshot_id": 1}, ("mark", "parts", "release")),
]
Act = tuple[str, dict[str, Any], tuple[str, ...]]


def ended(stage: Stage, last: str) -> bool:
    """Whether a worker has died behind the last step too, and another one has seen that nothing is left to do."""
    if not (stage.plan / f"{last}.recorded").exists():
        return False
    pending = sa.text("SELECT count(*) FROM dbos.workflow_status WHERE status IN ('PENDING', 'ENQUEUED')")
    with territory_session(stage.owner, "tests") as session:
        return session.scalar(pending) == 0


@pytest.mark.parametrize(
    ("acts", "name"),
    [(SIZES, restart), (SIZES, replace), (VOLUMES, restart), (SMALL_THINGS, restart), (SNAPSHOTS, replace)],
    ids=["sizes", "sizes-replaced", "volumes", "small-things", "snapshots"],
)
def test_killed_at_every_boundary(stage: Stage, acts: list[Act], name: Callable[[Stage], str]) -> None:
    worker = stage.start()
    service_id, flow = stage.order("web", disk_gib=1)
    assert stage.rest(flow)[0].state == "done"
    before = stage.in_cloud()
    worker.terminate()
    worker.join(30)
    with territory_session(stage.owner, "tests") as session:
        snapshots.declare(session, session.get_one(Service, service_id), "avant")
    for kind, parameters, steps in acts:
        for mark in stage.plan.iterdir():
            mark.unlink()
        flow = stage.ask(service_id, kind, **parameters)
        deaths = run_to_the_end(stage, name, partial(ended, stage, steps[-1]))
        assert deaths == len(steps) * len(MOMENTS) == len(passed(stage, steps))
        check_history(stage, flow, steps)
        assert stage.service(service_id).state == "active"
    assert stage.in_cloud() == before
    events = stage.rows(ResourceEvent, ResourceEvent.kind.in_(("created", "resized", "deleted")))
    assert len({(event.resource_id, event.kind) for event in events}) == len(events)
    living = stage.rows(Resource, Resource.deleted_at.is_(None))
    assert sorted(row.kind for row in living) == ["port", "server", "volume"]
    if acts is SNAPSHOTS:
        assert [kept.state for kept in stage.rows(Snapshot)] == ["deleted"]


def test_killed_at_every_boundary_of_a_restore_with_volumes(stage: Stage) -> None:
    worker = stage.start()
    service_id, flow = stage.order("web", disk_gib=1)
    assert stage.rest(flow)[0].state == "done"
    before = stage.in_cloud()
    with territory_session(stage.owner, "tests") as session:
        service = session.get_one(Service, service_id)
        first, safety = (snapshots.declare(session, service, name).id for name in ("avant", "au cas où"))
    assert stage.do(service_id, "snapshot_server", snapshot_id=first).state == "done"
    worker.terminate()
    worker.join(30)
    steps = (
        "check", "keep main", "image", "ready", "copy main", "stop", "detach main", "attach main", "replace", "rebuild",
        "start", "activate",
    )  # fmt: skip
    flow = stage.ask(service_id, "restore_server", snapshot_id=first, volumes=["main"], safety_id=safety)
    deaths = run_to_the_end(stage, restart, partial(ended, stage, steps[-1]))
    assert deaths == len(steps) * len(MOMENTS) == len(passed(stage, steps))
    check_history(stage, flow, steps)
    assert [kept.state for kept in stage.rows(Snapshot)] == ["ready", "ready"]
    stage.start("worker-9")
    for each in (first, safety):
        assert stage.do(service_id, "delete_snapshot", snapshot_id=each).state == "done"
    runtime = Runtime(stage.settings.model_copy(update={"sweep_patience_seconds": 0.0}), stage.owner,
                      cloud.connect(stage.settings))  # fmt: skip
    assert [thing.kind for _ in range(2) for thing in sweep.run(runtime)] == ["volume"], "the one that was replaced"
    assert stage.in_cloud() == before
    volumes = stage.rows(Resource, Resource.kind == "volume")
    assert [(row.role, row.deleted_at is None) for row in volumes] == [(f"replaced-{flow}/main", False), ("main", True)]
    told = stage.rows(ResourceEvent, ResourceEvent.resource_id.in_([row.id for row in volumes]))
    assert [(event.resource_id, event.kind) for event in told] == [
        (volumes[0].id, "created"), (volumes[0].id, "deleted"), (volumes[1].id, "created"),
    ]  # fmt: skip
    assert told[1].at == told[2].at
