"""The territory's entry from the web, as its DSI watches it."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint

from api import auth
from api.v1.schemas import ListOf
from api.v1.schemas_admin import CertificateOut
from tenants import addresses

blueprint = APIBlueprint("entry", __name__, url_prefix="/api/v1/entry", tag="Capacity")


@blueprint.get("/certificates")
@blueprint.output(ListOf[CertificateOut])
def list_certificates() -> dict[str, Any]:
    """The certificate of each name that the entry leads to, as it last told. Always whole."""
    with auth.scope() as session:
        return {"items": addresses.certificates(session, auth.now())}
