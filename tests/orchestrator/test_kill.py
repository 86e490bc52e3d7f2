"""A worker killed (SIGKILL) at every step boundary of create and of delete: nothing is lost, doubled or left over.

Each boundary has two moments: the cloud has done what was asked and nothing is written down; the step is recorded.
The processes are real and kill themselves at each moment that none died at before; several flows run at once, so each
is also cut at places of its own.
"""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from orchestrator.tables import AnsibleEvent, Flow, FlowStep, Resource, ResourceEvent
from tests.orchestrator.flowing import Stage, eventually

pytestmark = pytest.mark.cloud

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c agent@mairie"
MOMENTS = ("effect", "recorded")
CREATE = ("project", "volume", "port", "server", "address", "build", "attach", "activate")
DELETE = ("address", "server", "volume", "port", "release")
KINDS = ("floating_ip", "port", "server", "volume")
LIFE = {
    "server": ["launched", "serving", "deleted"],
    "volume": ["created", "deleted"],
    "port": ["created", "deleted"],
    "floating_ip": ["created", "deleted"],
}


def restart(stage: Stage) -> str:
    """The same worker starts again."""
    return "worker-1"


def replace(stage: Stage) -> str:
    """Another worker takes over; the dead one never comes back."""
    return f"worker-{len(stage.processes) + 1}"


def run_to_the_end(stage: Stage, name: Callable[[Stage], str], ended: Callable[[], bool] | None = None) -> int:
    """Run workers that die, one after the other, until no flow is left (or `ended`); how many died."""
    deaths, end = 0, ended or (lambda: not stage.live())
    while True:
        process = stage.start(name(stage), deadly=True)
        eventually(lambda process=process: not process.is_alive() or end(), "a death or the end", 300)
        if process.is_alive():
            process.terminate()
            process.join(30)
            return deaths
        assert process.exitcode == -signal.SIGKILL, "the worker ended by itself"
        deaths += 1


def passed(stage: Stage, steps: tuple[str, ...]) -> set[str]:
    """The boundaries of these steps at which a worker died. (One that replays a flow may die at others of it, too.)"""
    wanted = {f"{step}.{moment}" for step in steps for moment in MOMENTS}
    return wanted & {mark.name for mark in stage.plan.iterdir()}


def check_history(stage: Stage, flow_id: int, steps: tuple[str, ...]) -> None:
    """One row per step, in order, all done; the flow done, by nobody's help."""
    rows = stage.rows(FlowStep, FlowStep.flow_id == flow_id)
    assert [row.name for row in rows] == list(steps)
    assert {row.state for row in rows} == {"done"}
    assert all(row.ended_at and row.message is None for row in rows)
    (flow,) = stage.rows(Flow, Flow.id == flow_id)
    assert (flow.state, flow.error_code) == ("done", None)


@pytest.mark.parametrize("name", [restart, replace])
def test_killed_at_every_boundary(stage: Stage, name: Callable[[Stage], str]) -> None:
    orders = [stage.order(f"vm-{number}", disk_gib=1, public_address=True) for number in range(2)]
    deaths = run_to_the_end(stage, name)
    assert deaths == len(CREATE) * len(MOMENTS) == len(passed(stage, CREATE))
    refs = []
    for service_id, flow_id in orders:
        check_history(stage, flow_id, CREATE)
        service = stage.service(service_id)
        assert service.state == "active"
        refs.append(str(service.ref))
        assert sorted(row.kind for row in stage.rows(Resource, Resource.service_id == service_id)) == list(KINDS)
    assert stage.in_cloud() == sorted((ref, kind) for ref in refs for kind in KINDS)

    for mark in stage.plan.iterdir():
        mark.unlink()
    deletes = [(service_id, stage.ask(service_id, "delete_server")) for service_id, _ in orders]
    assert run_to_the_end(stage, name) >= len(DELETE) * len(MOMENTS) == len(passed(stage, DELETE))
    for service_id, flow_id in deletes:
        check_history(stage, flow_id, DELETE)
        assert stage.service(service_id).state == "deleted"
        told = stage.events(service_id)
        assert {kind: [event for of, event in told if of == kind] for kind in KINDS} == LIFE
    assert stage.in_cloud() == []
    assert all(row.deleted_at for row in stage.rows(Resource))
    assert len({(row.resource_id, row.kind) for row in stage.rows(ResourceEvent)}) == len(stage.rows(ResourceEvent))


def test_killed_around_the_play(stage: Stage) -> None:
    """The same with Ansible and the health check for real: the play is cut too, and runs again."""
    service_id, flow_id = stage.order("vm", play="vm", ssh_keys=[KEY], disk_gib=1)
    for mark in (f"{step}.{moment}" for step in CREATE for moment in MOMENTS):
        (stage.plan / mark).touch()
    run_to_the_end(stage, restart)
    steps = ("project", "volume", "port", "server", "build", "attach", "configure", "health", "activate")
    check_history(stage, flow_id, steps)
    assert len(passed(stage, ("configure", "health"))) == 4
    ref = str(stage.service(service_id).ref)
    assert stage.in_cloud() == [(ref, kind) for kind in ("port", "server", "volume")]
    told = stage.rows(AnsibleEvent, AnsibleEvent.flow_id == flow_id)
    assert len({event.uuid for event in told}) == len(told) > 10
