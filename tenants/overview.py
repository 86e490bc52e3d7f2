"""What one sees first: what runs, what it cost this month and will cost, what is under way, what waits, what changed.

Each function is one query, two for what is under way, whatever the number of services.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator.tables import FLOW_LIVE, SERVICE_STATES, AuditEntry, Flow, FlowStep, Member, Service
from tenants import reading
from tenants.tables import Budget
from tenants.tables_costs import CostDay

RECENT = timedelta(days=1)  # a failure is news for so long
# The entries that say nothing to people who look at the home page: bookkeeping of the workers.
UNTOLD = ("service.state", "service.specification", "snapshot.state", "account.sign_in", "account.sign_out")


@dataclass(frozen=True)
class Money:
    """Euros of this month: spent so far, and when it ends if nothing changes; None when nothing was counted yet."""

    so_far: Decimal | None
    forecast: Decimal | None
    until: datetime | None


def counts(session: Session) -> dict[str, int]:
    """The number of living services by state."""
    alive = [state for state in SERVICE_STATES if state not in ("deleted", "failed")]
    query = sa.select(Service.state, sa.func.count()).where(
        Service.state.in_(alive), reading.own(session, Service.member_id)
    )
    return dict(session.execute(query.group_by(Service.state)).all())


def money(session: Session, at: datetime, timezone: str) -> Money:
    """What this local month costs."""
    local = at.astimezone(ZoneInfo(timezone)).date()
    total, ahead, until = session.execute(
        sa.select(sa.func.sum(CostDay.amount), sa.func.sum(CostDay.ahead), sa.func.max(CostDay.until)).where(
            CostDay.day >= local.replace(day=1), CostDay.day <= local, reading.own(session, CostDay.member_id)
        )
    ).one()
    return Money(total, None if total is None else total + ahead, until)


def budget(session: Session, member_id: int, at: datetime, timezone: str) -> Decimal | None:
    """The member's budget of one month: a twelfth of the year's."""
    found = session.get(Budget, (member_id, at.astimezone(ZoneInfo(timezone)).year))
    return (found.amount / 12).quantize(Decimal("0.01")) if found else None


def under_way(session: Session, at: datetime, limit: int = 10) -> list[dict[str, Any]]:
    """The operations that run or wait, and those that failed since a day, newest first, each with its `steps`."""
    news = Flow.state.in_(FLOW_LIVE) | ((Flow.state == "failed") & (Flow.ended_at > at - RECENT))
    query = (
        sa.select(Flow, Service.name, Member.name)
        .select_from(Flow)
        .join(Service, Service.id == Flow.service_id)
        .join(Member, Member.id == Flow.member_id)
        .where(news, reading.own(session, Flow.member_id))
        .order_by(Flow.state.in_(FLOW_LIVE).desc(), Flow.id.desc())
        .limit(limit)
    )
    rows = session.execute(query).all()
    by_flow: dict[int, list[FlowStep]] = {}
    for step in reading.steps(session, [flow.id for flow, _, _ in rows]):
        by_flow.setdefault(step.flow_id, []).append(step)
    return [
        {"flow": flow, "service": service, "member": member, "steps": by_flow.get(flow.id, [])}
        for flow, service, member in rows
    ]


def changes(session: Session, limit: int = 8) -> list[dict[str, Any]]:
    """What was done last, newest first: at, actor, action, subject, member (its name)."""
    query = (
        sa.select(AuditEntry.at, AuditEntry.actor, AuditEntry.action, AuditEntry.subject, Member.name.label("member"))
        .select_from(AuditEntry)
        .outerjoin(Member, Member.id == AuditEntry.member_id)
        .where(AuditEntry.action.not_in(UNTOLD), reading.own(session, AuditEntry.member_id))
        .order_by(AuditEntry.id.desc())
        .limit(limit)
    )
    return [dict(row) for row in session.execute(query).mappings()]
