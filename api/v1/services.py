"""What members own, and what may be done with it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from apiflask import APIBlueprint

from api import auth
from api.v1 import frame
from api.v1.schemas import EventOut, FlowOut, ListOf, ServiceOut
from api.v1.schemas_services import ActOut, DeletedOut, DeleteIn, KeysIn, RebootIn, RenameIn, ServiceQuery
from orchestrator.tables import Flow, Service
from tenants import acts, deletions, operations, prices, reading

blueprint = APIBlueprint("services", __name__, url_prefix="/api/v1/services", tag="Services")
ONE = "/<int:service_id>"


@blueprint.get("")
@blueprint.input(ServiceQuery, location="query")
@blueprint.output(ListOf[ServiceOut])
def list_services(query_data: ServiceQuery) -> dict[str, Any]:
    """The services, newest first, deleted ones included."""
    states = [query_data.state] if query_data.state else []
    given = query_data.model_dump(include={"after", "limit", "member", "living"})
    with auth.scope() as session:
        return frame.page(*reading.page(session, Service, **given, states=states, text=query_data.q))


@blueprint.get(ONE)
@blueprint.output(ServiceOut)
def show(service_id: int) -> dict[str, Any]:
    """One service."""
    with auth.scope() as session:
        return reading.show(session, Service, service_id)


@blueprint.get(f"{ONE}/events")
@blueprint.output(ListOf[EventOut])
def list_events(service_id: int) -> dict[str, Any]:
    """What happened to the service's resources, oldest first: what metering reads. Always whole."""
    with auth.scope() as session:
        reading.find(session, Service, service_id)
        return {"items": reading.events(session, service_id)}


@blueprint.get(f"{ONE}/acts")
@blueprint.output(ListOf[ActOut])
def list_acts(service_id: int) -> dict[str, Any]:
    """What may be done with the service now, or why not; what it costs and what is lost. Always whole."""
    settings = auth.settings()
    grace = timedelta(hours=settings.delete_grace_hours)
    with auth.scope() as session:
        service = reading.find(session, Service, service_id)
        book = prices.in_force(session, auth.now())
        found = acts.possible(session, service, book, grace=grace, most=settings.snapshots_per_service)
        return {"items": [frame.told(act) for act in found]}


@blueprint.delete(ONE)
@blueprint.output(DeletedOut, status_code=202)
def delete(service_id: int) -> dict[str, Any]:
    """Ask for the service and its data to be deleted: stopped at once, gone after a time of grace."""
    return _delete(service_id, now=False)


@blueprint.post(f"{ONE}/delete")
@blueprint.input(DeleteIn, location="json")
@blueprint.output(DeletedOut, status_code=202)
def delete_with(service_id: int, json_data: DeleteIn) -> dict[str, Any]:
    """As DELETE, with a key; or at once and for good."""
    return _delete(service_id, now=json_data.now)


def _delete(service_id: int, *, now: bool) -> dict[str, Any]:
    grace = timedelta(hours=0 if now else auth.settings().delete_grace_hours)
    with auth.scope() as session:
        flow = deletions.delete(session, service_id, auth.now(), grace)
        return _gone(session, service_id, flow)


def _gone(session: Any, service_id: int, flow: Flow | None) -> dict[str, Any]:
    shown = reading.show(session, Flow, flow.id) if flow else None
    return {**reading.show(session, Service, service_id), "flow": shown}


@blueprint.post(f"{ONE}/undelete")
@blueprint.output(DeletedOut, status_code=202)
def undelete(service_id: int) -> dict[str, Any]:
    """Take a deletion back during its time of grace; the server starts again if the deletion had stopped it."""
    with auth.scope() as session:
        flow = deletions.restore_deleted(session, service_id)
        return _gone(session, service_id, flow)


@blueprint.post(f"{ONE}/stop")
@blueprint.output(FlowOut, status_code=202)
def stop(service_id: int) -> dict[str, Any]:
    """Ask for the server to be stopped."""
    with auth.scope() as session:
        return _queued(session, operations.ask(session, service_id, "stop"))


@blueprint.post(f"{ONE}/start")
@blueprint.output(FlowOut, status_code=202)
def start(service_id: int) -> dict[str, Any]:
    """Ask for the server to be started."""
    with auth.scope() as session:
        return _queued(session, operations.ask(session, service_id, "start"))


@blueprint.post(f"{ONE}/reboot")
@blueprint.input(RebootIn, location="json")
@blueprint.output(FlowOut, status_code=202)
def reboot(service_id: int, json_data: RebootIn) -> dict[str, Any]:
    """Ask for the server to be restarted."""
    with auth.scope() as session:
        return _queued(session, operations.reboot(session, service_id, hard=json_data.hard))


@blueprint.put(f"{ONE}/keys")
@blueprint.input(KeysIn, location="json")
@blueprint.output(FlowOut, status_code=202)
def replace_keys(service_id: int, json_data: KeysIn) -> dict[str, Any]:
    """Let these public keys in, and no others."""
    with auth.scope() as session:
        reading.find(session, Service, service_id)
        return _queued(session, operations.replace_keys(session, service_id, json_data.keys))


@blueprint.post(f"{ONE}/rename")
@blueprint.input(RenameIn, location="json")
@blueprint.output(FlowOut, status_code=202)
def rename(service_id: int, json_data: RenameIn) -> dict[str, Any]:
    """Give the service another name, in its system too."""
    with auth.scope() as session:
        return _queued(session, operations.rename(session, service_id, json_data.name))


@blueprint.post(f"{ONE}/protect")
@blueprint.output(ServiceOut)
def protect(service_id: int) -> dict[str, Any]:
    """Protect the service from what would take something away."""
    return _protect(service_id, True)


@blueprint.post(f"{ONE}/unprotect")
@blueprint.output(ServiceOut)
def unprotect(service_id: int) -> dict[str, Any]:
    """Lift the protection."""
    return _protect(service_id, False)


def _protect(service_id: int, on: bool) -> dict[str, Any]:
    with auth.scope() as session:
        operations.protect(session, service_id, on)
        return reading.show(session, Service, service_id)


def _queued(session: Any, flow: Flow) -> dict[str, Any]:
    return reading.show(session, Flow, flow.id)
