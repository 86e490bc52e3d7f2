"""Who is told of events by HTTP, and what was sent."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from sqlalchemy.orm import Session

from api import auth
from api.telling import SEAL
from api.v1 import frame
from api.v1.schemas import Cut, ListOf
from api.v1.schemas_people import (
    DeliveryDetail,
    DeliveryOut,
    EndpointIn,
    EndpointMade,
    EndpointOut,
    Replayed,
    ReplayIn,
    SecretOut,
)
from orchestrator import sealing
from tenants import outside, slugs, webhooks
from tenants.tables_notices import Endpoint

blueprint = APIBlueprint("webhooks", __name__, url_prefix="/api/v1/webhooks", tag="Webhooks")
ONE = "/<int:endpoint_id>"


def _rules() -> outside.Rules:
    chosen = auth.settings()
    return outside.Rules.of(chosen.webhook_networks, chosen.webhook_timeout)


def _box() -> Any:
    return sealing.box(auth.settings(), SEAL)


def _shown(endpoint: Endpoint, names: dict[int, str]) -> dict[str, Any]:
    fields = EndpointOut.model_fields.keys() - {"member"}
    return {**{name: getattr(endpoint, name) for name in fields}, "member": names.get(endpoint.member_id or 0)}


def _one(session: Session, endpoint: Endpoint) -> dict[str, Any]:
    return _shown(endpoint, slugs.of(session, [endpoint.member_id]))


@blueprint.get("")
@blueprint.input(Cut, location="query")
@blueprint.output(ListOf[EndpointOut])
def list_endpoints(query_data: Cut) -> dict[str, Any]:
    """The endpoints of the house, newest first; for the territory, of all."""
    member_id = frame.caller().member_id
    with auth.scope() as session:
        rows = webhooks.listed(session, member_id, everybody=member_id is None)
        names = slugs.of(session, [row.member_id for row in rows])
        return frame.cut([_shown(row, names) for row in rows], query_data, lambda row: row["id"])


@blueprint.post("")
@blueprint.input(EndpointIn, location="json")
@blueprint.output(EndpointMade, status_code=201)
def add(json_data: EndpointIn) -> dict[str, Any]:
    """Tell an address of events; the secret that verifies them is in this answer and never again."""
    with auth.scope() as session:
        said = json_data
        made, secret = webhooks.add(
            session, _box(), _rules(), frame.caller(), said.label, said.url, said.events, auth.now()
        )
        return {**_one(session, made), "secret": secret}


@blueprint.get(ONE)
@blueprint.output(EndpointOut)
def show(endpoint_id: int) -> dict[str, Any]:
    """One endpoint."""
    with auth.scope() as session:
        return _one(session, webhooks.find(session, endpoint_id, lock=False))


@blueprint.put(ONE)
@blueprint.input(EndpointIn, location="json")
@blueprint.output(EndpointOut)
def change(endpoint_id: int, json_data: EndpointIn) -> dict[str, Any]:
    """Change an endpoint; its secret stays."""
    with auth.scope() as session:
        said = json_data
        return _one(session, webhooks.change(session, _rules(), endpoint_id, said.label, said.url, said.events))


@blueprint.delete(ONE)
@blueprint.output({}, status_code=204)
def remove(endpoint_id: int) -> str:
    """End an endpoint for good; its log stays."""
    with auth.scope() as session:
        webhooks.remove(session, endpoint_id, auth.now())
    return ""


@blueprint.post(f"{ONE}/rotate")
@blueprint.output(SecretOut)
def rotate(endpoint_id: int) -> dict[str, Any]:
    """A new secret; for a day both sign, so that the receiver can change over."""
    with auth.scope() as session:
        return {"secret": webhooks.rotate(session, _box(), endpoint_id, auth.now())}


@blueprint.post(f"{ONE}/enable")
@blueprint.output(EndpointOut)
def enable(endpoint_id: int) -> dict[str, Any]:
    """Let an endpoint that was disabled be told again."""
    with auth.scope() as session:
        return _one(session, webhooks.enable(session, endpoint_id))


@blueprint.post(f"{ONE}/disable")
@blueprint.output(EndpointOut)
def disable(endpoint_id: int) -> dict[str, Any]:
    """Tell an endpoint nothing more until it is enabled again; what waits for it has failed."""
    with auth.scope() as session:
        endpoint = webhooks.find(session, endpoint_id)
        webhooks.disable(session, endpoint, auth.now(), webhooks.ASKED)
        return _one(session, endpoint)


@blueprint.post(f"{ONE}/test")
@blueprint.output(DeliveryOut, status_code=202)
def test(endpoint_id: int) -> Any:
    """Send an event that says nothing but that the endpoint can be reached."""
    with auth.scope() as session:
        return webhooks.test(session, endpoint_id, auth.now())


@blueprint.get(f"{ONE}/deliveries")
@blueprint.input(Cut, location="query")
@blueprint.output(ListOf[DeliveryDetail])
def list_deliveries(endpoint_id: int, query_data: Cut) -> dict[str, Any]:
    """What was sent to an endpoint, newest first, with each try."""
    with auth.scope() as session:
        webhooks.find(session, endpoint_id)
        rows = webhooks.deliveries(session, endpoint_id, after=query_data.after, limit=query_data.limit)
        return frame.page(*rows)


@blueprint.post(f"{ONE}/replay")
@blueprint.input(ReplayIn, location="json")
@blueprint.output(Replayed, status_code=202)
def replay_since(endpoint_id: int, json_data: ReplayIn) -> dict[str, Any]:
    """Send again what failed, or all, since an instant, under the same ids."""
    with auth.scope() as session:
        count = webhooks.replay_since(session, endpoint_id, json_data.since, auth.now(), sent_too=json_data.sent_too)
        return {"deliveries": count}


@blueprint.post("/deliveries/<int:delivery_id>/replay")
@blueprint.output(DeliveryOut, status_code=202)
def replay(delivery_id: int) -> Any:
    """Send one delivery again, under its own id."""
    with auth.scope() as session:
        return webhooks.replay(session, delivery_id, auth.now())
