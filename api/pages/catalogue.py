"""What can be ordered, what it costs a month, and ordering it: the form, its summary, the order."""

from __future__ import annotations

import secrets
from typing import Any

from apiflask import APIBlueprint
from flask import g, redirect, render_template, request, url_for
from sqlalchemy.orm import Session
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response

from api import auth
from api.forms import Form
from api.language import local
from orchestrator.errors import ClocherError, Conflict, InvalidInput, Text
from tenants import catalogue, estimates, orders, parameters, reading_orders
from tenants.estimates import Estimated

blueprint = APIBlueprint("catalogue_pages", __name__, enable_openapi=False, url_prefix="/catalogue")


@blueprint.app_template_filter("shortened")
def shortened(line: str) -> str:
    """A public key as people tell it from others: its type, the end of it, whose it is."""
    kind, blob, *comment = line.split(None, 2)
    return " ".join([kind, f"…{blob[-12:]}", *comment])


@blueprint.get("")
def offers() -> str:
    """The offers with today's prices, applications first."""
    with auth.scope() as session:
        found = catalogue.priced(session, auth.now())
    kinds = {kind: [offer for offer in found if offer["kind"] == kind] for kind in ("stack", "vm")}
    return render_template("catalogue/offers.html", kinds=kinds, needed=catalogue.NEEDED)


@blueprint.get("/<slug>")
def offer(slug: str) -> str:
    """One offer and the form that orders it."""
    return _form(slug, Form(request.args.to_dict()))


@blueprint.get("/<slug>/price")
def price(slug: str) -> str:
    """The part of the form that follows what is typed: price, what it takes of quota and budget, who must agree."""
    with auth.scope() as session:
        shown = _rough(session, slug, request.args)
    return render_template("catalogue/price.html", slug=slug, **shown)


@blueprint.post("/<slug>")
def send(slug: str) -> str | Response | tuple[str, int]:
    """The form as it was sent: computed again (`step=price`), checked and summed up (`check`), or ordered (`order`)."""
    step = request.form.get("step", "check")
    if step in ("price", "change"):
        return _form(slug, Form.sent())
    try:
        return _order(slug) if step == "order" else _summary(slug)
    except (InvalidInput, Conflict) as error:
        if error.code == "unknown_offer":
            raise
        return _form(slug, _refused(Form.sent(), error)), error.status


def _refused(form: Form, error: ClocherError) -> Form:
    only = {"name_taken": "name", "unknown_member": "member", "member_needed": "member"}.get(error.code, "")
    return form.refused(error, only)


def _form(slug: str, form: Form) -> str:
    with auth.scope() as session:
        shown = _rough(session, slug, MultiDict(form.values))
        chosen = catalogue.find(session, slug)
        members = _members(session)
    rules = chosen.parameters["rules"]
    labels = {rule["name"]: local(rule["label"]) for rule in rules}
    return render_template(
        "catalogue/offer.html", slug=slug, offer=chosen, rules=rules, labels=labels, form=form, members=members, **shown
    )


def _rough(session: Session, slug: str, typed: MultiDict[str, str]) -> dict[str, Any]:
    """The estimate of what is typed so far; without a member (the DSI has not chosen one) there is none yet."""
    given = read(catalogue.find(session, slug).parameters["rules"], typed)
    try:
        member_id = _member(session, typed)
        return {"estimated": estimates.rough(session, member_id, slug, given, auth.now()), "unpriced": None}
    except (InvalidInput, Conflict) as error:
        return {"estimated": None, "unpriced": None if error.code == "member_needed" else error}


def _member(session: Session, typed: MultiDict[str, str]) -> int:
    slug = typed.get("member") if g.caller.member_id is None else None
    return auth.member_id(session, slug or None)


def _members(session: Session) -> list[tuple[str, str]]:
    """Whom the territory may order for: (slug, name); a member orders for itself."""
    return reading_orders.active_members(session) if g.caller.member_id is None else []


def read(rules: list[dict[str, Any]], typed: MultiDict[str, str]) -> dict[str, Any]:
    """What was typed as the parameters' types; what can't be read is left as text, for the rules to refuse."""
    given: dict[str, Any] = {}
    for rule in rules:
        name, text = rule["name"], typed.get(rule["name"], "").strip()
        if rule["type"] == "boolean":
            # A browser leaves an unticked box out: of a form that was sent, that is a no.
            if typed:
                given[name] = bool(text)
        elif text or rule["type"] == "ssh_keys":
            given[name] = parameters.from_text(rule, text)
    return given


def _summary(slug: str) -> str:
    with auth.scope() as session:
        member_id = _member(session, request.form)
        given = read(catalogue.find(session, slug).parameters["rules"], request.form)
        estimated = estimates.preview(session, member_id, slug, given, auth.now())
        members = dict(_members(session))
    if estimated.refused:
        raise estimated.refused
    return _confirm(slug, estimated, members.get(request.form.get("member", "")))


def _confirm(slug: str, estimated: Estimated, member: str | None) -> str:
    """What will be ordered, and the key under which pressing twice orders once."""
    kept = {name: value for name, value in request.form.items() if name not in ("csrf", "step", "key", "monthly")}
    return render_template(
        "catalogue/summary.html", slug=slug, estimated=estimated, member=member, kept=kept,
        key=request.form.get("key") or secrets.token_urlsafe(18), form=Form(),
    )  # fmt: skip


def _order(slug: str) -> Response:
    with auth.scope() as session:
        member_id = _member(session, request.form)
        given = read(catalogue.find(session, slug).parameters["rules"], request.form)
        placed = orders.place(session, member_id, slug, given, request.form.get("key", ""), auth.now())
        if str(placed.monthly) != request.form.get("monthly"):
            raise Conflict(
                "price_changed",
                Text("Le prix vient de changer : {monthly} par mois.", monthly=placed.monthly),
                "Rien n’est commandé. Relisez le résumé avant de commander.",
            )
        order_id = placed.id
    return redirect(url_for("order_pages.one", order_id=order_id, placed=1))
