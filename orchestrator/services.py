"""The state of a service, written here and nowhere else, with its audit entry and the event that its meters read."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator import audit, events
from orchestrator.errors import Conflict, NotFound
from orchestrator.tables import Service

ALLOWED: dict[str, tuple[str, ...]] = {
    "creating": ("active", "failed"),
    "active": ("stopping", "deleting"),
    "stopping": ("stopped", "active"),
    "stopped": ("starting", "deleting"),
    "starting": ("active", "stopped"),
    "deleting": ("deleted",),
    "failed": (),
    "deleted": (),
}
# The changes that start, stop or re-price a server's meters, and the event that says so.
METERED = {
    ("creating", "active"): "serving",
    ("stopping", "stopped"): "stopped",
    ("starting", "active"): "started",
}


def change_state(session: Session, service_id: int, to: str, at: datetime, *, flow_id: int | None = None) -> bool:
    """Bring a service to the state `to`, at an instant; False when it is there already and nothing was written.

    Raises Conflict `service_state` when ALLOWED does not lead there.
    """
    service = session.get(Service, service_id, with_for_update=True, populate_existing=True)
    if service is None:
        raise NotFound("service_not_found", "Ce service n’existe pas.")
    before = service.state
    if before == to:
        return False
    if to not in ALLOWED[before]:
        raise Conflict(
            "service_state",
            f"« {service.name} » est dans l’état {before} et ne peut pas passer à {to}.",
            facts={"state": before, "wanted": to},
        )
    session.execute(sa.update(Service).where(Service.id == service_id).values(state=to, changed_at=at))
    audit.record(
        session,
        "service.state",
        f"service {service_id}",
        member_id=service.member_id,
        detail={"from": before, "to": to, "flow": flow_id},
    )
    if (before, to) in METERED:
        _tell_meters(session, service, METERED[before, to], at, flow_id)
    return True


def _tell_meters(session: Session, service: Service, event: str, at: datetime, flow_id: int | None) -> None:
    server = events.find_resource(session, service.id, "server")
    if server is None:
        raise NotFound("server_not_found", f"« {service.name} » n’a pas de serveur.")
    events.record_event(session, server.id, event, at, flow_id=flow_id, size=server_size(service))


def server_size(service: Service) -> events.Size:
    """What the service's server is made of, as it was ordered."""
    return events.Size(vcpus=service.specification["vcpus"], ram_mib=service.specification["ram_mib"])
