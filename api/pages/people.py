"""People: of a member, by who manages its accounts; of everybody, by the DSI."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from apiflask import APIBlueprint
from flask import flash, g, redirect, render_template, request, url_for
from flask_babel import gettext
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from api import auth
from api.forms import Form
from orchestrator.errors import ClocherError, InvalidInput
from orchestrator.tables import Member
from tenants import accounts, invitations, reading, roles, second_factor, tokens
from tenants.tables_identity import MEMBER_ROLES, TERRITORY_ROLES

blueprint = APIBlueprint("people_pages", __name__, url_prefix="/people", enable_openapi=False)


@blueprint.get("")
def listed() -> str:
    """Who is here, who waits for a role, the house's tokens, and the form that invites."""
    return _list(Form({"language": "fr"}))


def _list(form: Form) -> str:
    member_id = g.caller.member_id
    with auth.scope() as opened:
        people = accounts.listed(opened, member_id, everybody=member_id is None)
        shown = {
            "people": [one for one in people if one["state"] not in ("pending", "closed")],
            "pending": accounts.pending(opened),
            "left": [one for one in people if one["state"] == "closed"],
            "keys": tokens.listed(opened),
            "houses": _houses(opened),
            "now": auth.now(),
        }
    return render_template("people/list.html", form=form, titles=roles.titles(), offered=_offered(), **shown)


@blueprint.post("")
def invite() -> Response | tuple[str, int]:
    """Invite a person, known or not, to the house."""
    form = Form.sent()
    try:
        with auth.scope() as opened:
            member_id = _house(opened)
            invitations.invite(
                opened, request.form.get("email", ""), request.form.get("name", ""), request.form.get("language", ""),
                member_id, _chosen(member_id), auth.now(),
            )  # fmt: skip
    except InvalidInput as error:
        return _list(form.refused(error, only="email" if "email" in error.code else "")), error.status
    flash(gettext("L’invitation part à %(email)s.", email=request.form["email"]), "success")
    return redirect(url_for("people_pages.listed"))


@blueprint.get("/<int:account_id>")
def show(account_id: int) -> str:
    """One person: roles here, and for the DSI in every house."""
    return _person(account_id, Form())


def _person(account_id: int, form: Form) -> str:
    with auth.scope() as opened:
        account = accounts.find(opened, account_id)
        houses = accounts.places(opened, account_id)
        shown: dict[str, Any] = {"person": account, "places": houses, "houses": _houses(opened)}
        if auth.may("account.manage"):
            shown["second_factor"] = second_factor.since(opened, account_id)
    held = next((place.roles for place in houses if place.member_id == g.caller.member_id), frozenset())
    return render_template(
        "people/person.html", form=form, titles=roles.titles(), offered=_offered(), held=held, **shown
    )


@blueprint.post("/<int:account_id>/roles")
def set_roles(account_id: int) -> Response | tuple[str, int]:
    """Give a person exactly the chosen roles in one house; none: it leaves the house at once."""
    try:
        with auth.scope() as opened:
            accounts.find(opened, account_id)
            member_id = _house(opened)
            accounts.set_roles(opened, account_id, member_id, _chosen(member_id))
    except ClocherError as error:
        if error.status == 404:
            raise
        return _person(account_id, Form.sent().refused(error)), error.status
    flash(gettext("Les rôles sont enregistrés."), "success")
    return redirect(url_for("people_pages.listed"))


@blueprint.post("/<int:account_id>/invite-again")
def invite_again(account_id: int) -> Response:
    """Mail a fresh link to who has not answered."""
    with auth.scope() as opened:
        invitations.invite_again(opened, account_id, g.caller.member_id, auth.now())
    flash(gettext("Une nouvelle invitation part."), "success")
    return redirect(url_for("people_pages.listed"))


@blueprint.post("/<int:account_id>/close")
def close(account_id: int) -> Response:
    """A person leaves for good: all roles, sessions and tokens end; what was ordered stays."""
    with auth.scope() as opened:
        accounts.close(opened, account_id, auth.now())
    flash(gettext("Le compte est fermé : plus aucun accès ne lui reste."), "success")
    return redirect(url_for("people_pages.listed"))


@blueprint.post("/<int:account_id>/second-factor/end")
def take_second_factor(account_id: int) -> Response:
    """Take the second factor off who lost the telephone and the recovery codes."""
    with auth.scope() as opened:
        accounts.find(opened, account_id)
        second_factor.take_off(opened, account_id)
    flash(gettext("La double authentification de ce compte est retirée."), "success")
    return redirect(url_for("people_pages.show", account_id=account_id))


@blueprint.post("/tokens/<int:token_id>/revoke")
def revoke_token(token_id: int) -> Response:
    """End a token of the house, a machine's or a person's."""
    with auth.scope() as opened:
        tokens.see(opened, token_id)
    with auth.door() as opened:
        tokens.revoke(opened, token_id, auth.now())
    flash(gettext("Le jeton est révoqué."), "success")
    return redirect(url_for("people_pages.listed"))


def _house(session: Session) -> int | None:
    """In which house: one's own, whatever the form says; only the territory may name another."""
    if g.caller.member_id is not None:
        return int(g.caller.member_id)
    slug = request.form.get("member", "")
    return reading.member(session, slug).id if slug else None


def _houses(session: Session) -> list[tuple[str, str]]:
    """What the territory may choose a house from: (slug, name)."""
    if g.caller.member_id is not None:
        return []
    rows = session.execute(sa.select(Member.slug, Member.name).where(Member.state == "active").order_by(Member.name))
    return [("", gettext("Toute l’agglomération")), *((row.slug, row.name) for row in rows)]


def _offered() -> dict[str, tuple[str, ...]]:
    """The roles that can be given, by kind of house."""
    if g.caller.member_id is not None:
        return {"member": MEMBER_ROLES}
    return {"member": MEMBER_ROLES, "territory": TERRITORY_ROLES}


def _chosen(member_id: int | None) -> set[str]:
    kind = MEMBER_ROLES if member_id else TERRITORY_ROLES
    return {role for role in kind if request.form.get(f"role-{role}")}
