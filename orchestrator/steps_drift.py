"""The step that compares a guest with its play."""

from __future__ import annotations

from datetime import UTC, datetime

from orchestrator import drift
from orchestrator import steps_guest as guest
from orchestrator import steps_stack as stack
from orchestrator.steps import Run, Write


def compare(run: Run) -> Write:
    """Ask the guest's play what it would change, which changes nothing. What it would is written down."""
    at = datetime.now(UTC)
    outcome = guest.perform(run, run.specification["play"], check=True, **stack.variables(run))
    return lambda session: drift.keep(session, run.owner, outcome.differences, at)
