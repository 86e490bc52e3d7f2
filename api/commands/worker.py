"""`clocher worker`: run flows until told to stop."""

from __future__ import annotations

import click

from orchestrator import log, worker
from orchestrator.settings import load


@click.command()
def command() -> None:
    """Run flows until SIGTERM; start one per machine, each with its own CLOCHER_WORKER_ID."""
    settings = load()
    log.configure(settings)
    worker.run(settings)
