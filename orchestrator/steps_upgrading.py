"""The steps that bring an application to a newer version, and back to what it was when that fails."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from orchestrator import steps_cloud as cloud
from orchestrator import steps_guest as guest
from orchestrator import steps_restoring as restoring
from orchestrator import steps_snapshots as snapshots
from orchestrator import steps_stack as stack
from orchestrator import steps_volumes as volumes
from orchestrator.errors import ClocherError
from orchestrator.steps import Act, Run, Write, nothing


def as_wanted(run: Run) -> Run:
    """The same run with the specification that the service has once it is upgraded; both undo the same."""
    return replace(run, facts=run.facts | {"specification": run.specification | run.parameters["wanted"]})


def upgrade(run: Run) -> Write:
    """Have the application become the version of the run's specification."""
    guest.perform(run, run.specification["play"], "upgrade", **stack.variables(run))
    return nothing


def tried(run: Run, *, act: Act) -> Write:
    """An act whose failure is that of the upgrade."""
    try:
        return act(run)
    except ClocherError as error:
        if error.retryable:
            raise
        raise ClocherError(
            "upgrade_failed", "La mise à jour a échoué : l’application revient à ce qu’elle était avant.",
            "La DSI en a le détail.", detail=f"{error.code}: {error.detail}",
        ) from error  # fmt: skip


def go_back(run: Run) -> Write:
    """Machine and data are again as the snapshot has them, and the application answers in its old version.

    Each act finds what it did before, so that the whole can be done again when it was cut.
    """
    roles = run.facts["volumes"]
    run.first_try = False
    for act in _way_back(run, roles):
        run.began = time.monotonic()
        write = act(run)
        with run.session() as session:
            write(session)
    return restoring.settle(run, roles=roles)


def _way_back(run: Run, roles: list[str]) -> Iterator[Act]:
    changed = restoring.changed_places(run, roles)
    if not changed:
        yield from (partial(restoring.copy_volume, role=role) for role in roles)
    yield cloud.stop_server
    if not changed:
        yield from (partial(volumes.detach_volume, role=role) for role in roles)
        yield from (partial(volumes.attach_volume, role=restoring.new_role(run, role)) for role in roles)
        yield partial(restoring.change_places, roles=roles)
    yield partial(snapshots.rebuild_server, status="SHUTOFF")
    yield cloud.start_server
    yield stack.configure
    yield cloud.reboot_server  # programs that began before their volumes were mounted
    yield guest.check_health
    yield stack.check_health
