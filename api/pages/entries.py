"""What computers need to trust the territory's addresses."""

from __future__ import annotations

from apiflask import APIBlueprint
from flask import Response

from api import auth
from tenants import addresses

blueprint = APIBlueprint("entry_pages", __name__, enable_openapi=False, url_prefix="/entry")


@blueprint.get("/authority.crt")
def authority() -> Response:
    """The certificate of the territory's own authority, as browsers and systems take it in."""
    with auth.scope() as session:
        found = addresses.authority(session)
    answer = Response(found, mimetype="application/x-x509-ca-cert")
    answer.headers.set("Content-Disposition", "attachment", filename="autorite.crt")
    return answer
