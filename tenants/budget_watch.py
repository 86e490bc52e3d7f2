"""Who has committed most of its budget: told when 80 % and 100 % are reached, again only after it was less."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from orchestrator import audit
from orchestrator.database import territory_session
from orchestrator.days import day_of
from orchestrator.tables import Member
from tenants import quotas
from tenants.tables import Budget
from tenants.tables_notices import BudgetMark

STEPS = (100, 80)  # percent


def watch(engine: sa.Engine, actor: str, at: datetime) -> int:
    """Write which members have reached a step of this year's budget since the last time; how many."""
    year = day_of(at).year
    with territory_session(engine, actor) as session:
        members = session.execute(
            sa.select(Member.id, Budget.amount, BudgetMark.reached)
            .join(Budget, (Budget.member_id == Member.id) & (Budget.year == year))
            .outerjoin(BudgetMark, (BudgetMark.member_id == Member.id) & (BudgetMark.year == year))
            .where(Member.state == "active", Budget.amount > 0)
        ).all()
        return sum(_watch(session, row.id, year, row.amount, row.reached or 0) for row in members)


def _watch(session: Session, member_id: int, year: int, budget: Decimal, told: int) -> bool:
    committed = quotas.held(session, member_id)[1] * 12
    reached = next((step for step in STEPS if committed * 100 >= budget * step), 0)
    if reached == told:
        return False
    # Of two workers at it, the second one waits here, and then finds nothing to change.
    changed = session.execute(
        insert(BudgetMark)
        .values(member_id=member_id, year=year, reached=reached)
        .on_conflict_do_update(
            index_elements=["member_id", "year"], set_={"reached": reached}, where=BudgetMark.reached != reached
        )
        .returning(BudgetMark.member_id)
    ).first()
    if changed is None or reached < told:
        return False
    detail = {"year": year, "reached": reached, "committed": str(committed), "budget": str(budget)}
    audit.record(session, "budget.reach", f"budget {year}", member_id=member_id, detail=detail)
    return True
