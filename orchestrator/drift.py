"""How a guest compares with its play: written here and nowhere else, with its audit entry when that is news."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator import audit
from orchestrator.differences import Difference
from orchestrator.events import Owner
from orchestrator.tables import Flow
from orchestrator.tables_drift import Drift


def keep(session: Session, owner: Owner, found: Sequence[Difference], at: datetime) -> None:
    """Write what a comparison found; it is news when a task differs that did not, or when none does any more."""
    row = session.get(Drift, owner.service_id, with_for_update=True) or _new(owner.member_id, owner.service_id, at)
    former, tasks = sorted({one["task"] for one in row.differences}), [one.task for one in found]
    row.state, row.differences = "differs" if found else "same", [one.document for one in found]
    row.since = (row.since or at) if found else None
    row.compared_at = row.tried_at = at
    session.add(row)
    session.flush()
    if set(tasks) - set(former):
        _tell(session, owner, "drift.found", tasks)
    elif former and not found:
        _tell(session, owner, "drift.gone", former)


def _new(member_id: int, service_id: int, at: datetime) -> Drift:
    return Drift(member_id=member_id, service_id=service_id, state="unknown", differences=[], tried_at=at)


def _tell(session: Session, owner: Owner, action: str, tasks: list[str]) -> None:
    detail = {"flow": owner.flow_id, "tasks": tasks}
    audit.record(session, action, f"service {owner.service_id}", member_id=owner.member_id, detail=detail)


def give_up(session: Session, flow: Flow) -> None:
    """A comparison that did not go well: what was known stays, and when it was tried."""
    if flow.kind == "check_drift":
        at = datetime.now(UTC)
        row = session.get(Drift, flow.service_id, with_for_update=True) or _new(flow.member_id, flow.service_id, at)
        row.tried_at = at
        session.add(row)
        session.flush()


def forget(session: Session, service_id: int) -> None:
    """The guest is gone."""
    session.execute(sa.delete(Drift).where(Drift.service_id == service_id))
