"""Orders: place, read, decide."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint

from api import auth
from api.v1 import frame
from api.v1.schemas import (
    Approve,
    ListOf,
    OrderDetail,
    OrderIn,
    OrderOut,
    OrderQuery,
    PageQuery,
    Reason,
    RequestKey,
    TurnOut,
)
from tenants import approvals, orders, reading, slugs
from tenants.tables import Order
from tenants.tables_approvals import Approval

blueprint = APIBlueprint("orders", __name__, url_prefix="/api/v1/orders", tag="Orders")
ONE = "/<int:order_id>"


@blueprint.post("")
@blueprint.input(OrderIn, location="json")
@blueprint.input(RequestKey, location="headers")
@blueprint.output(OrderOut, status_code=201)
def place(json_data: OrderIn, headers_data: RequestKey) -> dict[str, Any]:
    """Order something. The same Idempotency-Key again answers with the same order."""
    with auth.scope() as session:
        member_id = auth.member_id(session, json_data.member)
        order = orders.place(
            session, member_id, json_data.offer, json_data.parameters, headers_data.idempotency_key, auth.now()
        )
        return reading.show(session, Order, order.id)


@blueprint.get("")
@blueprint.input(OrderQuery, location="query")
@blueprint.output(ListOf[OrderOut])
def list_orders(query_data: OrderQuery) -> dict[str, Any]:
    """The orders, newest first."""
    with auth.scope() as session:
        return frame.page(*reading.page(session, Order, **query_data.narrowed()))


@blueprint.get("/waiting-for-me")
@blueprint.input(PageQuery, location="query")
@blueprint.output(ListOf[TurnOut])
def list_mine(query_data: PageQuery) -> dict[str, Any]:
    """The orders whose present step the caller can decide, oldest first."""
    with auth.scope() as session:
        turns = approvals.mine(session, frame.caller(), auth.now())
        names = slugs.of(session, [turn["order"].member_id for turn in turns])
        rows = [{**turn, **_turn(turn["order"], turn["approval"], names)} for turn in turns]
    rows = [row for row in rows if query_data.member in (None, row["member"])]
    return frame.cut(rows, query_data, lambda row: row["order_id"], newest_first=False)


def _turn(order: Order, approval: Approval, names: dict[int, str]) -> dict[str, Any]:
    shown = {"order_id": order.id, "member": names[order.member_id], "monthly": order.difference}
    return {**shown, "step": approval.step, "due_at": approval.due_at}


@blueprint.get(ONE)
@blueprint.output(OrderDetail)
def show(order_id: int) -> dict[str, Any]:
    """One order, the steps of its approval, and whom it waits for."""
    with auth.scope() as session:
        order = reading.find(session, Order, order_id)
        return {
            **reading.show(session, Order, order_id),
            "approvals": approvals.chain(session, order_id),
            "waiting_for": approvals.waiting_for(session, order, auth.now()),
        }


@blueprint.post(f"{ONE}/approve")
@blueprint.input(Approve, location="json")
@blueprint.output(OrderOut)
def approve(order_id: int, json_data: Approve) -> dict[str, Any]:
    """Say yes to the present step of a waiting order; the last yes starts it."""
    with auth.scope() as session:
        orders.approve(session, order_id, auth.now(), auth.caller(), **json_data.model_dump())
        return reading.show(session, Order, order_id)


@blueprint.post(f"{ONE}/reject")
@blueprint.input(Reason, location="json")
@blueprint.output(OrderOut)
def reject(order_id: int, json_data: Reason) -> dict[str, Any]:
    """Refuse a waiting order at its present step, saying why."""
    with auth.scope() as session:
        orders.reject(session, order_id, json_data.reason, auth.now(), auth.caller())
        return reading.show(session, Order, order_id)


@blueprint.post(f"{ONE}/take-back")
@blueprint.output(OrderOut)
def take_back(order_id: int) -> dict[str, Any]:
    """Undo one's own yes, as long as the next step has not been decided."""
    with auth.scope() as session:
        approvals.take_back(session, order_id, frame.caller(), auth.now())
        return reading.show(session, Order, order_id)


@blueprint.post(f"{ONE}/cancel")
@blueprint.output(OrderOut)
def cancel(order_id: int) -> dict[str, Any]:
    """Take back a waiting order."""
    with auth.scope() as session:
        orders.cancel(session, order_id, auth.now())
        return reading.show(session, Order, order_id)
