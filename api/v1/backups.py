"""Backups of a service: what the vault keeps, made now, brought back; a machine's nights begun and ended."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint

from api import auth
from api.v1.schemas import FlowOut, ListOf, ServiceOut
from api.v1.schemas_services import BackupMade, BackupOut
from orchestrator.tables import Flow, Service
from tenants import backups, reading

blueprint = APIBlueprint("backups", __name__, url_prefix="/api/v1/services/<int:service_id>/backups", tag="Backups")


@blueprint.get("")
@blueprint.output(ListOf[BackupOut])
def list_backups(service_id: int) -> dict[str, Any]:
    """The newest backups that exist, are being made or failed. Always whole: no more than fifty."""
    with auth.scope() as session:
        return {"items": backups.listed(session, reading.find(session, Service, service_id).id)}


@blueprint.post("")
@blueprint.output(BackupMade, status_code=202)
def make(service_id: int) -> dict[str, Any]:
    """Put a copy of the application's data, or of the machine's files, into the vault now."""
    with auth.scope() as session:
        made, flow = backups.back_up(session, service_id, auth.now())
        return {"backup": made, "flow": reading.show(session, Flow, flow.id)}


@blueprint.post("/<int:backup_id>/prove")
@blueprint.output(FlowOut, status_code=202)
def prove(service_id: int, backup_id: int) -> dict[str, Any]:
    """Restore the backup in a place of its own, to see that it is whole; the service is not touched.

    Once the flow is done, the backup's `proved_at` tells when, `proof_seconds` how long it took, `meters` what was
    counted. When it fails, `unproved_at` tells.
    """
    with auth.scope() as session:
        return reading.show(session, Flow, backups.prove(session, service_id, backup_id).id)


@blueprint.post("/<int:backup_id>/restore")
@blueprint.output(FlowOut, status_code=202)
def restore(service_id: int, backup_id: int) -> dict[str, Any]:
    """Make the application's data what it was when it was backed up: what was written since is lost.

    A machine's files come back beside those that are there, in a folder `clocher-restauration`, and replace nothing.
    """
    with auth.scope() as session:
        return reading.show(session, Flow, backups.restore(session, service_id, backup_id).id)


@blueprint.post("/start")
@blueprint.output(ServiceOut)
def start(service_id: int) -> dict[str, Any]:
    """Back the machine up every night from now on."""
    return _switch(service_id, True)


@blueprint.post("/stop")
@blueprint.output(ServiceOut)
def stop(service_id: int) -> dict[str, Any]:
    """Back the machine up only when people ask for it; what is in the vault stays there."""
    return _switch(service_id, False)


def _switch(service_id: int, on: bool) -> dict[str, Any]:
    with auth.scope() as session:
        backups.switch(session, service_id, on)
        return reading.show(session, Service, service_id)
