"""Backups of an application: what the vault keeps, made now, brought back."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint

from api import auth
from api.v1.schemas import FlowOut, ListOf
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
    """Put a copy of the application's data into the vault now."""
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
    """Make the application's data what it was when it was backed up: what was written since is lost."""
    with auth.scope() as session:
        return reading.show(session, Flow, backups.restore(session, service_id, backup_id).id)
