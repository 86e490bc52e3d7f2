"""Changes of members: planned by a worker, confirmed by a person, then done."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint

from api import auth
from api.v1 import frame
from api.v1.schemas import Cut, ListOf
from api.v1.schemas_admin import ChangeOut
from tenants import members_changes

blueprint = APIBlueprint("member_changes", __name__, url_prefix="/api/v1/member-changes", tag="Members")
ONE = "/<int:change_id>"


@blueprint.get("")
@blueprint.input(Cut, location="query")
@blueprint.output(ListOf[ChangeOut])
def list_changes(query_data: Cut) -> dict[str, Any]:
    """The latest changes of members, newest first."""
    with auth.scope() as session:
        return frame.cut(members_changes.listed(session, limit=1000), query_data, lambda change: change.id)


@blueprint.get(ONE)
@blueprint.output(ChangeOut)
def show_change(change_id: int) -> Any:
    """One change: its plan, how far it is, what went wrong."""
    with auth.scope() as session:
        return members_changes.find(session, change_id)


@blueprint.post(f"{ONE}/confirm")
@blueprint.output(ChangeOut)
def confirm(change_id: int) -> Any:
    """Let a worker do what was planned."""
    with auth.scope() as session:
        return members_changes.confirm(session, change_id, auth.now())


@blueprint.post(f"{ONE}/discard")
@blueprint.output(ChangeOut)
def discard(change_id: int) -> Any:
    """Give a plan up."""
    with auth.scope() as session:
        return members_changes.discard(session, change_id, auth.now())
