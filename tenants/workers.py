"""The workers as the DSI sees them: alive or silent, and what each runs."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator.tables import FLOW_LIVE, Flow, Worker


def listed(session: Session, now: datetime, dead_after_seconds: float) -> list[dict[str, Any]]:
    """Every worker by name: `row`, `state` (alive or silent), `flows` (the live ones it has)."""
    flows: dict[str, list[Flow]] = {}
    query = sa.select(Flow).where(Flow.state.in_(FLOW_LIVE), Flow.worker_id.is_not(None)).order_by(Flow.id)
    for flow in session.scalars(query):
        flows.setdefault(flow.worker_id or "", []).append(flow)
    dead = now - timedelta(seconds=dead_after_seconds)
    return [
        {"row": row, "state": "alive" if row.seen_at > dead else "silent", "flows": flows.get(row.id, [])}
        for row in session.scalars(sa.select(Worker).order_by(Worker.id))
    ]
