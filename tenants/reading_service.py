"""What the page of one service shows, with a number of queries that does not depend on how much happened to it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from orchestrator.errors import Conflict
from orchestrator.tables import Flow, Member, Resource, ResourceEvent, Service, Snapshot
from tenants import costs, reading, wholes
from tenants.tables import Offer, Order
from tenants.tables_schedules import SnapshotSchedule

MOST = 50  # of each list: the newest; the lists themselves have the rest


@dataclass(frozen=True)
class ServiceView:
    """row: as `reading.show` gives it, service: the same to work with; member: whose, by name; whole: what it is made
    of, None when no order says; newest first: events, flows, snapshots (without those that are gone), orders;
    resources: living ones; change: the order of a change that waits.
    """

    row: dict[str, Any]
    service: Service
    member: str
    whole: wholes.Whole | None
    resources: list[Resource]
    events: list[dict[str, Any]]
    flows: list[Flow]
    snapshots: list[Snapshot]
    schedule: SnapshotSchedule | None
    orders: list[Order]
    change: Order | None
    cost: costs.Part


def service_page(session: Session, service_id: int, at: datetime, timezone: str) -> ServiceView:
    """Everything about a service. Raises not_found."""
    service, row = reading.both(session, Service, service_id)
    service_id = service.id
    orders = list(session.scalars(_newest(Order, service_id)))
    return ServiceView(
        row=row,
        service=service,
        member=session.get_one(Member, service.member_id).name,
        whole=whole(session, service),
        resources=list(
            session.scalars(
                sa.select(Resource)
                .where(Resource.service_id == service_id, Resource.deleted_at.is_(None))
                .order_by(Resource.kind, Resource.role)
            )
        ),
        events=_events(session, service_id),
        flows=list(session.scalars(_newest(Flow, service_id))),
        snapshots=list(
            session.scalars(_newest(Snapshot, service_id).where(Snapshot.state.not_in(("deleted", "failed"))))
        ),
        schedule=session.get(SnapshotSchedule, service_id),
        orders=orders,
        change=next((order for order in orders if order.state == "waiting"), None),
        cost=costs.service_so_far(session, service, at, timezone),
    )


def newest_flow(session: Session, service_id: int) -> Flow | None:
    """The last operation on a service, if there was one."""
    return session.scalar(sa.select(Flow).where(Flow.service_id == service_id).order_by(Flow.id.desc()).limit(1))


def size_before(session: Session, service_id: int) -> str | None:
    """The offer (its slug) that a service had before its size was last changed; None when it never was."""
    query = (
        sa.select(Order.parameters["before"].as_string())
        .join(Flow, Flow.id == Order.flow_id)
        .where(Order.service_id == service_id, Order.kind == "resize", Flow.state == "done")
        .order_by(Order.id.desc())
        .limit(1)
    )
    return session.scalar(query)


def _newest(kind: type[Any], service_id: int) -> sa.Select[Any]:
    return sa.select(kind).where(kind.service_id == service_id).order_by(kind.id.desc()).limit(MOST)


def whole(session: Session, service: Service) -> wholes.Whole | None:
    """What a service is made of; None when no order says."""
    try:
        return wholes.of(session, wholes.settled(session, service))
    except Conflict:
        return None


def titles(session: Session, slugs: Iterable[str | None]) -> dict[str, dict[str, str]]:
    """What offers are called now, by language, by their slugs; one that is unknown is left out."""
    newest = sa.select(Offer.slug, Offer.title).ext(distinct_on(Offer.slug)).where(Offer.slug.in_(slugs))
    return dict(session.execute(newest.order_by(Offer.slug, Offer.version.desc())).all())


def _events(session: Session, service_id: int) -> list[dict[str, Any]]:
    query = (
        sa.select(
            ResourceEvent.kind, ResourceEvent.at, Resource.kind.label("resource"), Resource.role,
            ResourceEvent.vcpus, ResourceEvent.ram_mib, ResourceEvent.disk_gib, ResourceEvent.source,
        )
        .join(Resource, Resource.id == ResourceEvent.resource_id)
        .where(Resource.service_id == service_id)
        .order_by(ResourceEvent.at.desc(), ResourceEvent.id.desc())
        .limit(MOST)
    )  # fmt: skip
    return [dict(row) for row in session.execute(query).mappings()]
