"""How often each source may ask: counted minute by minute in the database, so that all processes count together."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from tenants.tables_identity import Request

WINDOW = 60  # seconds


@dataclass(frozen=True)
class Allowance:
    """How many requests a minute allows, how many are left (negative: it was one too many), when the next begins."""

    limit: int
    left: int
    reset: int  # seconds


def spend(session: Session, source: str, kind: str, limit: int, at: datetime) -> Allowance:
    """Count one request of `kind`, "read" or "change"."""
    minute, spent = divmod(int(at.timestamp()), WINDOW)
    counted = insert(Request).values(source=source, kind=kind, minute=minute, count=1)
    again = sa.case((Request.minute == minute, Request.count + 1), else_=1)
    count = session.scalar(
        counted.on_conflict_do_update(
            index_elements=[Request.source, Request.kind], set_={"minute": minute, "count": again}
        ).returning(Request.count)
    )
    assert count
    if count == 1:
        _forget(session, minute)
    return Allowance(limit, limit - count, WINDOW - spent)


def _forget(session: Session, minute: int) -> None:
    """What was counted before; rows that others are counting in are left to them, or two would wait for each other."""
    over = sa.select(Request.source, Request.kind).where(Request.minute < minute).with_for_update(skip_locked=True)
    session.execute(sa.delete(Request).where(sa.tuple_(Request.source, Request.kind).in_(over)))
