"""Who decides orders while somebody is away."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint

from api import auth
from api.v1 import frame
from api.v1.schemas import Cut, ListOf
from api.v1.schemas_people import DeputyIn, DeputyOut
from tenants import deputies

blueprint = APIBlueprint("deputies", __name__, url_prefix="/api/v1/deputies", tag="People")


@blueprint.get("")
@blueprint.input(Cut, location="query")
@blueprint.output(ListOf[DeputyOut])
def list_deputies(query_data: Cut) -> dict[str, Any]:
    """The replacements of the house that last or are to come, newest first."""
    with auth.scope() as session:
        rows = deputies.listed(session, frame.caller().member_id, auth.now())
    return frame.cut(rows, query_data, lambda row: row["id"])


@blueprint.post("")
@blueprint.input(DeputyIn, location="json")
@blueprint.output(DeputyOut, status_code=201)
def appoint(json_data: DeputyIn) -> dict[str, Any]:
    """Let somebody decide in place of somebody else in a role."""
    with auth.scope() as session:
        made = deputies.appoint(session, frame.caller(), **json_data.model_dump())
        found = deputies.listed(session, frame.caller().member_id, json_data.begins)
        return next(row for row in found if row["id"] == made.id)


@blueprint.delete("/<int:deputy_row_id>")
@blueprint.output({}, status_code=204)
def end(deputy_row_id: int) -> str:
    """End a replacement now."""
    with auth.scope() as session:
        deputies.end(session, frame.caller(), deputy_row_id, auth.now())
    return ""
