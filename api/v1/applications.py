"""What a service runs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from apiflask import APIBlueprint
from flask import current_app

from api import auth
from api.v1.schemas_services import ApplicationShown
from orchestrator.tables import Service
from tenants import applications, reading

blueprint = APIBlueprint(
    "applications", __name__, url_prefix="/api/v1/services/<int:service_id>/application", tag="Services"
)


@blueprint.get("")
@blueprint.output(ApplicationShown)
def show(service_id: int) -> dict[str, Any]:
    """The application of a service: its version, whether it is still offered, its last days."""
    with auth.scope() as session:
        service = reading.find(session, Service, service_id)
        found = applications.of(session, service, auth.now(), current_app.config["TIMEZONE"])
        return {"application": asdict(found) if found else None}
