"""A service's console: a worker reads it when somebody asks, and it is forgotten some minutes later."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint

from api import auth
from api.v1.schemas_services import ConsoleOut, ConsoleShown
from orchestrator.tables import Service
from tenants import consoles, reading
from tenants.tables_consoles import ConsoleReading

blueprint = APIBlueprint("consoles", __name__, url_prefix="/api/v1/services/<int:service_id>", tag="Services")


@blueprint.get("/console")
@blueprint.output(ConsoleShown)
def show(service_id: int) -> dict[str, Any]:
    """What the console said when it was last asked; null: nobody asked lately."""
    with auth.scope() as session:
        reading.find(session, Service, service_id)
        return {"console": session.get(ConsoleReading, service_id)}


@blueprint.post("/console")
@blueprint.output(ConsoleOut, status_code=202)
def ask(service_id: int) -> ConsoleReading:
    """Have the console read; GET it some seconds later. Its screen's address opens it for whoever has it."""
    with auth.scope() as session:
        return consoles.ask(session, service_id, auth.now())
