"""Guests and their plays: what differs, compared and repaired when asked."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint

from api import auth
from api.v1 import frame
from api.v1.schemas import FlowOut, ListOf
from api.v1.schemas_drift import DriftOut, DriftQuery
from orchestrator.tables import Flow, Service
from tenants import drift, reading

blueprint = APIBlueprint("drift", __name__, url_prefix="/api/v1", tag="Drift")
ONE = "/services/<int:service_id>/drift"


@blueprint.get("/drift")
@blueprint.input(DriftQuery, location="query")
@blueprint.output(ListOf[DriftOut])
def list_drifts(query_data: DriftQuery) -> dict[str, Any]:
    """The services that have been compared with their plays; those that differ first, the longest before the others."""
    with auth.scope() as session:
        rows = drift.listed(session, query_data.state)
        return frame.follow(rows, query_data, lambda row: row["service_id"])


@blueprint.get(ONE)
@blueprint.doc(responses={409: "It was never compared"})
@blueprint.output(DriftOut)
def show(service_id: int) -> dict[str, Any]:
    """How a service compares with its play."""
    with auth.scope() as session:
        return drift.show(session, reading.find(session, Service, service_id))


@blueprint.post(f"{ONE}/check")
@blueprint.output(FlowOut, status_code=202)
def check(service_id: int) -> dict[str, Any]:
    """Compare the service with its play, which changes nothing in it."""
    with auth.scope() as session:
        return reading.show(session, Flow, drift.check(session, service_id).id)


@blueprint.post(f"{ONE}/repair")
@blueprint.output(FlowOut, status_code=202)
def repair(service_id: int) -> dict[str, Any]:
    """Run the service's play again, so that nothing differs; `no_drift` when nothing is known to."""
    with auth.scope() as session:
        return reading.show(session, Flow, drift.repair(session, service_id).id)
