"""The state of a snapshot, written here and nowhere else, with its audit entry. Its parts are rows of `resources`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from orchestrator import audit
from orchestrator.errors import Conflict, NotFound, Text
from orchestrator.tables import Flow, Resource, Service, Snapshot

ALLOWED: dict[str, tuple[str, ...]] = {
    "making": ("ready", "failed"),
    "ready": ("deleting",),
    "deleting": ("deleted",),
    "deleted": (),
    "failed": (),
}


def declare(session: Session, service: Service, name: str, *, scheduled: bool = False) -> Snapshot:
    """A new row for a snapshot of the service, which a flow `snapshot_server {snapshot_id}` then makes."""
    snapshot = Snapshot(
        member_id=service.member_id,
        service_id=service.id,
        name=name,
        scheduled=scheduled,
        requested_by=session.info["actor"],
    )
    session.add(snapshot)
    session.flush()
    return snapshot


def find(session: Session, snapshot_id: int, service_id: int) -> Snapshot:
    """The service's snapshot. Raises NotFound `snapshot_not_found`."""
    found = session.get(Snapshot, snapshot_id)
    if found is None or found.service_id != service_id:
        raise NotFound("snapshot_not_found", "Cet instantané n’existe pas.", "Choisissez-en un autre.")
    return found


def change_state(session: Session, snapshot_id: int, to: str, at: datetime, *, size_gib: int | None = None) -> None:
    """Bring a snapshot to the state `to`, at an instant; nothing when it is there already.

    Raises Conflict `snapshot_state` when ALLOWED does not lead there.
    """
    snapshot = session.get_one(Snapshot, snapshot_id, with_for_update=True)
    before = snapshot.state
    if before == to:
        return
    if to not in ALLOWED[before]:
        raise _wrong(snapshot, to)
    snapshot.state = to
    if to == "ready":
        snapshot.ready_at, snapshot.size_gib = at, size_gib
    if to in ("deleted", "failed"):
        snapshot.ended_at = at
    session.flush()
    audit.record(
        session,
        "snapshot.state",
        f"snapshot {snapshot_id}",
        member_id=snapshot.member_id,
        detail={"from": before, "to": to, "service": snapshot.service_id},
    )


def check_ready(snapshot: Snapshot) -> None:
    """Raise Conflict `snapshot_state` unless the snapshot can be restored."""
    if snapshot.state != "ready":
        raise _wrong(snapshot, "ready")


def volumes_of(session: Session, snapshot: Snapshot) -> list[str]:
    """The roles of the service's data volumes of which the snapshot holds a copy, in order."""
    before, copied = f"snapshot-{snapshot.id}/", aliased(Resource)
    query = sa.select(Resource.role).where(
        Resource.service_id == snapshot.service_id,
        Resource.kind == "volume",
        Resource.deleted_at.is_(None),
        sa.exists().where(
            copied.service_id == snapshot.service_id,
            copied.kind == "volume_snapshot",
            copied.role == sa.literal(before) + Resource.role,
            copied.deleted_at.is_(None),
        ),
    )
    return sorted(session.scalars(query))


def end(session: Session, snapshot_id: int, at: datetime) -> None:
    """A snapshot is gone with its service, in whatever state it was."""
    state = session.get_one(Snapshot, snapshot_id, with_for_update=True).state
    for to in {"making": ("failed",), "ready": ("deleting", "deleted"), "deleting": ("deleted",)}.get(state, ()):
        change_state(session, snapshot_id, to, at)


def made_by(kind: str, parameters: Mapping[str, Any]) -> int | None:
    """The snapshot that a flow makes: its own, or the one that a restore keeps first (`safety_id`)."""
    made: int | None = parameters["snapshot_id"] if kind == "snapshot_server" else parameters.get("safety_id")
    return made


def give_up(session: Session, flow: Flow) -> None:
    """The snapshot that a flow was to make will not be, unless it is there already."""
    made = made_by(flow.kind, flow.parameters)
    if made is not None and session.get_one(Snapshot, made).state == "making":
        change_state(session, made, "failed", datetime.now(UTC))


def _wrong(snapshot: Snapshot, wanted: str) -> Conflict:
    return Conflict(
        "snapshot_state",
        Text("L’instantané « {name} » n’est pas dans un état qui le permet.", name=snapshot.name),
        "Choisissez-en un autre.",
        facts={"state": snapshot.state, "wanted": wanted},
    )
