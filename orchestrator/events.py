"""What exists in the cloud for a service, and what happened to it. Telling a fact twice leaves one fact."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from orchestrator.errors import CloudConflict
from orchestrator.tables import Resource, ResourceEvent


@dataclass(frozen=True)
class Owner:
    """For whom a resource is made: the member, its service, the flow that works on it."""

    member_id: int
    service_id: int
    flow_id: int


@dataclass(frozen=True)
class Size:
    """How big a resource is from an event on; None where its kind has no such size."""

    vcpus: int | None = None
    ram_mib: int | None = None
    disk_gib: int | None = None


def find_resource(session: Session, service_id: int, kind: str, role: str = "main") -> Resource | None:
    """The living resource of a service that has this kind and role."""
    return session.scalar(
        sa.select(Resource).where(
            Resource.service_id == service_id,
            Resource.kind == kind,
            Resource.role == role,
            Resource.deleted_at.is_(None),
        )
    )


def living(session: Session, service_id: int) -> list[Resource]:
    """What there is of a service."""
    own = sa.select(Resource).where(Resource.service_id == service_id, Resource.deleted_at.is_(None))
    return list(session.scalars(own.order_by(Resource.id)))


def record_resource(session: Session, owner: Owner, kind: str, cloud_id: str, role: str = "main") -> int:
    """Write that a resource exists; its row's id.

    Raises CloudConflict when the service already has another living one: a step that tries again finds that one,
    and the sweeper takes the stray.
    """
    session.execute(
        insert(Resource)
        .values(
            member_id=owner.member_id,
            service_id=owner.service_id,
            flow_id=owner.flow_id,
            kind=kind,
            role=role,
            cloud_id=cloud_id,
        )
        .on_conflict_do_nothing()
    )
    found = session.scalar(sa.select(Resource.id).where(Resource.kind == kind, Resource.cloud_id == cloud_id))
    if found is None:
        raise CloudConflict(
            "cloud_conflict",
            "Un autre exécutant vient de créer la même ressource.",
            detail=f"{kind} {cloud_id} is not the living one of service {owner.service_id}",
        )
    return found


def record_event(
    session: Session,
    resource_id: int,
    kind: str,
    at: datetime,
    *,
    flow_id: int | None = None,
    size: Size | None = None,
    source: str = "flow",
) -> None:
    """Write what happened to a resource at an instant, and its size from then on. source: one of EVENT_SOURCES."""
    size = size or Size()
    session.execute(
        insert(ResourceEvent)
        .from_select(
            ["resource_id", "member_id", "flow_id", "kind", "at", "vcpus", "ram_mib", "disk_gib", "source"],
            sa.select(
                Resource.id,
                Resource.member_id,
                sa.literal(flow_id, sa.BigInteger),
                sa.literal(kind),
                sa.literal(at, sa.TIMESTAMP(timezone=True)),
                sa.literal(size.vcpus, sa.BigInteger),
                sa.literal(size.ram_mib, sa.BigInteger),
                sa.literal(size.disk_gib, sa.BigInteger),
                sa.literal(source),
            ).where(Resource.id == resource_id),
        )
        .on_conflict_do_nothing()
    )


def size_now(session: Session, resource_id: int) -> Size | None:
    """The size that the last event of a resource gave it, which the cloud may have told; None without events."""
    query = (
        sa.select(ResourceEvent.vcpus, ResourceEvent.ram_mib, ResourceEvent.disk_gib)
        .where(ResourceEvent.resource_id == resource_id)
        .order_by(ResourceEvent.at.desc(), ResourceEvent.id.desc())
        .limit(1)
    )
    row = session.execute(query).one_or_none()
    return Size(*row) if row else None


def record_deletion(
    session: Session, kind: str, cloud_id: str, at: datetime, *, flow_id: int | None = None, source: str = "flow"
) -> None:
    """Write that a resource is gone, with its `deleted` event; nothing when that is known or it never had a row.

    One that went to another member has that event already, of the instant from which it was not billed any more.
    """
    gone = session.scalar(
        sa.update(Resource)
        .where(Resource.kind == kind, Resource.cloud_id == cloud_id, Resource.deleted_at.is_(None))
        .values(deleted_at=at)
        .returning(Resource.id)
    )
    told = sa.exists().where(ResourceEvent.resource_id == gone, ResourceEvent.kind == "deleted")
    if gone is not None and not session.scalar(sa.select(told)):
        record_event(session, gone, "deleted", at, flow_id=flow_id, source=source)
