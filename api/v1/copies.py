"""Test copies of an application: looked at, ordered, given the original's data again."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint

from api import auth
from api.v1 import frame
from api.v1.schemas import FlowOut, OrderOut, RequestKey
from api.v1.schemas_copies import CopyIn, CopyPreviewOut
from orchestrator.tables import Flow
from tenants import copies, reading
from tenants.tables import Order

blueprint = APIBlueprint("copies", __name__, url_prefix="/api/v1/services/<int:service_id>", tag="Services")


@blueprint.post("/copies/preview")
@blueprint.input(CopyIn, location="json")
@blueprint.output(CopyPreviewOut)
def preview(service_id: int, json_data: CopyIn) -> dict[str, Any]:
    """What a test copy would cost and take; nothing is ordered."""
    with auth.scope() as session:
        seen = copies.preview(session, service_id, json_data.name, json_data.backup_id, auth.now())
        return frame.estimated(seen)


@blueprint.post("/copies")
@blueprint.input(CopyIn, location="json")
@blueprint.input(RequestKey, location="headers")
@blueprint.output(OrderOut, status_code=201)
def place(service_id: int, json_data: CopyIn, headers_data: RequestKey) -> dict[str, Any]:
    """Order a test copy: a service of its own with the data of a backup. The original is not touched.

    The same Idempotency-Key again answers with the same order.
    """
    with auth.scope() as session:
        key = headers_data.idempotency_key
        order = copies.place(session, service_id, json_data.name, json_data.backup_id, key, auth.now())
        return reading.show(session, Order, order.id)


@blueprint.post("/refresh")
@blueprint.output(FlowOut, status_code=202)
def refresh(service_id: int) -> dict[str, Any]:
    """Give a test copy the data of its original's newest backup; what was written in the copy is lost."""
    with auth.scope() as session:
        return reading.show(session, Flow, copies.refresh(session, service_id).id)
