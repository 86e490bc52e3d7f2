"""What the cloud has left, what the members really use, and who works."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint

from api import auth
from api.v1 import frame
from api.v1.schemas import ListOf, SlugCut
from api.v1.schemas_admin import CapacityOut, HostOut, QuotaUseOut, WorkerOut
from tenants import capacity, capacity_trend, workers

blueprint = APIBlueprint("capacity", __name__, url_prefix="/api/v1/capacity", tag="Capacity")


@blueprint.get("")
@blueprint.output(ListOf[CapacityOut])
def list_resources() -> dict[str, Any]:
    """By resource, what the cloud has, has left, and when it will be full. Always whole."""
    with auth.scope() as session:
        return {"items": capacity_trend.summary(session, auth.now())}


@blueprint.get("/hosts")
@blueprint.output(ListOf[HostOut])
def list_hosts() -> dict[str, Any]:
    """The hosts of the cloud, as they were last told. Always whole."""
    with auth.scope() as session:
        return {"items": capacity.hypervisors(session)}


@blueprint.get("/quotas")
@blueprint.input(SlugCut, location="query")
@blueprint.output(ListOf[QuotaUseOut])
def list_quotas(query_data: SlugCut) -> dict[str, Any]:
    """By member, what it may hold, holds, and what the cloud says that it uses."""
    with auth.scope() as session:
        rows = capacity.quota_use(session, auth.settings().snapshots_per_service)
        return frame.cut(rows, query_data, lambda row: row["slug"], newest_first=False)


@blueprint.get("/workers")
@blueprint.output(ListOf[WorkerOut])
def list_workers() -> dict[str, Any]:
    """The workers: alive or silent, what each runs. Always whole."""
    with auth.scope() as session:
        rows = workers.listed(session, auth.now(), auth.settings().dead_after_seconds)
        names = ("id", "host", "started_at", "seen_at")
        items = [
            {**{name: getattr(row["row"], name) for name in names}, "state": row["state"],
             "flows": [flow.id for flow in row["flows"]]}
            for row in rows
        ]  # fmt: skip
    return {"items": items}
