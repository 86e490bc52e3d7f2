"""Changing what a service is made of: looked at first, then ordered."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint

from api import auth
from api.v1 import frame
from api.v1.schemas import ListOf, OrderOut, RequestKey
from api.v1.schemas_drift import ParameterOut
from api.v1.schemas_services import ChangeIn, PreviewOut
from orchestrator.tables import Service
from tenants import answering, changes, reading
from tenants.tables import Order

blueprint = APIBlueprint("changes", __name__, url_prefix="/api/v1/services/<int:service_id>/changes", tag="Services")


@blueprint.get("/parameters")
@blueprint.output(ListOf[ParameterOut])
def list_parameters(service_id: int) -> dict[str, Any]:
    """What the service's application was asked, its answers, and which of them may be changed. Always whole."""
    with auth.scope() as session:
        return {"items": answering.listed(session, reading.find(session, Service, service_id))}


@blueprint.post("/preview")
@blueprint.input(ChangeIn, location="json")
@blueprint.output(PreviewOut)
def preview(service_id: int, json_data: ChangeIn) -> dict[str, Any]:
    """What a change would cost, take and do; nothing is ordered."""
    with auth.scope() as session:
        seen = changes.preview(session, service_id, json_data.wanted(), auth.now())
        return {**frame.told(seen), "limits": [frame.told(limit) for limit in seen.limits],
                "effects": frame.tell_all(seen.effects), "refused": frame.refusal(seen.refused)}  # fmt: skip


@blueprint.post("")
@blueprint.input(ChangeIn, location="json")
@blueprint.input(RequestKey, location="headers")
@blueprint.output(OrderOut, status_code=201)
def place(service_id: int, json_data: ChangeIn, headers_data: RequestKey) -> dict[str, Any]:
    """Order the change. The same Idempotency-Key again answers with the same order."""
    with auth.scope() as session:
        key = headers_data.idempotency_key
        order = changes.place(session, service_id, json_data.wanted(), key, auth.now())
        return reading.show(session, Order, order.id)
