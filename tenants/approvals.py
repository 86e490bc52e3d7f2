"""The chain of approvals of an order: its steps are decided one after the other, each by those whose turn it is.

All of it happens under the member's lock (`quotas.lock`), like the placing of orders: two decisions can't race. While
an order waits it holds its price and its quota; the last yes starts it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator import audit
from orchestrator.database import territory_session
from orchestrator.errors import Conflict, Forbidden, InvalidInput, NotFound, Text
from orchestrator.tables import Member
from tenants import policy, quotas, reading
from tenants.approvers import Caller, Directory
from tenants.tables import Offer, Order
from tenants.tables_approvals import Approval

Verdict = Literal["granted", "refused"]
LONGEST = {"reason": 2000, "engagement_number": 60, "budget_line": 120}  # characters


def open(session: Session, order: Order, offer: Offer, at: datetime) -> bool:
    """Ask for what the policy in force wants of an order that was just written; True: nobody, it may start."""
    adopted = policy.current(session)
    chain = adopted.policy.chain(offer, policy.kind_of(order), policy.amount_of(order))
    for position, step in enumerate(chain, 1):
        rules = adopted.policy.rules_of(step)
        approval = Approval(
            order_id=order.id,
            member_id=order.member_id,
            position=position,
            step=step,
            policy_version=adopted.version,
            rules=rules.model_dump(mode="json"),
        )
        if position == 1:
            _begin(approval, at)
        session.add(approval)
    session.flush()
    return not chain


def _begin(approval: Approval, at: datetime) -> None:
    """It is this step's turn."""
    approval.opened_at, approval.reminded_at = at, None
    approval.due_at = at + timedelta(days=approval.rules["expires_days"])


def lock(session: Session, order_id: int) -> Order:
    """The order, if it waits, while nothing else can happen to it. Raises not_found, Conflict order_decided."""
    order = reading.find(session, Order, order_id)
    quotas.lock(session, order.member_id)
    session.refresh(order, with_for_update=True)
    if order.state != "waiting":
        raise Conflict(
            "order_decided",
            Text("La commande {order} n’attend plus de décision ({state}).", order=order.id, state=order.state),
            "Relisez-la.",
            facts={"state": order.state},
        )
    return order


def chain(session: Session, order_id: int) -> list[Approval]:
    """The steps of an order, in their order."""
    query = sa.select(Approval).where(Approval.order_id == order_id).order_by(Approval.position)
    return list(session.scalars(query.execution_options(populate_existing=True)))


def present(steps: Sequence[Approval]) -> Approval:
    """The step whose turn it is. Raises not_found."""
    for step in steps:
        if step.state == "waiting" and step.opened_at is not None:
            return step
    raise NotFound("not_found", "Cette commande n’attend aucune étape.", "Prévenez la DSI.")


def decide(
    session: Session,
    order: Order,
    who: Caller,
    verdict: Verdict,
    at: datetime,
    *,
    reason: str | None = None,
    engagement_number: str | None = None,
    budget_line: str | None = None,
) -> bool:
    """Decide the present step of a locked order; True when that was the last yes. A refusal needs a reason.

    Raises Forbidden own_order or not_yours; Conflict approval_expired; InvalidInput invalid_reason or
    engagement_needed. The caller then starts the order, or ends it.
    """
    steps = chain(session, order.id)
    turn = present(steps)
    right = Directory.read(session, [order.member_id], at).may(who, turn, order)
    assert turn.due_at
    if at >= turn.due_at:
        raise Conflict("approval_expired", "Le délai pour décider est passé.", "Passez la commande à nouveau.")
    given = {"reason": reason, "engagement_number": engagement_number, "budget_line": budget_line}
    _check(given, verdict, needed=turn.rules["engagement"] and not right.escalated)
    turn.state, turn.decided_by, turn.decided_at = verdict, who.actor, at
    turn.account_id, turn.instead_of = who.account_id, right.instead_of.id if right.instead_of else None
    for name, value in given.items():
        setattr(turn, name, (value or "").strip() or None)
    session.flush()
    following = next((step for step in steps if step.state == "waiting"), None)
    if verdict == "granted" and following is not None:
        _begin(following, at)
    detail = {"step": turn.step, "position": turn.position}
    detail |= {"for": right.instead_of.name} if right.instead_of else {}
    detail |= {"escalated": True} if right.escalated else {}
    detail |= {name: value for name in given if (value := getattr(turn, name))}
    last = verdict == "granted" and following is None
    action = "order.reject" if verdict == "refused" else "order.approve" if last else "approval.grant"
    audit.record(session, action, f"order {order.id}", member_id=order.member_id, detail=detail)
    session.flush()
    return last


def _check(given: dict[str, str | None], verdict: Verdict, *, needed: bool) -> None:
    for name, longest in LONGEST.items():
        value = given[name] or ""
        wanted = name == "reason" if verdict == "refused" else needed and name != "reason"
        if len(value) <= longest and (value.strip() or not wanted):
            continue
        if name == "reason":
            raise InvalidInput("invalid_reason", "Un refus se motive, en 2 000 caractères au plus.", "Dites pourquoi.")
        raise InvalidInput(
            "engagement_needed",
            "Le numéro d’engagement et la ligne budgétaire sont nécessaires.",
            "Donnez-les, en 60 et 120 caractères au plus.",
            facts={"field": name},
        )


def close(session: Session, order: Order, at: datetime) -> None:
    """Nobody is asked any more: the order was refused, taken back or not decided in time."""
    session.execute(
        sa.update(Approval)
        .where(Approval.order_id == order.id, Approval.state == "waiting")
        .values(state="skipped", decided_at=at)
    )


def take_back(session: Session, order_id: int, who: Caller, at: datetime) -> Order:
    """Undo one's own yes as long as the next step has not been decided; one's own step waits again.

    Raises Conflict order_decided or nothing_to_take_back.
    """
    order = lock(session, order_id)
    steps = chain(session, order.id)
    turn = present(steps)
    mine = _last_granted(steps)
    if mine is None or not is_takeable(steps, who):
        raise Conflict(
            "nothing_to_take_back", "Il n’y a pas d’accord de vous à reprendre.", "La suite est déjà décidée."
        )
    turn.opened_at = turn.due_at = turn.reminded_at = None
    session.flush()  # one step is present at a time: this one leaves first
    mine.state, mine.decided_by, mine.decided_at = "waiting", None, None
    mine.account_id = mine.instead_of = mine.reason = mine.engagement_number = mine.budget_line = None
    _begin(mine, at)
    detail = {"step": mine.step, "position": mine.position}
    audit.record(session, "approval.take_back", f"order {order.id}", member_id=order.member_id, detail=detail)
    session.flush()
    return order


def _last_granted(steps: Sequence[Approval]) -> Approval | None:
    return next((step for step in reversed(steps) if step.state == "granted"), None)


def is_takeable(steps: Sequence[Approval], who: Caller) -> bool:
    """Whether the last yes of a waiting order is `who`'s own."""
    mine = _last_granted(steps)
    return mine is not None and _decided_by(mine, who)


def _decided_by(step: Approval, who: Caller) -> bool:
    return step.account_id == who.account_id if who.account_id is not None else step.decided_by == who.actor


def waiting_for(session: Session, order: Order, at: datetime) -> dict[str, Any] | None:
    """Whom a waiting order waits for; None when it waits for nobody.

    step, position, steps (how many), opened_at, due_at, people (names; empty: the DSI), escalated (nobody in the house
    can decide, so the DSI does), engagement (a number and a line are needed).
    """
    steps = chain(session, order.id)
    if order.state != "waiting" or not steps:
        return None
    turn = present(steps)
    able = Directory.read(session, [order.member_id], at).able(turn, order)
    return {
        **{name: getattr(turn, name) for name in ("step", "position", "opened_at", "due_at")},
        "steps": len(steps),
        "people": [person.name for person in able],
        "escalated": turn.step != "dsi" and not able,
        "engagement": turn.rules["engagement"],
    }


def mine(session: Session, who: Caller, at: datetime) -> list[dict[str, Any]]:
    """The orders whose present step `who` can decide, oldest first: `order`, `approval`, `member` (its name),
    `instead_of` (a name) and `escalated`. Three queries, however many wait; one when none does."""
    waiting = (Approval.state == "waiting") & Approval.opened_at.is_not(None)
    rows = session.execute(
        sa.select(Order, Approval, Member.name)
        .join(Approval, Approval.order_id == Order.id)
        .join(Member, Member.id == Order.member_id)
        .where(Order.state == "waiting", waiting, Approval.due_at > at, reading.own(session, Order.member_id))
        .order_by(Order.id)
    ).all()
    if not rows:
        return []
    directory = Directory.read(session, {order.member_id for order, _, _ in rows}, at)
    found = []
    for order, approval, member in rows:
        try:
            right = directory.may(who, approval, order)
        except Forbidden:
            continue
        instead_of = right.instead_of.name if right.instead_of else None
        one = {"order": order, "approval": approval, "member": member}
        found.append({**one, "instead_of": instead_of, "escalated": right.escalated})
    return found


def expire(engine: sa.Engine, actor: str, at: datetime) -> int:
    """End the orders whose present step nobody decided in time; how many. Each is a transaction of its own."""
    late = (Approval.state == "waiting") & (Approval.due_at <= at)
    with territory_session(engine, actor) as session:
        ids = session.scalars(sa.select(Approval.order_id).where(late).order_by(Approval.order_id)).all()
    return sum(_expire(engine, actor, order_id, at) for order_id in ids)


def _expire(engine: sa.Engine, actor: str, order_id: int, at: datetime) -> bool:
    with territory_session(engine, actor) as session:
        try:
            order = lock(session, order_id)
        except Conflict:  # decided or taken back meanwhile
            return False
        turn = present(chain(session, order.id))
        if turn.due_at is None or turn.due_at > at:
            return False
        turn.state, turn.decided_at = "expired", at
        session.flush()
        close(session, order, at)
        order.state, order.decided_by, order.decided_at = "expired", "policy", at
        audit.record(
            session, "order.expire", f"order {order.id}", member_id=order.member_id, detail={"step": turn.step}
        )
        return True


def remind(engine: sa.Engine, actor: str, at: datetime) -> int:
    """Write, once for each reminder day that has come, that a step still waits; how many. A mail follows."""
    with territory_session(engine, actor) as session:
        waiting = (Approval.state == "waiting") & Approval.opened_at.is_not(None) & (Approval.due_at > at)
        steps = session.scalars(sa.select(Approval).where(waiting).with_for_update(skip_locked=True)).all()
        late = [step for step in steps if _wants_reminder(step, at)]
        for step in late:
            step.reminded_at = at
            detail = {"step": step.step, "position": step.position}
            audit.record(session, "approval.remind", f"order {step.order_id}", member_id=step.member_id, detail=detail)
        return len(late)


def _wants_reminder(step: Approval, at: datetime) -> bool:
    assert step.opened_at
    days = [step.opened_at + timedelta(days=days) for days in step.rules["remind_days"]]
    come = [day for day in days if day <= at]
    return bool(come) and (step.reminded_at is None or step.reminded_at < max(come))
