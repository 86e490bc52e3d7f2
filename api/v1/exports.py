"""Leaving with one's data: an application's archive, and the certificate of a deletion."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import Response

from api import auth, exporting
from api.v1.schemas import ListOf
from api.v1.schemas_exports import CertificateOut, ExportMade, ExportOut
from orchestrator import exports
from orchestrator.tables import Flow, Service
from tenants import certificates, reading, service_exports

blueprint = APIBlueprint("exports", __name__, url_prefix="/api/v1/services/<int:service_id>", tag="Exports")


@blueprint.get("/exports")
@blueprint.output(ListOf[ExportOut])
def list_exports(service_id: int) -> dict[str, Any]:
    """The newest exports of a service. Always whole: no more than twenty."""
    with auth.scope() as session:
        return {"items": service_exports.listed(session, reading.find(session, Service, service_id).id)}


@blueprint.post("/exports")
@blueprint.output(ExportMade, status_code=202)
def make(service_id: int) -> dict[str, Any]:
    """Put all that an application holds into one archive, in open formats, with its papers."""
    with auth.scope() as session:
        made, flow = service_exports.ask(session, auth.settings(), service_id, auth.now())
        return {"export": made, "flow": reading.show(session, Flow, flow.id)}


@blueprint.get("/exports/<int:export_id>")
@blueprint.output(ExportOut)
def show(service_id: int, export_id: int) -> Any:
    """One export; its archive can be fetched once it is ready, until `expires_at`."""
    with auth.scope() as session:
        service = reading.find(session, Service, service_id)
        return exports.find(session, min(export_id, reading.BEYOND), service.id)


@blueprint.get("/exports/<int:export_id>/archive")
@blueprint.doc(responses={200: "An application/gzip file", 409: "It is not ready"})
def fetch(service_id: int, export_id: int) -> Response:
    """The archive itself; who fetched it is written in the audit trail."""
    with auth.scope() as session:
        return exporting.archive(*service_exports.download(session, auth.settings(), service_id, export_id, auth.now()))


@blueprint.get("/certificate")
@blueprint.doc(responses={409: "It is not deleted"})
@blueprint.output(CertificateOut)
def certificate(service_id: int) -> dict[str, Any]:
    """What was deleted with a service, when, by which flow, and the audit entries that prove it."""
    with auth.scope() as session:
        return certificates.certificate(session, service_id, auth.now())
