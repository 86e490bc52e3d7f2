"""The first page: what runs and what it costs, what is under way, what waits for whom, what changed."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import current_app, g, render_template, request
from sqlalchemy.orm import Session

from api import auth
from orchestrator.tables import FLOW_LIVE, Member
from tenants import approvals, overview, reading, upgrades_planned

blueprint = APIBlueprint("home_pages", __name__, enable_openapi=False)
WAITING = 10  # orders that wait for somebody else; the list of orders has the rest


@blueprint.get("/")
def show() -> str:
    """The page; `?part=live` answers with the part that is polled."""
    with auth.scope() as session:
        under_way = overview.under_way(session, auth.now())
        live = any(row["flow"].state in FLOW_LIVE for row in under_way)
        mine = approvals.mine(session, g.caller, auth.now()) if auth.may("order.decide") else []
        others = reading.waiting_orders(session, limit=len(mine) + WAITING + 1)
        moving = {"under_way": under_way, "waiting": others, "most": WAITING, "live": live, "mine": mine}
        if request.args.get("part") == "live":
            return render_template("home/live.html", **moving)
        return render_template("home/home.html", **moving, **_still(session))


def _still(session: Session) -> dict[str, Any]:
    """What does not move while one looks."""
    member_id, zone = g.caller.member_id, current_app.config["TIMEZONE"]
    member = session.get(Member, member_id) if member_id else None
    return {
        "member": member,
        "counts": overview.counts(session),
        "money": overview.money(session, auth.now(), zone),
        "budget": overview.budget(session, member_id, auth.now(), zone) if member else None,
        "changes": overview.changes(session),
        "upgrades": [row for row in upgrades_planned.listed(session, open_only=True) if row["told_at"]]
        if member
        else [],
    }
