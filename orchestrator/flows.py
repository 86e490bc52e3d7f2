"""The flows: what is done to a service, each told as the sentence that describes it.

A flow is queued by inserting its row (a trigger hands it to the flow engine); a worker runs it under its kind's name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dbos import DBOS

from orchestrator import steps
from orchestrator import steps_cloud as cloud
from orchestrator import steps_guest as guest
from orchestrator.settings import Settings
from orchestrator.steps import Run, Runtime

QUEUE = "flows"
POLL_SECONDS = 0.2  # how long a queued flow waits at most before a free worker takes it


def create_server(run: Run) -> None:
    """Project ready → volume, port, server asked for → address while it builds → configured → healthy → active."""
    wanted = run.specification
    run.step("project", cloud.check_place)
    if wanted["disk_gib"]:
        run.step("volume", cloud.make_volume, undo=cloud.remove_volume)
    run.step("port", cloud.make_port, undo=cloud.remove_port)
    run.step("server", cloud.make_server, undo=cloud.remove_server)
    if wanted["public_address"]:
        run.step("address", cloud.make_address, undo=cloud.remove_address)
    run.step("build", cloud.wait_until_built)
    if wanted["disk_gib"]:
        run.step("attach", cloud.attach_volume)
    if wanted["play"]:
        run.step("configure", guest.configure)
        run.step("health", guest.check_health)
    run.step("activate", steps.finish_as("active"))


def delete_server(run: Run) -> None:
    """Everything that the service has goes, whatever of it is still there; then its quota is free."""
    run.step("address", cloud.remove_address)
    run.step("server", cloud.remove_server)
    run.step("volume", cloud.remove_volume)
    run.step("port", cloud.remove_port)
    run.step("release", steps.finish_as("deleted"))


def stop_server(run: Run) -> None:
    """The server stops; its meters go on at the price of a stopped one."""
    run.step("stop", cloud.stop_server)
    run.step("rest", steps.finish_as("stopped"))


def start_server(run: Run) -> None:
    """The server runs again."""
    run.step("start", cloud.start_server)
    run.step("activate", steps.finish_as("active"))


@dataclass(frozen=True)
class Kind:
    """A flow's story, the service's state meanwhile and after a failure, whether it can be cancelled half-way."""

    story: Callable[[Run], None]
    during: str | None
    failing: str | None
    cancellable: bool = False


KINDS = {
    "create_server": Kind(create_server, during=None, failing="failed", cancellable=True),
    # A delete that failed half-way stays "deleting": it holds its quota and can be asked for again.
    "delete_server": Kind(delete_server, during="deleting", failing=None),
    "stop_server": Kind(stop_server, during="stopping", failing="active"),
    "start_server": Kind(start_server, during="starting", failing="stopped"),
}


def register(runtime: Runtime) -> None:
    """Make the flows known to the engine under the names that `flows.kind` holds; before it is launched."""
    for name, kind in KINDS.items():
        DBOS.workflow(name=name)(_flow(runtime, kind))


def _flow(runtime: Runtime, kind: Kind) -> Callable[[int], None]:
    def flow(flow_id: int) -> None:
        run = steps.begin(runtime, flow_id, kind.during)
        if run is None:
            return
        run.cancellable = kind.cancellable
        try:
            kind.story(run)
        except Exception as error:  # noqa: BLE001  (every failure, ours or a bug, is undone and told)
            steps.give_up(run, error, kind.failing)

    return flow


def listen(settings: Settings) -> None:
    """Open the queue with the installation's limits; after the engine is launched."""
    DBOS.register_queue(
        QUEUE,
        global_concurrency=settings.flows_total,
        partition_concurrency=settings.flows_per_member,
        polling_interval_sec=POLL_SECONDS,
        on_conflict="always_update",
    )
