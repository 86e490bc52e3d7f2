"""The steps that make, attach, grow, detach and remove a service's data volumes. A volume is known by its role."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator import cloud_servers as servers
from orchestrator import cloud_volumes as volumes
from orchestrator import services
from orchestrator import steps_guest as guest
from orchestrator import steps_resources as resources
from orchestrator.cloud import Cloud
from orchestrator.errors import CloudError, CloudNotFound, CloudRefused, Conflict, Text
from orchestrator.events import Size
from orchestrator.steps import Run, Write, nothing
from orchestrator.tables import Resource

MAIN = "main"  # the volume that a service may be ordered with; its size is the specification's `disk_gib`
CHANGING = {"creating", "attaching", "detaching", "reserved", "extending"}


def make_volume(run: Run, *, role: str = MAIN, disk_gib: int) -> Write:
    """Ask for a data volume; nobody waits for it before it must be attached."""
    volume = resources.find(run, "volume", volumes.get_volume, volumes.find_volume, role)
    if volume is None:
        name = f"{run.facts['name']}-{'data' if role == MAIN else role}"
        volume = volumes.create_volume(run.cloud, name, disk_gib, tag=run.tag(role))
    return resources.recorded(run, "volume", volume, Size(disk_gib=disk_gib), role)


def attach_volume(run: Run, *, role: str = MAIN) -> Write:
    """Attach a data volume as soon as it and the server are ready."""
    server_id, volume_id = resources.known(run, "server"), resources.known(run, "volume", role)
    volume = at_rest(run, volume_id)
    if server_id not in volume.server_ids:
        servers.attach_volume(run.cloud, server_id, volume_id)
        volume = at_rest(run, volume_id, {"available", "reserved", "attaching"})
    if volume.status != "in-use":
        raise CloudError(
            "volume_not_attached",
            "Le nuage n’a pas pu brancher le volume de données.",
            "Recommencez ; si cela se répète, prévenez la DSI.",
            detail=f"volume {volume_id} is {volume.status}",
        )
    return nothing


def detach_volume(run: Run, *, role: str = MAIN) -> Write:
    """Detach a data volume, if there is one and it is attached."""
    volume_id = resources.row_id(run, "volume", role)
    if volume_id is None:
        return nothing
    try:
        volume = at_rest(run, volume_id)
    except CloudNotFound:
        return nothing
    if volume.server_ids:
        servers.detach_volume(run.cloud, volume.server_ids[0], volume_id)
        volume = at_rest(run, volume_id, {"detaching"})
    if volume.server_ids:
        raise guest.volume_busy(f"volume {volume_id} is {volume.status}")
    return nothing


def check_free(run: Run) -> Write:
    """Refuse to remove a volume of which a snapshot holds a copy: the cloud would not let it go."""
    role = run.parameters["role"]
    kept = sa.select(Resource.id).where(
        Resource.service_id == run.owner.service_id,
        Resource.kind == "volume_snapshot",
        Resource.role.endswith(f"/{role}", autoescape=True),
        Resource.deleted_at.is_(None),
    )
    with run.session() as session:
        if session.scalar(kept.limit(1)) is not None:
            raise Conflict(
                "volume_has_snapshots",
                Text("Des instantanés gardent une copie du volume « {role} ».", role=role),
                "Supprimez d’abord les instantanés pris avec ce volume.",
            )
    return nothing


def remove_volume(run: Run, *, role: str = MAIN) -> Write:
    """Delete a data volume, once the cloud has let go of it."""

    def delete(cloud: Cloud, volume_id: str) -> None:
        resources.wait(
            run, lambda: volumes.get_volume(cloud, volume_id), lambda found: found.status not in CHANGING | {"in-use"}
        )
        volumes.delete_volume(cloud, volume_id)

    return resources.remove(run, "volume", volumes.find_volume, volumes.get_volume, delete, role)


def extend_volume(run: Run) -> Write:
    """Make a data volume bigger, in use where the cloud can. It can't shrink again, so it counts at once."""
    role, wanted = run.parameters["role"], int(run.parameters["disk_gib"])
    volume_id = resources.known(run, "volume", role)
    volume = at_rest(run, volume_id)
    if volume.size_gib < wanted:
        volume = _extend(run, volume, role, wanted)
    if volume.size_gib < wanted:
        raise CloudError(
            "volume_not_extended",
            "Le nuage n’a pas pu agrandir le volume.",
            "Recommencez ; si cela se répète, prévenez la DSI.",
            detail=f"volume {volume_id} is {volume.status}, {volume.size_gib} GiB",
        )
    attach_volume(run, role=role)  # it was detached if the cloud can't grow what is in use
    at = datetime.now(UTC)

    def write(session: Session) -> None:
        resources.tell(session, run, "volume", "resized", at, Size(disk_gib=wanted), role)
        specify(session, run, role, wanted)

    return write


def _extend(run: Run, volume: volumes.Volume, role: str, wanted: int) -> volumes.Volume:
    try:
        volumes.extend_volume(run.cloud, volume.id, wanted)
    except CloudRefused:
        if not volume.server_ids:
            raise
        if guest.answers(run):
            guest.mount_volumes(run, without=role)
        detach_volume(run, role=role)
        volumes.extend_volume(run.cloud, volume.id, wanted)
    return at_rest(run, volume.id)


def size_of(run: Run, role: str) -> int:
    """The size in GiB of a data volume by the service's specification, as it was when the flow began."""
    specified = run.specification
    return int(specified["disk_gib"] if role == MAIN else specified.get("volumes", {})[role]["disk_gib"])


def specify(session: Session, run: Run, role: str, disk_gib: int, name: str | None = None) -> None:
    """Write the size of a data volume into the service's specification; 0 when it has none any more."""
    changes: dict[str, Any] = {"disk_gib": disk_gib}
    if role != MAIN:
        others = dict(run.specification.get("volumes", {}))
        before = others.pop(role, {"name": role})
        if disk_gib:
            others[role] = {"name": name or before["name"], "disk_gib": disk_gib}
        changes = {"volumes": others}
    services.change_specification(session, run.owner.service_id, changes, flow_id=run.flow_id)


def at_rest(run: Run, volume_id: str, until_not: set[str] | None = None) -> volumes.Volume:
    """The volume, once the cloud does nothing to it."""
    busy = until_not or CHANGING
    return resources.wait(run, lambda: volumes.get_volume(run.cloud, volume_id), lambda found: found.status not in busy)
