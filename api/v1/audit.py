"""The audit trail: searched, proved; and for how long it is kept."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint

from api import auth
from api.v1 import frame
from api.v1.schemas import ListOf
from api.v1.schemas_trail import AuditQuery, EntryOut, RetentionIn, RetentionOut, VerifiedOut
from orchestrator import audit
from tenants import trail

blueprint = APIBlueprint("audit", __name__, url_prefix="/api/v1/audit", tag="Audit")


@blueprint.get("")
@blueprint.input(AuditQuery, location="query")
@blueprint.output(ListOf[EntryOut])
def list_entries(query_data: AuditQuery) -> dict[str, Any]:
    """The entries that are sought, newest first."""
    zone = auth.settings().timezone
    with auth.scope() as session:
        sought = query_data.search()
        return frame.page(*trail.page(session, sought, zone, after=query_data.after, limit=query_data.limit))


@blueprint.post("/verify")
@blueprint.output(VerifiedOut)
def verify() -> dict[str, Any]:
    """Recompute the chain of hashes."""
    frame.refuse_members()
    with auth.scope() as session:
        broken = audit.first_break(session)
    return {"whole": broken is None, "first_break": broken}


@blueprint.get("/retention")
@blueprint.output(RetentionOut)
def show_retention() -> Any:
    """For how long the trail is kept."""
    with auth.scope() as session:
        return trail.retention(session)


@blueprint.put("/retention")
@blueprint.input(RetentionIn, location="json")
@blueprint.output(RetentionOut)
def set_retention(json_data: RetentionIn) -> Any:
    """Keep it longer or shorter."""
    with auth.scope() as session:
        return trail.set_retention(session, json_data.days, json_data.reason, auth.now())
