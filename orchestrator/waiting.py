"""Why a flow waits: for what a page tells whoever asked for it. Numbers only: nobody else is named."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator.settings import Settings
from orchestrator.tables import Flow


@dataclass(frozen=True)
class Waiting:
    """What a queued flow waits for.

    reason: `no_worker` (none lives), `member_limit` (as many of the member's run as may), `global_limit` (as many run
    as may), `turn` (a worker takes it in an instant); ahead, ahead_of_member: flows that were queued before it;
    worker_seen: when a worker was last alive, None if never.
    """

    reason: str
    ahead: int
    ahead_of_member: int
    running: int
    running_of_member: int
    worker_seen: datetime | None


def why_waiting(session: Session, settings: Settings, flow: Flow, at: datetime | None = None) -> Waiting | None:
    """Why a flow has not begun at the instant `at`; None when it does not wait in the queue."""
    if flow.state != "queued":
        return None
    row = session.execute(sa.text("SELECT * FROM clocher_queue(:flow)"), {"flow": flow.id}).one_or_none()
    if row is None:
        return None
    living = (at or datetime.now(UTC)) - timedelta(seconds=settings.dead_after_seconds)
    if row.worker_seen is None or row.worker_seen < living:
        reason = "no_worker"
    elif row.running_of_member >= settings.flows_per_member:
        reason = "member_limit"
    elif row.running >= settings.flows_total:
        reason = "global_limit"
    else:
        reason = "turn"
    return Waiting(reason, row.ahead, row.ahead_of_member, row.running, row.running_of_member, row.worker_seen)
