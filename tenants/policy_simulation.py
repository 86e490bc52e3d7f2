"""What a policy would have asked of the latest orders, beside what was asked of them."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator.tables import Member
from tenants import policy
from tenants.policy import Policy
from tenants.tables import Offer, Order
from tenants.tables_approvals import Approval


def simulate(session: Session, wanted: Policy, limit: int = 50) -> list[dict[str, Any]]:
    """The latest orders, newest first: order, member, offer, amount a month, before and after (steps), differs."""
    query = (
        sa.select(Order, Offer, Member.name)
        .join(Offer, Offer.id == Order.offer_id)
        .join(Member, Member.id == Order.member_id)
        .order_by(Order.id.desc())
        .limit(limit)
    )
    rows = session.execute(query).all()
    asked: dict[int, list[str]] = {}
    ids = [order.id for order, _, _ in rows]
    steps = sa.select(Approval.order_id, Approval.step).where(Approval.order_id.in_(ids)).order_by(Approval.position)
    for order_id, step in session.execute(steps):
        asked.setdefault(order_id, []).append(step)
    found = []
    for order, offer, member in rows:
        amount = policy.amount_of(order)
        after = list(wanted.chain(offer, policy.kind_of(order), amount))
        before = asked.get(order.id, [])
        found.append(
            {"order": order, "member": member, "offer": offer.slug, "amount": amount, "before": before, "after": after,
             "differs": before != after}
        )  # fmt: skip
    return found
