"""Upgrades that the DSI plans, and the windows of maintenance that members choose."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from sqlalchemy.orm import Session

from api import auth
from api.v1 import frame
from api.v1.schemas import ListOf
from api.v1.schemas_upgrades import PlanIn, PlannedOut, PlansQuery, WindowIn, WindowOut
from tenants import reading, upgrades_planned, windows
from tenants.upgrades_planned import Rules

blueprint = APIBlueprint("planned_upgrades", __name__, url_prefix="/api/v1/upgrades", tag="Upgrades")
window = APIBlueprint("windows", __name__, url_prefix="/api/v1/windows/<member_slug>", tag="Upgrades")


@blueprint.get("")
@blueprint.input(PlansQuery, location="query")
@blueprint.output(ListOf[PlannedOut])
def list_upgrades(query_data: PlansQuery) -> dict[str, Any]:
    """What is planned, the first to come first, and then what ended, the newest first."""
    with auth.scope() as session:
        rows = upgrades_planned.listed(session, open_only=query_data.open)
        return frame.follow(rows, query_data, lambda row: row["id"])


@blueprint.post("")
@blueprint.doc(responses={409: "No service of the offer has an older version that is not planned yet"})
@blueprint.input(PlanIn, location="json")
@blueprint.output(ListOf[PlannedOut], status_code=201)
def plan(json_data: PlanIn) -> dict[str, Any]:
    """Plan the upgrade of each service of an offer that has an older version, in its member's window. Always whole."""
    rules, given = Rules.of(auth.settings()), json_data
    with auth.scope() as session:
        rows = upgrades_planned.plan(session, given.offer, auth.now(), rules, day=given.day, dry_run=given.dry_run)
        return {"items": rows}


@blueprint.post("/<int:upgrade_id>/cancel")
@blueprint.output(PlannedOut)
def cancel(upgrade_id: int) -> dict[str, Any]:
    """Give a planned upgrade up; its member is told, if it knew."""
    with auth.scope() as session:
        row = upgrades_planned.cancel(session, upgrade_id, auth.now())
        return upgrades_planned.show(session, row)


@window.get("")
@window.output(WindowOut)
def show(member_slug: str) -> dict[str, Any]:
    """When a member lets its applications be upgraded."""
    with auth.scope() as session:
        return _window(session, member_slug)


def _window(session: Session, slug: str) -> dict[str, Any]:
    rules = Rules.of(auth.settings())
    chosen = windows.of(session, reading.member(session, slug).id, rules.territory)
    begins, ends = windows.opening(chosen.window, auth.now(), rules.timezone)
    return chosen.window.model_dump() | {"own": chosen.own, "next_starts_at": begins, "next_ends_at": ends}


@window.put("")
@window.input(WindowIn, location="json")
@window.output(WindowOut)
def put(member_slug: str, json_data: WindowIn) -> dict[str, Any]:
    """Choose it; what is planned moves along, never before its member was told."""
    with auth.scope() as session:
        rules = Rules.of(auth.settings())
        upgrades_planned.put_window(session, member_slug, auth.now(), rules, **json_data.model_dump())
        return _window(session, member_slug)


@window.delete("")
@window.output({}, status_code=204)
def remove(member_slug: str) -> str:
    """Have the territory's window again."""
    with auth.scope() as session:
        upgrades_planned.remove_window(session, member_slug, auth.now(), Rules.of(auth.settings()))
    return ""
