"""Snapshots of a service, by hand and on schedule."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from sqlalchemy.orm import Session

from api import auth
from api.v1 import frame
from api.v1.schemas import Cut, FlowOut, ListOf
from api.v1.schemas_services import (
    RestoreIn,
    ScheduleIn,
    ScheduleOut,
    ScheduleShown,
    SnapshotIn,
    SnapshotMade,
    SnapshotOut,
)
from orchestrator import snapshots
from orchestrator.tables import Flow, Service
from tenants import operations, reading, schedules
from tenants.tables_schedules import SnapshotSchedule

blueprint = APIBlueprint("snapshots", __name__, url_prefix="/api/v1/services/<int:service_id>", tag="Snapshots")
ONE = "/snapshots/<int:snapshot_id>"


@blueprint.get("/snapshots")
@blueprint.input(Cut, location="query")
@blueprint.output(ListOf[SnapshotOut])
def list_snapshots(service_id: int, query_data: Cut) -> dict[str, Any]:
    """The snapshots that exist or are being made, newest first."""
    with auth.scope() as session:
        reading.find(session, Service, service_id)
        return frame.cut(reading.snapshots(session, service_id), query_data, lambda row: row["id"])


@blueprint.post("/snapshots")
@blueprint.input(SnapshotIn, location="json")
@blueprint.output(SnapshotMade, status_code=202)
def make(service_id: int, json_data: SnapshotIn) -> dict[str, Any]:
    """Keep the service as it is now."""
    with auth.scope() as session:
        most = auth.settings().snapshots_per_service
        made, flow = operations.snapshot(session, service_id, json_data.name, most=most)
        return {"snapshot": made, "flow": reading.show(session, Flow, flow.id)}


@blueprint.get(ONE)
@blueprint.output(SnapshotOut)
def show(service_id: int, snapshot_id: int) -> Any:
    """One snapshot."""
    with auth.scope() as session:
        return _found(session, service_id, snapshot_id)


def _found(session: Session, service_id: int, snapshot_id: int) -> Any:
    reading.find(session, Service, service_id)
    return snapshots.find(session, min(snapshot_id, reading.BEYOND), service_id)


@blueprint.delete(ONE)
@blueprint.output(FlowOut, status_code=202)
def delete(service_id: int, snapshot_id: int) -> dict[str, Any]:
    """Delete a snapshot for good."""
    with auth.scope() as session:
        _found(session, service_id, snapshot_id)
        return reading.show(session, Flow, operations.delete_snapshot(session, service_id, snapshot_id).id)


@blueprint.post(f"{ONE}/restore")
@blueprint.input(RestoreIn, location="json")
@blueprint.output(FlowOut, status_code=202)
def restore(service_id: int, snapshot_id: int, json_data: RestoreIn) -> dict[str, Any]:
    """Bring the service back to a snapshot: what changed since is lost."""
    most = auth.settings().snapshots_per_service
    with auth.scope() as session:
        _found(session, service_id, snapshot_id)
        flow = operations.restore(session, service_id, snapshot_id, most=most, **json_data.model_dump())
        return reading.show(session, Flow, flow.id)


@blueprint.get("/snapshot-schedule")
@blueprint.output(ScheduleShown)
def show_schedule(service_id: int) -> dict[str, Any]:
    """When the service is snapshotted by itself; null: never."""
    with auth.scope() as session:
        reading.find(session, Service, service_id)
        schedule = session.get(SnapshotSchedule, service_id)
        return {"schedule": schedule and _shown(schedule)}


def _shown(schedule: SnapshotSchedule) -> dict[str, Any]:
    names = ScheduleOut.model_fields.keys() - {"next_due"}
    due = schedules.next_due(schedule.hour, schedule.weekdays, auth.now(), auth.settings().timezone)
    return {**{name: getattr(schedule, name) for name in names}, "next_due": due}


@blueprint.put("/snapshot-schedule")
@blueprint.input(ScheduleIn, location="json")
@blueprint.output(ScheduleShown)
def put_schedule(service_id: int, json_data: ScheduleIn) -> dict[str, Any]:
    """Snapshot the service by itself from now on, and keep so many."""
    with auth.scope() as session:
        most = auth.settings().snapshots_per_service
        made = schedules.put(session, service_id, auth.now(), most=most, **json_data.model_dump())
        session.refresh(made)
        return {"schedule": _shown(made)}


@blueprint.delete("/snapshot-schedule")
@blueprint.output({}, status_code=204)
def remove_schedule(service_id: int) -> str:
    """Make no more of them; those that exist are kept."""
    with auth.scope() as session:
        reading.find(session, Service, service_id)
        schedules.remove(session, service_id)
    return ""
