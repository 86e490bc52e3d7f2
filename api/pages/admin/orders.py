"""All members' orders: list, one, decide for the DSI."""

from __future__ import annotations

from typing import Any

from flask import Response, flash, g, redirect, render_template, request, url_for
from flask_babel import gettext
from werkzeug.wrappers import Response as Answer

from api import auth, paging
from api.exporting import download
from api.forms import Form
from api.pages.admin.guard import territory
from orchestrator.errors import ClocherError
from orchestrator.tables import Member
from tenants import approvals, desk, orders, reading
from tenants.tables import ORDER_STATES, Offer, Order
from tenants.tables_approvals import STEPS

blueprint = territory("admin_orders", "/admin/orders")
FILTERS = ("state", "member", "step")


def _given() -> dict[str, str]:
    return {name: request.args.get(name, "").strip() for name in FILTERS}


@blueprint.get("")
def list_() -> str:
    """The orders, newest first."""
    given, after = _given(), paging.after()
    with auth.scope() as session:
        rows, following = desk.orders(session, given, after=after)
    kept: dict[str, Any] = {name: value for name, value in given.items() if value}
    shown = {"form": Form.asked(), "rows": rows, "kept": kept, "states": ORDER_STATES, "steps": STEPS}
    shown |= {"next": url_for(".list_", **{**kept, "after": str(following)}) if following else None}
    return render_template("admin/orders/list.html", **shown, first=url_for(".list_", **kept) if after else None)


@blueprint.get("/export.csv")
def export() -> Response:
    """What was sought, as a file; 10,000 orders at most."""
    with auth.scope() as session:
        rows, _ = desk.orders(session, _given(), limit=10_000)
    return download(desk.orders_csv(rows), "commandes.csv", "text/csv")


@blueprint.get("/<int:order_id>")
def one(order_id: int) -> str:
    """One order: what, at which price, its chain; the form to decide."""
    return _page(order_id, Form())


def _page(order_id: int, form: Form) -> str:
    with auth.scope() as session:
        order = reading.show(session, Order, order_id)
        offer, member = session.get_one(Offer, order["offer_id"]), session.get_one(Member, order["member_id"])
        chain = approvals.chain(session, order_id)
    turn = next((step for step in chain if step.state == "waiting" and step.opened_at), None)
    shown = {"order": order, "offer": offer, "member": member, "chain": chain, "turn": turn}
    return render_template("admin/orders/one.html", **shown, form=form)


@blueprint.post("/<int:order_id>/approve")
def approve(order_id: int) -> Answer | tuple[str, int]:
    """Say yes to the present step."""
    sent = Form.sent()
    typed = {name: sent.values.get(name) or None for name in ("reason", "engagement_number", "budget_line")}
    try:
        with auth.scope() as session:
            orders.approve(session, order_id, auth.now(), g.caller, **typed)
    except ClocherError as error:
        return _refused(order_id, sent, error)
    flash(gettext("L’étape est acceptée."), "success")
    return redirect(url_for(".one", order_id=order_id))


@blueprint.post("/<int:order_id>/reject")
def reject(order_id: int) -> Answer | tuple[str, int]:
    """Refuse, saying why."""
    sent = Form.sent()
    try:
        with auth.scope() as session:
            orders.reject(session, order_id, sent.values.get("reason", ""), auth.now(), g.caller)
    except ClocherError as error:
        return _refused(order_id, sent, error)
    flash(gettext("La commande est refusée ; ce qu’elle tenait est libre à nouveau."), "success")
    return redirect(url_for(".one", order_id=order_id))


def _refused(order_id: int, form: Form, error: ClocherError) -> tuple[str, int]:
    if error.status == 404:
        raise error
    return _page(order_id, form.refused(error, "reason" if error.code == "invalid_reason" else "")), error.status
