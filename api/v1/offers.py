"""Versions of the offers, made by the DSI: draft, published, withdrawn."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint

from api import auth
from api.v1 import frame
from api.v1.schemas import ListOf
from api.v1.schemas_admin import VersionIn, VersionOut, VersionQuery, YamlIn
from tenants import catalogue_versions
from tenants.tables import Offer

blueprint = APIBlueprint("offers", __name__, url_prefix="/api/v1/offers", tag="Catalogue")
ONE = "/<int:offer_id>"


def _shown(offer: Offer, orders: int | None = None) -> dict[str, Any]:
    names = VersionOut.model_fields.keys() - {"orders", "parameters"}
    shown = {name: getattr(offer, name) for name in names}
    return {**shown, "parameters": offer.parameters["rules"], "orders": orders}


@blueprint.get("")
@blueprint.input(VersionQuery, location="query")
@blueprint.output(ListOf[VersionOut])
def list_versions(query_data: VersionQuery) -> dict[str, Any]:
    """Every version with the number of orders made from it, newest first."""
    with auth.scope() as session:
        found = catalogue_versions.listed(session, query_data.state or "", query_data.offer or "")
        return frame.cut([_shown(*row) for row in found], query_data, lambda row: row["id"])


@blueprint.get(ONE)
@blueprint.output(VersionOut)
def show(offer_id: int) -> dict[str, Any]:
    """One version."""
    with auth.scope() as session:
        return _shown(catalogue_versions.find(session, offer_id))


@blueprint.post("")
@blueprint.input(YamlIn, location="json")
@blueprint.output(ListOf[VersionOut], status_code=201)
def read(json_data: YamlIn) -> dict[str, Any]:
    """Drafts of what a file of the catalogue declares; what is published as it is needs none."""
    with auth.scope() as session:
        return {"items": [_shown(offer) for offer in catalogue_versions.read(session, json_data.yaml)]}


@blueprint.post(f"{ONE}/copy")
@blueprint.output(VersionOut, status_code=201)
def copy(offer_id: int) -> dict[str, Any]:
    """A draft that begins as this version."""
    with auth.scope() as session:
        return _shown(catalogue_versions.copy(session, offer_id))


@blueprint.put(ONE)
@blueprint.input(VersionIn, location="json")
@blueprint.output(VersionOut)
def edit(offer_id: int, json_data: VersionIn) -> dict[str, Any]:
    """Change a draft."""
    with auth.scope() as session:
        return _shown(catalogue_versions.edit(session, offer_id, json_data.typed()))


@blueprint.post(f"{ONE}/publish")
@blueprint.output(VersionOut)
def publish(offer_id: int) -> dict[str, Any]:
    """Let members order a draft; the version published before is withdrawn."""
    with auth.scope() as session:
        return _shown(catalogue_versions.publish(session, offer_id))


@blueprint.post(f"{ONE}/withdraw")
@blueprint.output(VersionOut)
def withdraw(offer_id: int) -> dict[str, Any]:
    """Take a version out of the catalogue, or give a draft up."""
    with auth.scope() as session:
        return _shown(catalogue_versions.withdraw(session, offer_id))
