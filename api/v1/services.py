"""What members own, and what may be done with it."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint

from api import auth
from api.v1.schemas import EventOut, FlowOut, ListOf, PageQuery, ServiceOut
from orchestrator.tables import Flow, Service
from tenants import operations, reading

blueprint = APIBlueprint("services", __name__, url_prefix="/api/v1/services", tag="Services")
ONE = "/<int:service_id>"


@blueprint.get("")
@blueprint.input(PageQuery, location="query")
@blueprint.output(ListOf[ServiceOut])
@blueprint.doc(security="token")
def list_services(query_data: PageQuery) -> dict[str, Any]:
    """The services, newest first, deleted ones included."""
    with auth.scope() as session:
        items, after = reading.page(session, Service, **query_data.model_dump())
    return {"items": items, "next": after}


@blueprint.get(ONE)
@blueprint.output(ServiceOut)
@blueprint.doc(security="token")
def show(service_id: int) -> dict[str, Any]:
    """One service."""
    with auth.scope() as session:
        return reading.show(session, Service, service_id)


@blueprint.get(f"{ONE}/events")
@blueprint.output(ListOf[EventOut])
@blueprint.doc(security="token")
def list_events(service_id: int) -> dict[str, Any]:
    """What happened to the service's resources, oldest first: what metering reads."""
    with auth.scope() as session:
        reading.find(session, Service, service_id)
        return {"items": reading.events(session, service_id)}


@blueprint.delete(ONE)
@blueprint.output(FlowOut, status_code=202)
@blueprint.doc(security="token")
def delete(service_id: int) -> dict[str, Any]:
    """Ask for the service and its data to be deleted; the flow that does it is the answer."""
    return _ask(service_id, "delete")


@blueprint.post(f"{ONE}/stop")
@blueprint.output(FlowOut, status_code=202)
@blueprint.doc(security="token")
def stop(service_id: int) -> dict[str, Any]:
    """Ask for the server to be stopped."""
    return _ask(service_id, "stop")


@blueprint.post(f"{ONE}/start")
@blueprint.output(FlowOut, status_code=202)
@blueprint.doc(security="token")
def start(service_id: int) -> dict[str, Any]:
    """Ask for the server to be started."""
    return _ask(service_id, "start")


def _ask(service_id: int, verb: str) -> dict[str, Any]:
    with auth.scope() as session:
        flow = operations.ask(session, service_id, verb)
        return reading.show(session, Flow, flow.id)
