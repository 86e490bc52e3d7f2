"""Webhooks of one's house: who is told, of what, and what was sent."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import flash, g, redirect, render_template, request, url_for
from flask_babel import gettext
from werkzeug.wrappers import Response

from api import auth
from api.forms import Form
from api.telling import SEAL
from orchestrator.errors import ClocherError, Conflict
from tenants import outside, sealing, webhooks

blueprint = APIBlueprint("webhook_pages", __name__, enable_openapi=False, url_prefix="/webhooks")
FIELDS = {"invalid_label": "label", "invalid_url": "url", "address_refused": "url", "https_needed": "url"}


def _rules() -> outside.Rules:
    chosen = auth.settings()
    return outside.Rules.of(chosen.webhook_networks, chosen.webhook_timeout)


@blueprint.get("")
def listed() -> str:
    """The endpoints, and the form that adds one."""
    return _list(Form())


def _list(form: Form) -> str:
    with auth.scope() as session:
        rows = webhooks.listed(session, g.caller.member_id)
        return render_template("webhooks/list.html", endpoints=rows, form=form, events=webhooks.EVENTS)


def _events() -> list[str]:
    return [name for name in webhooks.EVENTS if request.form.get(f"event-{name}")]


@blueprint.post("")
def add() -> str | tuple[str, int]:
    """Add one; its secret is on the page that answers and never again."""
    form = Form.sent()
    label, url = request.form.get("label", ""), request.form.get("url", "").strip()
    try:
        with auth.scope() as session:
            box = sealing.box(auth.settings(), SEAL)
            made, secret = webhooks.add(session, box, _rules(), g.caller, label, url, _events(), auth.now())
            made_id = made.id
    except ClocherError as error:
        return _list(form.refused(error, FIELDS.get(error.code, ""))), error.status
    return _one(made_id, Form(), secret)


@blueprint.get("/<int:endpoint_id>")
def one(endpoint_id: int) -> str:
    """One endpoint and what was sent to it."""
    return _one(endpoint_id, Form())


def _one(endpoint_id: int, form: Form, secret: str | None = None) -> str:
    after = request.args.get("after", type=int)
    with auth.scope() as session:
        endpoint = webhooks.find(session, endpoint_id)
        rows, following = webhooks.deliveries(session, endpoint.id, after=after)
        values: dict[str, Any] = {"label": endpoint.label, "url": endpoint.url}
        values |= {f"event-{name}": "1" for name in endpoint.events}
        shown = {"endpoint": endpoint, "rows": rows, "secret": secret, "events": webhooks.EVENTS, "now": auth.now()}
        shown["form"] = form if form.values else Form(values)
        return render_template(
            "webhooks/one.html", **shown, first=url_for(".one", endpoint_id=endpoint_id) if after else None,
            next=url_for(".one", endpoint_id=endpoint_id, after=following) if following else None,
        )  # fmt: skip


@blueprint.post("/<int:endpoint_id>")
def change(endpoint_id: int) -> Response | tuple[str, int]:
    """Change where and of what."""
    form, url = Form.sent(), request.form.get("url", "").strip()
    try:
        with auth.scope() as session:
            webhooks.find(session, endpoint_id)
            webhooks.change(session, _rules(), endpoint_id, request.form.get("label", ""), url, _events())
    except ClocherError as error:
        if error.status == 404:
            raise
        return _one(endpoint_id, form.refused(error, FIELDS.get(error.code, ""))), error.status
    flash(gettext("Le webhook est enregistré."), "success")
    return redirect(url_for(".one", endpoint_id=endpoint_id))


@blueprint.post("/<int:endpoint_id>/rotate")
def rotate(endpoint_id: int) -> str:
    """A new secret, on this page and never again."""
    with auth.scope() as session:
        secret = webhooks.rotate(session, sealing.box(auth.settings(), SEAL), endpoint_id, auth.now())
    return _one(endpoint_id, Form(), secret)


@blueprint.post("/<int:endpoint_id>/enable")
def enable(endpoint_id: int) -> Response:
    """Let one that was disabled be told again."""
    with auth.scope() as session:
        webhooks.enable(session, endpoint_id)
    flash(gettext("Le webhook est actif à nouveau."), "success")
    return redirect(url_for(".one", endpoint_id=endpoint_id))


@blueprint.post("/<int:endpoint_id>/test")
def test(endpoint_id: int) -> Response:
    """Send an event that says nothing."""
    return _send(endpoint_id, lambda session: webhooks.test(session, endpoint_id, auth.now()))


@blueprint.post("/deliveries/<int:delivery_id>/replay")
def replay(delivery_id: int) -> Response:
    """Send a delivery again."""
    return _send(None, lambda session: webhooks.replay(session, delivery_id, auth.now()))


def _send(endpoint_id: int | None, act: Any) -> Response:
    try:
        with auth.scope() as session:
            endpoint_id = act(session).endpoint_id
    except Conflict as error:
        if endpoint_id is None:
            raise
        flash(f"{error.sentence} {error.action}", "danger")
        return redirect(url_for(".one", endpoint_id=endpoint_id))
    flash(gettext("L’envoi part ; son résultat paraîtra ci-dessous."), "success")
    return redirect(url_for(".one", endpoint_id=endpoint_id))


@blueprint.get("/<int:endpoint_id>/remove")
def ask_remove(endpoint_id: int) -> str:
    """What removing one means."""
    with auth.scope() as session:
        return render_template("webhooks/remove.html", endpoint=webhooks.find(session, endpoint_id), form=Form())


@blueprint.post("/<int:endpoint_id>/remove")
def remove(endpoint_id: int) -> Response:
    """End one for good."""
    with auth.scope() as session:
        webhooks.remove(session, endpoint_id, auth.now())
    flash(gettext("Le webhook est retiré."), "success")
    return redirect(url_for(".listed"))
