"""How often a member's applications answered in a month, as its statement tells it.

It is part of the document: once that is sealed, measurements that come later change nothing of it.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import date
from decimal import ROUND_FLOOR, Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator import entry
from orchestrator.tables import Member, Service
from orchestrator.tables_entry import Availability
from tenants.tables import Period

GONE = ("deleted", "failed")


def of_period(session: Session, period: Period, member: str | None = None) -> dict[int, list[dict[str, Any]]]:
    """By member (its id), each application with a web address that there was in the month, by name: service,
    service_ref, asked and answered (how often), share (percent with two decimals, rounded down so that 100 means
    always; null when nothing was measured).

    member: of this one only, by slug. Nothing of a closed month, whose documents hold it.
    """
    if period.state == "closed":
        return {}
    begins, ends = period.during.lower, period.during.upper
    first = date.fromisoformat(f"{period.label}-01")
    following = date(first.year + first.month // 12, first.month % 12 + 1, 1)
    of_month = (Availability.day >= first) & (Availability.day < following)
    asked, answered = (sa.func.coalesce(sa.func.sum(one), 0) for one in (Availability.asked, Availability.answered))
    query = (
        sa.select(Service.member_id, Service.name, Service.ref, Service.state, asked, answered)
        .outerjoin(Availability, of_month & (Availability.service_id == Service.id))
        .where(entry.WEB_PORT.is_not(None), Service.created_at < ends,
               Service.state.not_in(GONE) | (Service.changed_at >= begins))
        .group_by(Service.id)
        .order_by(Service.name, Service.id)
    )  # fmt: skip
    if member is not None:
        query = query.join(Member, Member.id == Service.member_id).where(Member.slug == member)
    found: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for member_id, name, ref, state, count, good in session.execute(query):
        if count or state != "failed":  # what never came to be has no availability
            found[member_id].append(_told(name, str(ref), int(count), int(good)))
    return found


def _told(name: str, ref: str, asked: int, answered: int) -> dict[str, Any]:
    share = (Decimal(100 * answered) / asked).quantize(Decimal("0.01"), ROUND_FLOOR) if asked else None
    return {"service": name, "service_ref": ref, "asked": asked, "answered": answered,
            "share": None if share is None else str(share)}  # fmt: skip
