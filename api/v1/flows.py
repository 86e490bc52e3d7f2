"""The runs of operations, step by step."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint

from api import auth
from api.v1 import frame
from api.v1.schemas import FlowDetail, FlowOut, ListOf
from api.v1.schemas_services import FlowQuery, HandOverIn
from orchestrator import repair
from orchestrator.tables import Flow
from tenants import desk, operations, reading

blueprint = APIBlueprint("flows", __name__, url_prefix="/api/v1/flows", tag="Flows")
ONE = "/<int:flow_id>"


@blueprint.get("")
@blueprint.input(FlowQuery, location="query")
@blueprint.output(ListOf[FlowOut])
def list_flows(query_data: FlowQuery) -> dict[str, Any]:
    """The flows, newest first."""
    given = query_data.model_dump(include={"after", "limit", "member"})
    given |= {"states": [query_data.state] if query_data.state else [], "service_id": query_data.service}
    given |= {"flow_kind": query_data.kind}
    with auth.scope() as session:
        return frame.page(*reading.page(session, Flow, **given))


@blueprint.get(ONE)
@blueprint.output(FlowDetail)
def show(flow_id: int) -> dict[str, Any]:
    """One flow with its steps and what Ansible did in the guest."""
    with auth.scope() as session:
        flow = reading.show(session, Flow, flow_id)
        steps, tasks = reading.steps(session, [flow_id]), reading.tasks(session, flow_id)
        why = None
        if frame.caller().member_id is None:
            why = desk.why(session, reading.find(session, Flow, flow_id), auth.settings(), auth.now())
        return {**flow, "steps": steps, "tasks": tasks, "why": frame.tell(why)}


@blueprint.post(f"{ONE}/cancel")
@blueprint.output(FlowOut, status_code=202)
def cancel(flow_id: int) -> dict[str, Any]:
    """Ask a live flow to stop and undo what it made."""
    with auth.scope() as session:
        operations.cancel(session, flow_id)
        return reading.show(session, Flow, flow_id)


@blueprint.post(f"{ONE}/retry")
@blueprint.output(FlowOut, status_code=202)
def retry(flow_id: int) -> dict[str, Any]:
    """Run a held flow again, from the step that failed."""
    with auth.scope() as session:
        reading.find(session, Flow, flow_id)
        repair.retry(session, flow_id)
        return reading.show(session, Flow, flow_id)


@blueprint.post(f"{ONE}/undo")
@blueprint.output(FlowOut, status_code=202)
def undo(flow_id: int) -> dict[str, Any]:
    """Undo what a held flow has made; it then has failed."""
    with auth.scope() as session:
        reading.find(session, Flow, flow_id)
        repair.undo(session, flow_id)
        return reading.show(session, Flow, flow_id)


@blueprint.post(f"{ONE}/hand-over")
@blueprint.input(HandOverIn, location="json")
@blueprint.output(FlowOut)
def hand_over(flow_id: int, json_data: HandOverIn) -> dict[str, Any]:
    """Say who is on a flow."""
    with auth.scope() as session:
        reading.find(session, Flow, flow_id)
        repair.hand_over(session, flow_id, json_data.to or frame.caller().name, json_data.note)
        return reading.show(session, Flow, flow_id)
