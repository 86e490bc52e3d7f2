"""How members are called in addresses and programs, for rows that hold their ids."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator.tables import Member


def of(session: Session, member_ids: Iterable[int | None]) -> dict[int, str]:
    """The short names of these members, as far as the session sees them; one query, or none."""
    wanted = {member_id for member_id in member_ids if member_id is not None}
    if not wanted:
        return {}
    return {row.id: row.slug for row in session.execute(sa.select(Member.id, Member.slug).where(Member.id.in_(wanted)))}
