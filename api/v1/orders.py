"""Orders: place, read, decide."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint

from api import auth
from api.v1.schemas import ListOf, OrderIn, OrderOut, PageQuery, Reason, RequestKey
from tenants import orders, reading
from tenants.tables import Order

blueprint = APIBlueprint("orders", __name__, url_prefix="/api/v1/orders", tag="Orders")
ONE = "/<int:order_id>"


@blueprint.post("")
@blueprint.input(OrderIn, location="json")
@blueprint.input(RequestKey, location="headers")
@blueprint.output(OrderOut, status_code=201)
@blueprint.doc(security="token")
def place(json_data: OrderIn, headers_data: RequestKey) -> dict[str, Any]:
    """Order something. The same Idempotency-Key again answers with the same order."""
    with auth.scope() as session:
        member_id = auth.member_id(session, json_data.member)
        order = orders.place(
            session, member_id, json_data.offer, json_data.parameters, headers_data.idempotency_key, auth.now()
        )
        return reading.show(session, Order, order.id)


@blueprint.get("")
@blueprint.input(PageQuery, location="query")
@blueprint.output(ListOf[OrderOut])
@blueprint.doc(security="token")
def list_orders(query_data: PageQuery) -> dict[str, Any]:
    """The orders, newest first."""
    with auth.scope() as session:
        items, after = reading.page(session, Order, **query_data.model_dump())
    return {"items": items, "next": after}


@blueprint.get(ONE)
@blueprint.output(OrderOut)
@blueprint.doc(security="token")
def show(order_id: int) -> dict[str, Any]:
    """One order."""
    with auth.scope() as session:
        return reading.show(session, Order, order_id)


@blueprint.post(f"{ONE}/approve")
@blueprint.output(OrderOut)
@blueprint.doc(security="token")
def approve(order_id: int) -> dict[str, Any]:
    """Say yes to the present step of a waiting order; the last yes starts it."""
    with auth.scope() as session:
        orders.approve(session, order_id, auth.now(), auth.caller())
        return reading.show(session, Order, order_id)


@blueprint.post(f"{ONE}/reject")
@blueprint.input(Reason, location="json")
@blueprint.output(OrderOut)
@blueprint.doc(security="token")
def reject(order_id: int, json_data: Reason) -> dict[str, Any]:
    """Refuse a waiting order at its present step, saying why."""
    with auth.scope() as session:
        orders.reject(session, order_id, json_data.reason, auth.now(), auth.caller())
        return reading.show(session, Order, order_id)


@blueprint.post(f"{ONE}/cancel")
@blueprint.output(OrderOut)
@blueprint.doc(security="token")
def cancel(order_id: int) -> dict[str, Any]:
    """Take back a waiting order."""
    with auth.scope() as session:
        orders.cancel(session, order_id, auth.now())
        return reading.show(session, Order, order_id)
