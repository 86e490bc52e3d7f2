"""A real worker for tests. Given a folder, it kills itself (SIGKILL) at each boundary where nobody died before."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
from pathlib import Path

from orchestrator import log, steps, worker
from orchestrator.settings import load


def die_once(plan: Path) -> None:
    """Leave a mark for the boundary, so that the next process passes it, and die."""

    def at_boundary(step: str, moment: str) -> None:
        mark = plan / f"{step}.{moment}"
        try:
            mark.touch(exist_ok=False)
        except FileExistsError:
            return
        os.kill(os.getpid(), signal.SIGKILL)

    steps.at_boundary = at_boundary


if __name__ == "__main__":
    faulthandler.register(signal.SIGUSR1)
    if len(sys.argv) > 1:
        die_once(Path(sys.argv[1]))
    log.configure(load())
    worker.run(load())
