"""A member's twelve months, as its statements say them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from tenants import periods
from tenants.tables import Period, Statement


@dataclass(frozen=True)
class Closed:
    """A closed statement and when it was closed."""

    document: dict[str, Any]
    closed_at: datetime


def before(session: Session, statement_id: int) -> Closed | None:
    """The member's statement that a closed one follows in its chain; None for the first."""
    previous = sa.select(Statement.previous_hash).where(Statement.id == statement_id).scalar_subquery()
    found = session.execute(
        sa.select(Statement.document, Period.closed_at)
        .join(Period, Period.id == Statement.period_id)
        .where(Statement.hash == previous)
    ).first()
    return Closed(json.loads(found.document), found.closed_at) if found else None


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
