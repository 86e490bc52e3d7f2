"""What can be ordered."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint

from api import auth
from api.v1 import frame
from api.v1.schemas import ListOf, OfferOut, SlugCut
from orchestrator.errors import NotFound
from tenants import catalogue

blueprint = APIBlueprint("catalogue", __name__, url_prefix="/api/v1/catalogue", tag="Catalogue")


@blueprint.get("")
@blueprint.input(SlugCut, location="query")
@blueprint.output(ListOf[OfferOut])
def list_offers(query_data: SlugCut) -> dict[str, Any]:
    """The published offers, smallest first, with their parameters and what they cost today."""
    with auth.scope() as session:
        return frame.follow(catalogue.priced(session, auth.now()), query_data, lambda offer: offer["slug"])


@blueprint.get("/<offer_slug>")
@blueprint.output(OfferOut)
def show(offer_slug: str) -> dict[str, Any]:
    """One published offer."""
    with auth.scope() as session:
        found = [offer for offer in catalogue.priced(session, auth.now()) if offer["slug"] == offer_slug]
    if not found:
        raise NotFound("not_found", "Cette offre n’est pas au catalogue.", "Voyez la liste.")
    return dict(found[0])
