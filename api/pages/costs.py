"""What a month costs, by service and by day, with the forecast and the year's budget."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import g, render_template, request
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from api import auth, paging
from api.exporting import download
from orchestrator.errors import InvalidInput
from orchestrator.tables import Member
from tenants import costs, costs_days, costs_export, costs_year, periods, reading_orders
from tenants.costs import Costs

blueprint = APIBlueprint("cost_pages", __name__, enable_openapi=False, url_prefix="/costs")
ROWS = 100  # services, or members, on a page


@blueprint.get("")
def show() -> str:
    """A month (the present one unless `?month=` names another) of a member, or of all of them for the territory."""
    with auth.scope() as session:
        label, present = _label(), _present()
        member_id = _member_id(session)
        found = _costs(session, member_id, label)
        rows = found.members or found.services
        part = paging.part(len(rows), ROWS)
        shown: dict[str, Any] = {"costs": found, "label": label, "months": periods.labels_until(present, 13)}
        shown |= {"rows": part.of(rows), "part": part, "most": max((row.amount for row in rows), default=None)}
        shown["budget"] = _budget(session, member_id, found) if member_id and label == present else None
        shown["member"] = session.get(Member, member_id) if member_id else None
        shown["members"] = reading_orders.active_members(session) if g.caller.member_id is None else []
    return render_template("costs/show.html", **shown, present=present)


@blueprint.get("/export.csv")
def export() -> Response:
    """The same as a file: a row for each service (or member), then one for each day."""
    with auth.scope() as session:
        label = _label()
        found = _costs(session, _member_id(session), label)
    return download(costs_export.as_csv(found), f"couts-{label}.csv", "text/csv")


def _label() -> str:
    return request.args.get("month", "").strip() or _present()


def _present() -> str:
    return periods.label_of(auth.now(), auth.settings().timezone)


def _member_id(session: Session) -> int | None:
    """Whose costs: one's own; for the territory the member that `?member=` names, else all."""
    slug = request.args.get("member", "").strip() if g.caller.member_id is None else ""
    if g.caller.member_id is None and not slug:
        return None
    return auth.member_id(session, slug or None)


def _costs(session: Session, member_id: int | None, label: str) -> Costs:
    zone = auth.settings().timezone
    if label > _present():
        raise InvalidInput(
            "invalid_period", "Ce mois n’a pas commencé.", "Choisissez un mois passé ou le mois présent."
        )
    if member_id is None:
        return costs_days.territory(session, label, auth.now(), zone)
    return costs.month(session, member_id, label, auth.now(), zone)


def _budget(session: Session, member_id: int, found: Costs) -> costs_year.BudgetUse:
    return costs_year.budget_use(session, member_id, auth.now(), auth.settings().timezone, found)
