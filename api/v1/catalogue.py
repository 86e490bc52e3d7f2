"""What can be ordered."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint

from api import auth
from api.v1.schemas import ListOf, OfferOut
from tenants import catalogue

blueprint = APIBlueprint("catalogue", __name__, url_prefix="/api/v1/catalogue", tag="Catalogue")


@blueprint.get("")
@blueprint.output(ListOf[OfferOut])
@blueprint.doc(security="token")
def list_offers() -> dict[str, Any]:
    """The published offers, smallest first, with their parameters and what they cost today."""
    with auth.scope() as session:
        return {"items": catalogue.priced(session, auth.now())}
