"""The state and the specification of a service, written here and nowhere else, each change with its audit entry.

With a change of state goes the event that the service's meters read.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator import audit, events
from orchestrator.errors import Conflict, NotFound, Text
from orchestrator.tables import Service

ALLOWED: dict[str, tuple[str, ...]] = {
    "creating": ("active", "failed"),
    "active": ("stopping", "rebooting", "resizing", "restoring", "moving", "deleting"),
    "stopping": ("stopped", "active"),
    "stopped": ("starting", "resizing", "deleting"),
    "starting": ("active", "stopped"),
    "rebooting": ("active",),
    "resizing": ("active", "stopped"),
    "restoring": ("active",),
    # Nothing but the flow that carries its data to another member leads out of it.
    "moving": ("active",),
    "deleting": ("deleted",),
    "failed": (),
    "deleted": (),
    "outside": ("deleted",),
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
            Text(
                "« {name} » est dans l’état {before} et ne peut pas passer à {to}.",
                name=service.name,
                before=before,
                to=to,
            ),
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
        raise NotFound("server_not_found", Text("« {name} » n’a pas de serveur.", name=service.name))
    size = events.size_now(session, server.id) or server_size(service)  # it may have been changed in the cloud
    events.record_event(session, server.id, event, at, flow_id=flow_id, size=size)


def server_size(service: Service) -> events.Size:
    """What the service's server is made of, as it was ordered."""
    return events.Size(vcpus=service.specification["vcpus"], ram_mib=service.specification["ram_mib"])


def change_specification(session: Session, service_id: int, changes: Mapping[str, Any], *, flow_id: int) -> None:
    """Write what a service is made of from now on: `changes` replace what its specification had under these keys."""
    service = session.get_one(Service, service_id, with_for_update=True, populate_existing=True)
    changed = {key: value for key, value in changes.items() if service.specification.get(key) != value}
    if not changed:
        return
    service.specification = service.specification | changed
    session.flush()
    # Keys of people are not told at length: how many there are says enough.
    told = {key: len(value) if key == "ssh_keys" else value for key, value in changed.items()}
    audit.record(
        session,
        "service.specification",
        f"service {service_id}",
        member_id=service.member_id,
        detail={"changed": told, "flow": flow_id},
    )


def rename(session: Session, service_id: int, name: str, *, flow_id: int) -> None:
    """Give a service another name. Raises Conflict `name_taken` when another living one of the member has it."""
    service = session.get_one(Service, service_id, with_for_update=True, populate_existing=True)
    before = service.name
    if before == name:
        return
    taken = sa.select(Service.id).where(
        Service.member_id == service.member_id, Service.name == name, Service.state.not_in(("deleted", "failed"))
    )
    if session.scalar(taken):
        raise Conflict("name_taken", Text("Le nom « {name} » est déjà pris.", name=name), "Choisissez un autre nom.")
    service.name = name
    session.flush()
    audit.record(
        session,
        "service.rename",
        f"service {service_id}",
        member_id=service.member_id,
        detail={"from": before, "to": name, "flow": flow_id},
    )
