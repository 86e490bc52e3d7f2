"""What the pages of orders show: a list with whom each waits for, and one order with its chain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator.errors import Forbidden
from orchestrator.tables import Member, Service
from tenants import approvals, reading
from tenants.approvers import Caller, Directory, Person, Right
from tenants.tables import Offer, Order
from tenants.tables_approvals import Approval
from tenants.tables_identity import Account


@dataclass(frozen=True)
class OrderView:
    """One order. chain: its steps; turn: the present one; people: who can decide it (none: the DSI); right: by what
    right the reader can, None when not; takeable: whether the last yes is the reader's own and can be taken back;
    names: of the accounts that others decided in place of.
    """

    order: Order
    offer: Offer
    member: Member
    service: Service | None
    chain: list[Approval]
    turn: Approval | None
    people: tuple[Person, ...]
    right: Right | None
    takeable: bool
    names: dict[int, str]


def order_page(session: Session, order_id: int, who: Caller, at: datetime) -> OrderView:
    """Everything about an order. Raises not_found."""
    order = reading.find(session, Order, order_id)
    chain = approvals.chain(session, order.id)
    waiting = order.state == "waiting"
    turn = next((step for step in chain if waiting and step.state == "waiting" and step.opened_at), None)
    people: tuple[Person, ...] = ()
    right: Right | None = None
    if turn is not None:
        directory = Directory.read(session, [order.member_id], at)
        people = tuple(directory.able(turn, order))
        right = _right(directory, who, turn, order)
    return OrderView(
        order=order,
        offer=session.get_one(Offer, order.offer_id),
        member=session.get_one(Member, order.member_id),
        service=session.get(Service, order.service_id) if order.service_id else None,
        chain=chain,
        turn=turn,
        people=people,
        right=right,
        takeable=turn is not None and approvals.is_takeable(chain, who),
        names=_names(session, [step.instead_of for step in chain if step.instead_of]),
    )


def _right(directory: Directory, who: Caller, turn: Approval, order: Order) -> Right | None:
    try:
        return directory.may(who, turn, order)
    except Forbidden:
        return None


def _names(session: Session, account_ids: list[int]) -> dict[int, str]:
    rows = session.execute(sa.select(Account.id, Account.name).where(Account.id.in_(account_ids)))
    return {row.id: row.name for row in rows}


def listed(
    session: Session,
    *,
    states: Sequence[str] = (),
    text: str = "",
    member: str | None = None,
    after: int | None = None,
    limit: int = 50,
) -> tuple[list[dict[str, Any]], int | None]:
    """Orders as `reading.page` gives them, each with its `offer` and, while it waits, the `step` it waits for."""
    rows, following = reading.page(
        session, Order, states=states, text=text, member=member, after=after, limit=limit
    )  # fmt: skip
    ids = [row["id"] for row in rows]
    turns = session.execute(
        sa.select(Approval.order_id, Approval.step).where(
            Approval.order_id.in_(ids), Approval.state == "waiting", Approval.opened_at.is_not(None)
        )
    )
    steps = {row.order_id: row.step for row in turns}
    titles = session.execute(sa.select(Offer.id, Offer.title).where(Offer.id.in_({row["offer_id"] for row in rows})))
    offers = {row.id: row.title for row in titles}
    for row in rows:
        row["offer"], row["step"] = offers[row["offer_id"]], steps.get(row["id"])
    return rows, following


def active_members(session: Session) -> list[tuple[str, str]]:
    """For whom the session may order: (slug, name), by name."""
    rows = session.execute(sa.select(Member.slug, Member.name).where(Member.state == "active").order_by(Member.name))
    return [(row.slug, row.name) for row in rows]
