"""The runs of operations, step by step."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint

from api import auth
from api.v1.schemas import FlowDetail, FlowOut, ListOf, PageQuery
from orchestrator.tables import Flow
from tenants import operations, reading

blueprint = APIBlueprint("flows", __name__, url_prefix="/api/v1/flows", tag="Flows")
ONE = "/<int:flow_id>"


@blueprint.get("")
@blueprint.input(PageQuery, location="query")
@blueprint.output(ListOf[FlowOut])
@blueprint.doc(security="token")
def list_flows(query_data: PageQuery) -> dict[str, Any]:
    """The flows, newest first."""
    with auth.scope() as session:
        items, after = reading.page(session, Flow, **query_data.model_dump())
    return {"items": items, "next": after}


@blueprint.get(ONE)
@blueprint.output(FlowDetail)
@blueprint.doc(security="token")
def show(flow_id: int) -> dict[str, Any]:
    """One flow with its steps and what Ansible did in the guest."""
    with auth.scope() as session:
        flow = reading.show(session, Flow, flow_id)
        return {**flow, "steps": reading.steps(session, [flow_id]), "tasks": reading.tasks(session, flow_id)}


@blueprint.post(f"{ONE}/cancel")
@blueprint.output(FlowOut, status_code=202)
@blueprint.doc(security="token")
def cancel(flow_id: int) -> dict[str, Any]:
    """Ask a live flow to stop and undo what it made."""
    with auth.scope() as session:
        operations.cancel(session, flow_id)
        return reading.show(session, Flow, flow_id)
