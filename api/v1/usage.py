"""The ledger and the cloud: until when it was read, what that found."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint

from api import auth
from api.v1 import frame
from api.v1.schemas import ListOf, PageQuery
from api.v1.schemas_usage import CorrectionOut, OutsideOut, ReadingsOut
from tenants import readings

blueprint = APIBlueprint("usage", __name__, url_prefix="/api/v1/usage", tag="Usage")


@blueprint.get("/status")
@blueprint.output(ReadingsOut)
def status() -> dict[str, Any]:
    """Until when the cloud was read, member by member."""
    with auth.scope() as session:
        notified = readings.notified(session)
        return {"read_until": readings.read_until(session), "notified": notified, "items": readings.status(session)}


@blueprint.get("/outside")
@blueprint.input(PageQuery, location="query")
@blueprint.output(ListOf[OutsideOut])
def list_outside(query_data: PageQuery) -> dict[str, Any]:
    """What was made by hand and is metered, the newest first."""
    with auth.scope() as session:
        rows = readings.outside(session)
    return frame.cut(rows, query_data, lambda row: row["service_id"])


@blueprint.get("/corrections")
@blueprint.output(ListOf[CorrectionOut])
def list_corrections() -> dict[str, Any]:
    """What was changed of ordered services without us, the newest first; 200 at most."""
    with auth.scope() as session:
        return {"items": readings.corrections(session)}
