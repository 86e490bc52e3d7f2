"""Webhooks of one's house: who is told, of what, and what was sent."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from apiflask import APIBlueprint
from flask import flash, g, redirect, render_template, request, url_for
from flask_babel import gettext
from werkzeug.wrappers import Response

from api import auth, paging
from api.forms import Form
from api.language import sentences as ngettext
from api.telling import SEAL
from orchestrator import sealing
from orchestrator.errors import ClocherError, Conflict, InvalidInput
from tenants import outside, webhooks
from tenants.tables_notices import DELIVERY_STATES

blueprint = APIBlueprint("webhook_pages", __name__, enable_openapi=False, url_prefix="/webhooks")
FIELDS = {"invalid_label": "label", "invalid_url": "url", "address_refused": "url", "https_needed": "url"}
LOCAL = "%Y-%m-%dT%H:%M"  # what a browser's field of date and time holds


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


def _one(endpoint_id: int, form: Form, secret: str | None = None, replaying: Form | None = None) -> str:
    after, asked = paging.after(), Form.asked()
    chosen = {name: value for name in ("state", "event") if (value := asked.values.get(name))}
    with auth.scope() as session:
        endpoint = webhooks.find(session, endpoint_id, lock=False)
        rows, following = webhooks.deliveries(session, endpoint.id, after=after, **chosen)
        values: dict[str, Any] = {"label": endpoint.label, "url": endpoint.url}
        values |= {f"event-{name}": "1" for name in endpoint.events}
        shown: dict[str, Any] = {"endpoint": endpoint, "rows": rows, "secret": secret, "events": webhooks.EVENTS}
        shown |= {"form": form if form.values else Form(values), "asked": asked, "chosen": chosen, "now": auth.now()}
        shown |= {"states": DELIVERY_STATES, "test": webhooks.TEST, "replaying": replaying or Form(_yesterday())}
        shown |= {"kept": auth.settings().webhook_log_days}
        return render_template(
            "webhooks/one.html", **shown, first=_address(endpoint_id, **chosen) if after else None,
            next=_address(endpoint_id, **chosen, after=following) if following else None,
        )  # fmt: skip


def _address(endpoint_id: int, **asked: Any) -> str:
    return url_for(".one", endpoint_id=endpoint_id, **asked)


def _yesterday() -> dict[str, str]:
    at = auth.now().astimezone(ZoneInfo(auth.settings().timezone)) - timedelta(days=1)
    return {"since": at.strftime(LOCAL)}


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


@blueprint.post("/<int:endpoint_id>/disable")
def disable(endpoint_id: int) -> Response:
    """Tell it nothing more until it is enabled again."""
    with auth.scope() as session:
        webhooks.disable(session, webhooks.find(session, endpoint_id), auth.now(), webhooks.ASKED)
    flash(gettext("Le webhook est désactivé : plus rien ne lui est envoyé."), "success")
    return redirect(url_for(".one", endpoint_id=endpoint_id))


@blueprint.post("/<int:endpoint_id>/test")
def test(endpoint_id: int) -> Response:
    """Send an event that says nothing."""
    return _send(endpoint_id, lambda session: webhooks.test(session, endpoint_id, auth.now()))


@blueprint.post("/deliveries/<int:delivery_id>/replay")
def replay(delivery_id: int) -> Response:
    """Send a delivery again."""
    return _send(None, lambda session: webhooks.replay(session, delivery_id, auth.now()))


@blueprint.post("/<int:endpoint_id>/replay")
def replay_since(endpoint_id: int) -> Response | tuple[str, int]:
    """Send again what failed since an instant, or all of it."""
    sent_too = bool(request.form.get("sent_too"))
    try:
        with auth.scope() as session:
            webhooks.find(session, endpoint_id)
            count = webhooks.replay_since(session, endpoint_id, _since(), auth.now(), sent_too=sent_too)
    except ClocherError as error:
        if error.status == 404:
            raise
        only = "since" if isinstance(error, InvalidInput) else ""
        return _one(endpoint_id, Form(), replaying=Form.sent().refused(error, only)), error.status
    flash(ngettext("%(num)d envoi repart.", "%(num)d envois repartent.", count), "success")
    return redirect(url_for(".one", endpoint_id=endpoint_id))


def _since() -> datetime:
    """The instant that the form holds, as clocks show it here."""
    zone = ZoneInfo(auth.settings().timezone)
    try:
        return datetime.strptime(request.form.get("since", ""), LOCAL).replace(tzinfo=zone)
    except ValueError as error:
        raise InvalidInput("invalid_instant", "Il faut un jour et une heure.", "Donnez-les.") from error


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
        endpoint = webhooks.find(session, endpoint_id, lock=False)
        return render_template("webhooks/remove.html", endpoint=endpoint, form=Form())


@blueprint.post("/<int:endpoint_id>/remove")
def remove(endpoint_id: int) -> Response:
    """End one for good."""
    with auth.scope() as session:
        webhooks.remove(session, endpoint_id, auth.now())
    flash(gettext("Le webhook est retiré."), "success")
    return redirect(url_for(".listed"))
