"""Who must approve an order: the rules in force, and their versions."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from sqlalchemy.orm import Session

from api import auth
from api.v1 import frame
from api.v1.schemas import Cut, ListOf
from api.v1.schemas_admin import PolicyDetail, PolicyIn, PolicyOut, PolicyVersionOut
from orchestrator.errors import NotFound
from tenants import policy, policy_simulation
from tenants.tables_approvals import PolicyVersion

blueprint = APIBlueprint("policy", __name__, url_prefix="/api/v1/policy", tag="Policy")
ONE = "/versions/<int:version>"


@blueprint.get("")
@blueprint.output(PolicyOut)
def show() -> dict[str, Any]:
    """The rules in force."""
    with auth.scope() as session:
        current = policy.current(session)
    return {"version": current.version, "policy": current.policy.model_dump(mode="json", exclude_none=True)}


@blueprint.get("/versions")
@blueprint.input(Cut, location="query")
@blueprint.output(ListOf[PolicyVersionOut])
def list_versions(query_data: Cut) -> dict[str, Any]:
    """Every version, newest first; none as long as the file is in force."""
    with auth.scope() as session:
        return frame.cut(policy.listed(session), query_data, lambda row: row.version)


@blueprint.get(ONE)
@blueprint.output(PolicyDetail)
def show_version(version: int) -> dict[str, Any]:
    """One version, and what it would have asked of the latest orders."""
    with auth.scope() as session:
        found = next((row for row in policy.listed(session) if row.version == version), None)
        if found is None:
            raise NotFound("not_found", "Cette version n’existe pas.", "Revenez à la liste.")
        wanted = policy.Policy.model_validate(found.document)
        return {**_fields(found), "simulated": _simulated(session, wanted)}


def _simulated(session: Session, wanted: policy.Policy) -> list[dict[str, Any]]:
    rows = policy_simulation.simulate(session, wanted)
    return [frame.plain({**row, "order": row["order"].id}) for row in rows]


def _fields(row: PolicyVersion) -> dict[str, Any]:
    return {name: getattr(row, name) for name in PolicyVersionOut.model_fields}


@blueprint.post("/versions")
@blueprint.input(PolicyIn, location="json")
@blueprint.output(PolicyVersionOut, status_code=201)
def draft(json_data: PolicyIn) -> Any:
    """Keep a new version that is not yet in force."""
    with auth.scope() as session:
        return policy.draft(session, json_data.model_dump(), auth.now())


@blueprint.post(f"{ONE}/adopt")
@blueprint.output(PolicyVersionOut)
def adopt(version: int) -> Any:
    """Put a draft in force; orders that wait keep the steps they have."""
    with auth.scope() as session:
        return policy.adopt(session, version, auth.now())


@blueprint.post(f"{ONE}/discard")
@blueprint.output(PolicyVersionOut)
def discard(version: int) -> Any:
    """Give a draft up."""
    with auth.scope() as session:
        return policy.discard(session, version, auth.now())
