"""A member's window of maintenance: when its applications are upgraded."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import flash, g, redirect, render_template, request, url_for
from flask_babel import gettext
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from api import auth
from api.forms import Form
from orchestrator.errors import InvalidInput
from orchestrator.tables import Member
from tenants import reading, schedules, upgrades_planned, windows
from tenants.upgrades_planned import Rules
from tenants.windows import Window

blueprint = APIBlueprint("maintenance_pages", __name__, enable_openapi=False, url_prefix="/maintenance")


@blueprint.get("")
def show() -> str | Response:
    """The window of one's house; `?member=`: of another, for the territory, which else sees all of them."""
    return _form() if _whose() else _elsewhere()


def _whose() -> bool:
    """Whether it is said of which member."""
    return g.caller.member_id is not None or bool(request.args.get("member"))


def _elsewhere() -> Response:
    return redirect(url_for("admin_upgrades.list_") + "#windows")


def _member(session: Session) -> Member:
    own = g.caller.member_id
    return session.get_one(Member, own) if own else reading.member(session, request.args.get("member", ""))


def _form(form: Form | None = None) -> str:
    with auth.scope() as session:
        member, rules = _member(session), Rules.of(auth.settings())
        chosen = windows.of(session, member.id, rules.territory)
        following = windows.opening(chosen.window, auth.now(), rules.timezone)
        days = [str(day) for day in schedules.EVERY_DAY]
        return render_template(
            "services/maintenance.html", member=member, chosen=chosen, following=following, days=days,
            default=windows.default(rules.territory), form=form or Form(_typed(chosen.window)), most=windows.LONGEST,
        )  # fmt: skip


def _typed(window: Window) -> dict[str, Any]:
    days = {f"day-{day}": "1" for day in window.weekdays}
    return {"hour": str(window.hour), "hours": str(window.hours), **days}


@blueprint.post("")
def put() -> Response | tuple[str, int]:
    """Choose it, or with `default` have the territory's again."""
    if not _whose():
        return _elsewhere()
    try:
        with auth.scope() as session:
            slug, rules = _member(session).slug, Rules.of(auth.settings())
            if request.form.get("default"):
                upgrades_planned.remove_window(session, slug, auth.now(), rules)
            else:
                upgrades_planned.put_window(session, slug, auth.now(), rules, **_sent())
    except InvalidInput as error:
        return _form(Form.sent().refused(error)), error.status
    flash(gettext("La plage de maintenance est enregistrée ; les mises à jour prévues la suivent."), "success")
    return redirect(url_for("maintenance_pages.show", member=request.args.get("member")))


def _sent() -> dict[str, Any]:
    typed = {name: request.form.get(name, "").strip() for name in ("hour", "hours")}
    # What is no number is refused as one that is too big.
    read = {name: int(text) if text.isdecimal() and len(text) < 3 else 99 for name, text in typed.items()}
    return {"weekdays": [day for day in schedules.EVERY_DAY if request.form.get(f"day-{day}")], **read}
