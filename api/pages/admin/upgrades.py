"""Upgrades of applications that are planned: what is older, when each is due, every member's window."""

from __future__ import annotations

from datetime import date
from typing import Any

from flask import flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as Answer

from api import auth
from api.forms import Form
from api.language import sentences as ngettext
from api.pages.admin.guard import territory
from orchestrator.errors import ClocherError, InvalidInput
from tenants import members_list, reading_service, upgrades_planned, windows
from tenants.members_list import Filters
from tenants.upgrades_planned import Rules

blueprint = territory("admin_upgrades", "/admin/upgrades")


@blueprint.get("")
def list_() -> str:
    """What could be planned, what is, how the last ones went, and when members let us."""
    rules = Rules.of(auth.settings())
    with auth.scope() as session:
        members = members_list.listed(session, Filters(state="active"))
        chosen = [(row, windows.of(session, row["id"], rules.territory)) for row in members]
        return render_template(
            "admin/upgrades/list.html", rows=upgrades_planned.listed(session), windows=chosen, notice=rules.notice.days,
            plannable=upgrades_planned.plannable(session, auth.now()), default=windows.default(rules.territory),
        )  # fmt: skip


@blueprint.get("/<slug>")
def ask(slug: str) -> str | tuple[str, int]:
    """What would be upgraded and when, from `?day=` on; nothing is written."""
    return _asked(slug, Form.asked())


def _asked(slug: str, form: Form, refused: ClocherError | None = None) -> str | tuple[str, int]:
    """refused: why it was not planned, which a look alone may not find."""
    rows: list[dict[str, Any]] = []
    try:
        rows = _plan(slug, str(form.values.get("day", "")), dry_run=True)
    except ClocherError as error:
        refused = error
    if refused:
        form = form.refused(refused, "day" if isinstance(refused, InvalidInput) else "")
    status = 409 if form.sentence else 200
    with auth.scope() as session:
        titles = reading_service.titles(session, [slug])
    return render_template("admin/upgrades/plan.html", slug=slug, titles=titles, rows=rows, form=form), status


def _plan(slug: str, day: str, *, dry_run: bool) -> list[dict[str, Any]]:
    with auth.scope() as session:
        chosen = {"day": _day(day), "dry_run": dry_run}
        return upgrades_planned.plan(session, slug, auth.now(), Rules.of(auth.settings()), **chosen)  # type: ignore[arg-type]


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise InvalidInput("invalid_day", "Une date est attendue.", "Corrigez-la.") from None


@blueprint.post("/<slug>")
def plan(slug: str) -> Answer | str | tuple[str, int]:
    """Plan them; members are told when it is time."""
    try:
        made = len(_plan(slug, request.form.get("day", ""), dry_run=False))
    except ClocherError as error:
        return _asked(slug, Form.sent(), error)
    flash(ngettext("%(num)d mise à jour est prévue.", "%(num)d mises à jour sont prévues.", made), "success")
    return redirect(url_for("admin_upgrades.list_"))


@blueprint.post("/<int:upgrade_id>/cancel")
def cancel(upgrade_id: int) -> Answer:
    """Give one up; its member is told, if it knew."""
    with auth.scope() as session:
        upgrades_planned.cancel(session, upgrade_id, auth.now())
    flash(ngettext("%(num)d mise à jour est annulée.", "%(num)d mises à jour sont annulées.", 1), "success")
    return redirect(url_for("admin_upgrades.list_"))
