"""A service that goes to another member (communes that merge): looked at, then done. For the territory."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint

from api import auth
from api.v1 import frame
from api.v1.schemas import OrderOut, RequestKey
from api.v1.schemas_copies import MoveIn, MovePreviewIn, MovePreviewOut
from tenants import moves, reading
from tenants.tables import Order

blueprint = APIBlueprint("moves", __name__, url_prefix="/api/v1/services/<int:service_id>/move", tag="Services")


@blueprint.post("/preview")
@blueprint.input(MovePreviewIn, location="json")
@blueprint.output(MovePreviewOut)
def preview(service_id: int, json_data: MovePreviewIn) -> dict[str, Any]:
    """What the move would do, how long the service would be silent, and its price for the new member."""
    with auth.scope() as session:
        seen = moves.preview(session, service_id, json_data.to, json_data.name, auth.now())
        told = {"source": seen.source.slug, "target": seen.target.slug, "effects": frame.tell_all(seen.effects),
                "refused": frame.refusal(seen.refused)}  # fmt: skip
        return frame.estimated(seen.estimated) | frame.told(seen) | told


@blueprint.post("")
@blueprint.input(MoveIn, location="json")
@blueprint.input(RequestKey, location="headers")
@blueprint.output(OrderOut, status_code=201)
def place(service_id: int, json_data: MoveIn, headers_data: RequestKey) -> dict[str, Any]:
    """Have the service go to another member: the new member's order, which begins at once."""
    with auth.scope() as session:
        key, wish = headers_data.idempotency_key, json_data
        order = moves.place(session, service_id, wish.to, wish.name, wish.ssh_keys, key, auth.now())
        return reading.show(session, Order, order.id)
