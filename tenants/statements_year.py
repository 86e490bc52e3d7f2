"""A member's twelve months, as its statements say them."""

from __future__ import annotations

from decimal import Decimal

import sqlalchemy as sa
from sqlalchemy.orm import Session

from tenants import periods
from tenants.tables import Period, Statement


def year(session: Session, statement_id: int) -> list[tuple[str, Decimal | None]]:
    """The twelve months until a statement's, oldest first, each with the member's total; None where there is none.

    What was closed when it was closed, and itself: what a closed one says of its year does not change any more.
    """
    statement = session.get_one(Statement, statement_id)
    period = session.get_one(Period, statement.period_id)
    closed = (Period.state == "closed") & (Period.sample == period.sample)
    if period.closed_at:
        closed &= sa.tuple_(Period.closed_at, Period.id) <= sa.tuple_(period.closed_at, period.id)
    query = (
        sa.select(Period.label, Statement.total)
        .join(Period, Period.id == Statement.period_id)
        .where(Statement.member_id == statement.member_id, closed | (Statement.id == statement_id))
    )
    totals: dict[str, Decimal] = dict(session.execute(query).all())
    return [(label, totals.get(label)) for label in reversed(periods.labels_until(period.label, 12))]
