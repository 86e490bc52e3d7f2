"""The address of an application, and how available it is there."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import current_app

from api import auth
from api.v1.schemas_services import AddressShown
from orchestrator.tables import Service
from tenants import addresses, reading

blueprint = APIBlueprint("addresses", __name__, url_prefix="/api/v1/services/<int:service_id>/address", tag="Services")


@blueprint.get("")
@blueprint.output(AddressShown)
def show(service_id: int) -> dict[str, Any]:
    """The address by which the web knows an application, and how often it answered there, month by month."""
    with auth.scope() as session:
        service = reading.find(session, Service, service_id)
        found = addresses.of(session, service, auth.now(), current_app.config["TIMEZONE"])
        if found is None:
            return {"address": None}
        last = found.last
        return {
            "address": {
                "url": found.url,
                "authority": addresses.authority(session) if found.internal else None,
                "asked_at": last and last.asked_at,
                "good": last and last.good,
                "said": last and last.said,
                "certificate_until": last and last.certificate_until,
                "months": [
                    {"month": one.label, "asked": one.asked, "answered": one.answered, "percent": one.share}
                    for one in found.months
                ],
            }
        }
