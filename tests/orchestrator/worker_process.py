"""A real worker for tests. Given a folder, it kills itself (SIGKILL) at each boundary where nobody died before."""

from __future__ import annotations

import os
import signal
from pathlib import Path

# What the worker imports at its first call of the cloud, so that each test process need not.
import openstack.block_storage.v3._proxy
import openstack.compute.v2._proxy
import openstack.image.v2._proxy
import openstack.network.v2._proxy  # noqa: F401

from orchestrator import log, steps, worker
from orchestrator.settings import Settings


def work(settings: Settings, plan: Path | None) -> None:
    """Run a worker in this process."""
    if plan:
        steps.at_boundary = die_once(plan)
    log.configure(settings)
    worker.run(settings)


def die_once(plan: Path) -> steps.Boundary:
    """Leave a mark for the boundary, so that the next process passes it, and die."""

    def at_boundary(step: str, moment: str) -> None:
        mark = plan / f"{step}.{moment}"
        try:
            mark.touch(exist_ok=False)
        except FileExistsError:
            return
        os.kill(os.getpid(), signal.SIGKILL)

    return at_boundary
