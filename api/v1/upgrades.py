"""Newer versions of an application: what they bring, and the upgrade."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint

from api import auth
from api.v1.schemas import FlowOut
from api.v1.schemas_services import UpgradeOut
from api.v1.schemas_upgrades import PlannedOut, PostponeIn
from orchestrator.tables import Flow, Service
from tenants import reading, upgrades, upgrades_planned
from tenants.upgrades_planned import Rules

blueprint = APIBlueprint("upgrades", __name__, url_prefix="/api/v1/services/<int:service_id>/upgrade", tag="Services")


@blueprint.get("")
@blueprint.doc(responses={409: "There is no newer version"})
@blueprint.output(UpgradeOut)
def show(service_id: int) -> dict[str, Any]:
    """The newest version that is offered, and what each one brings that came since the service's own."""
    with auth.scope() as session:
        service = reading.find(session, Service, service_id)
        found = upgrades.newer(session, service, auth.now())
        if found is None:
            raise upgrades.none_newer(service)
        refused = found.refused.code if found.refused else None
        return {"version": found.version, "versions": found.versions, "refused": refused}


@blueprint.post("")
@blueprint.output(FlowOut, status_code=202)
def upgrade(service_id: int) -> dict[str, Any]:
    """Bring the application to the newest version; when that fails it goes back to what it was, data and all.

    A backup of the service must have been proved within a day: else `no_proof`.
    """
    with auth.scope() as session:
        flow = upgrades.upgrade(session, service_id, auth.now(), most=auth.settings().snapshots_per_service)
        return reading.show(session, Flow, flow.id)


@blueprint.post("/postpone")
@blueprint.doc(responses={409: "Nothing is planned, or it was put off before"})
@blueprint.input(PostponeIn, location="json")
@blueprint.output(PlannedOut)
def postpone(service_id: int, json_data: PostponeIn) -> dict[str, Any]:
    """Put the planned upgrade off, once: to the member's first window 14 days after the one that was told."""
    with auth.scope() as session:
        rules = Rules.of(auth.settings())
        row = upgrades_planned.postpone(session, service_id, json_data.reason, auth.now(), rules)
        return upgrades_planned.show(session, row)
