"""What an application counts of its trade (cameras, pupils, records, …): dated facts, kept as events are."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from orchestrator import steps_guest as guest
from orchestrator import steps_stack as stack
from orchestrator.events import Owner
from orchestrator.steps import Run, Write
from orchestrator.tables_usage import MeterSample, code


def keep(session: Session, owner: Owner, slug: str, counted: Mapping[str, int], at: datetime) -> None:
    """Write down what an application counted at `at`. Again changes nothing."""
    of = {"member_id": owner.member_id, "service_id": owner.service_id, "flow_id": owner.flow_id, "at": at}
    rows = [{"meter": code(slug, meter), "quantity": number, **of} for meter, number in counted.items() if number >= 0]
    if rows:
        session.execute(insert(MeterSample).values(rows).on_conflict_do_nothing())


def count(run: Run) -> Write:
    """Have the application count what it holds. Raises what running its play `usage` raises, and usage_missing."""
    counted = stack.counted(guest.perform(run, run.specification["play"], "usage", **stack.variables(run)))
    slug, at = run.specification["stack"]["slug"], datetime.now(UTC)
    return lambda session: keep(session, run.owner, slug, counted, at)
