"""Orders: the list, one with its chain and the operation that carries it out, and what its readers decide about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from apiflask import APIBlueprint
from flask import flash, g, redirect, render_template, request, url_for
from flask_babel import gettext
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from api import auth, paging
from api.forms import Form
from api.pages import flows
from orchestrator.errors import ClocherError
from tenants import approvals, orders, reading_orders, reading_service
from tenants.tables import ORDER_STATES

blueprint = APIBlueprint("order_pages", __name__, enable_openapi=False)
FILTERS = ("state", "text", "member")
FIELDS = {"invalid_reason": "reason", "engagement_needed": ""}


@blueprint.get("/orders")
def listed() -> str:
    """The orders, newest first, narrowed by state, name and member."""
    given = {name: request.args.get(name, "").strip() for name in FILTERS}
    after = paging.after()
    states = [given["state"]] if given["state"] in ORDER_STATES else []
    with auth.scope() as session:
        member = given["member"] if g.caller.member_id is None else ""
        rows, following = reading_orders.listed(
            session, states=states, text=given["text"], member=member or None, after=after
        )
        members = reading_orders.active_members(session) if g.caller.member_id is None else []
    kept: dict[str, Any] = {name: value for name, value in given.items() if value}
    further = url_for(".listed", **{**kept, "after": str(following)}) if following else None
    return render_template(
        "orders/list.html", rows=rows, form=Form.asked(), kept=kept, states=ORDER_STATES, members=members,
        next=further, first=url_for(".listed", **kept) if after else None,
    )  # fmt: skip


@blueprint.get("/approvals")
def waiting() -> str:
    """What the caller can decide now, oldest first."""
    with auth.scope() as session:
        return render_template("orders/waiting.html", rows=approvals.mine(session, g.caller, auth.now()))


@blueprint.get("/orders/<int:order_id>")
def one(order_id: int) -> str:
    """One order; `?part=live` answers with the part that is polled."""
    with auth.scope() as session:
        shown = _shown(session, order_id)
        if request.args.get("part") == "live":
            return render_template("orders/live.html", **shown)
        return render_template("orders/one.html", form=Form(), **shown)


def _shown(session: Session, order_id: int) -> dict[str, Any]:
    view = reading_orders.order_page(session, order_id, g.caller, auth.now())
    running = flows.shown(session, view.order.flow_id) if view.order.flow_id else {"flow": None, "live": False}
    waits = view.order.state == "waiting"
    before = [view.order.parameters["before"]] if view.order.kind == "resize" else []
    return {
        "view": view, "order": view.order, **running, "live": running["live"] or waits,
        "placed": request.args.get("placed"), "titles": reading_service.titles(session, before),
    }  # fmt: skip


@blueprint.post("/orders/<int:order_id>/approve")
def approve(order_id: int) -> Response | tuple[str, int]:
    """Say yes to the present step."""
    typed = {name: request.form.get(name) or None for name in ("reason", "engagement_number", "budget_line")}
    return _decide(
        order_id,
        lambda session: orders.approve(session, order_id, auth.now(), g.caller, **typed).state == "approved",
        gettext("Vous avez donné votre accord."),
    )


@blueprint.post("/orders/<int:order_id>/reject")
def reject(order_id: int) -> Response | tuple[str, int]:
    """Refuse, saying why."""
    return _decide(
        order_id,
        lambda session: orders.reject(session, order_id, request.form.get("reason", ""), auth.now(), g.caller),
        gettext("La commande est refusée ; ce qu’elle réservait est libre à nouveau."),
    )


@blueprint.post("/orders/<int:order_id>/take-back")
def take_back(order_id: int) -> Response | tuple[str, int]:
    """Undo one's own yes before the next step is decided."""
    return _decide(
        order_id,
        lambda session: approvals.take_back(session, order_id, g.caller, auth.now()),
        gettext("Votre accord est repris : l’étape attend à nouveau."),
    )


@blueprint.post("/orders/<int:order_id>/cancel")
def cancel(order_id: int) -> Response | tuple[str, int]:
    """Take back an order that waits."""
    return _decide(
        order_id,
        lambda session: orders.cancel(session, order_id, auth.now()),
        gettext("La commande est annulée ; rien n’a été créé."),
    )


def _decide(order_id: int, act: Callable[[Session], object], told: str) -> Response | tuple[str, int]:
    try:
        with auth.scope() as session:
            act(session)
    except ClocherError as error:
        if error.status == 404:
            raise
        return _refused(order_id, error), error.status
    flash(told, "success")
    return redirect(url_for(".one", order_id=order_id))


def _refused(order_id: int, error: ClocherError) -> str:
    only = error.facts.get("field") if error.code == "engagement_needed" else FIELDS.get(error.code, "")
    with auth.scope() as session:
        return render_template(
            "orders/one.html", form=Form.sent().refused(error, only or ""), **_shown(session, order_id)
        )
