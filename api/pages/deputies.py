"""Deputies: who decides orders while somebody is away, from one day to another."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from apiflask import APIBlueprint
from flask import flash, g, redirect, render_template, request, url_for
from flask_babel import gettext
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from api import auth
from api.forms import Form
from orchestrator.errors import ClocherError, InvalidInput
from tenants import accounts, deputies, roles

blueprint = APIBlueprint("deputy_pages", __name__, enable_openapi=False, url_prefix="/people/deputies")
FIELDS = {"invalid_deputy": "deputy", "invalid_period": "ends", "invalid_day": "begins"}
EVERYBODY = {"approver", "dsi_admin"}  # whose roles let one appoint for others, as tenants/deputies.py wants it


@blueprint.get("")
def listed() -> str:
    """Who replaces whom, and the form that appoints."""
    return _page(Form({"begins": f"{_today():%Y-%m-%d}"}))


def _page(form: Form) -> str:
    with auth.scope() as session:
        rows = deputies.listed(session, g.caller.member_id, auth.now())
        people = [one for one in accounts.listed(session, g.caller.member_id) if one["state"] == "active"]
    held = [(one, role["role"]) for one in people for role in one["roles"] if role["role"] in deputies.ROLES]
    shown: dict[str, Any] = {
        "rows": [{**row, "last": _last(row["ends"]), "mine": _may_end(row)} for row in rows],
        "replaced": [(f"{one['id']} {role}", one["name"], role) for one, role in held if _may_replace(one["id"])],
        "people": [(one["id"], one["name"]) for one in people],
    }
    return render_template("deputies/list.html", form=form, titles=roles.titles(), now=auth.now(), **shown)


def _may_replace(account_id: int) -> bool:
    return bool(account_id == g.caller.account_id or g.caller.roles & EVERYBODY)


def _may_end(row: dict[str, Any]) -> bool:
    return _may_replace(row["account_id"]) or row["deputy_id"] == g.caller.account_id


def _last(ends: datetime | None) -> datetime | None:
    """The last day of a replacement, which ends where the next day begins."""
    return ends - timedelta(seconds=1) if ends else None


@blueprint.post("")
def appoint() -> Response | tuple[str, int]:
    """Appoint one."""
    try:
        with auth.scope() as session:
            _appoint(session)
    except ClocherError as error:
        return _page(Form.sent().refused(error, FIELDS.get(error.code, ""))), error.status
    flash(gettext("La suppléance est enregistrée."), "success")
    return redirect(url_for(".listed"))


def _appoint(session: Session) -> None:
    account, _, role = request.form.get("of", "").partition(" ")
    begins, ends = _midnight("begins"), _midnight("ends")
    if begins is None:
        raise InvalidInput("invalid_day", "Il faut un jour de début.", "Donnez-le.")
    # From today means from now on: nothing can have been decided in somebody's place before.
    begins = max(begins, auth.now()) if begins.date() == _today().date() else begins
    until = ends + timedelta(days=1) if ends else None
    deputies.appoint(session, g.caller, _number(account), _number(request.form.get("deputy", "")), role, begins, until)


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0


def _today() -> datetime:
    return auth.now().astimezone(ZoneInfo(auth.settings().timezone))


def _midnight(name: str) -> datetime | None:
    """When a day of the form begins where we are; None: no day."""
    text = request.form.get(name, "").strip()
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=ZoneInfo(auth.settings().timezone)) if text else None
    except ValueError as error:
        raise InvalidInput(
            "invalid_day", "Ce jour n’existe pas.", "Corrigez-le.",
            facts={"errors": [{"parameter": name, "sentence": "Ce jour n’existe pas."}]},
        ) from error  # fmt: skip


@blueprint.post("/<int:deputy_row_id>/end")
def end(deputy_row_id: int) -> Response:
    """End one now."""
    with auth.scope() as session:
        deputies.end(session, g.caller, deputy_row_id, auth.now())
    flash(gettext("La suppléance a pris fin."), "success")
    return redirect(url_for(".listed"))
