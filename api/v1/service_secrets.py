"""The secrets of an application: which there are, read once, renewed."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint

from api import auth
from api.v1.schemas import FlowOut, ListOf
from api.v1.schemas_services import SecretOut, SecretShown
from orchestrator.tables import Flow, Service
from tenants import reading, service_secrets

blueprint = APIBlueprint(
    "service_secrets", __name__, url_prefix="/api/v1/services/<int:service_id>/secrets", tag="Services"
)


@blueprint.get("")
@blueprint.output(ListOf[SecretOut])
def list_secrets(service_id: int) -> dict[str, Any]:
    """The secrets that people may read, and whether they were. Always whole."""
    with auth.scope() as session:
        return {"items": service_secrets.listed(session, reading.find(session, Service, service_id))}


@blueprint.post("/<secret_name>/show")
@blueprint.output(SecretShown)
def show(service_id: int, secret_name: str) -> dict[str, Any]:
    """Read a secret: once, by the member's own people."""
    with auth.scope() as session:
        secret = service_secrets.show(session, auth.settings(), service_id, secret_name, auth.now())
    return {"name": secret_name, "secret": secret.get_secret_value()}


@blueprint.post("/<secret_name>/renew")
@blueprint.output(FlowOut, status_code=202)
def renew(service_id: int, secret_name: str) -> dict[str, Any]:
    """Ask for a new secret; the former one opens nothing any more."""
    with auth.scope() as session:
        flow = service_secrets.renew(session, service_id, secret_name)
        return reading.show(session, Flow, flow.id)
