"""Reading rows for the doors: one row by its id, or a page of a list. Row-level security has filtered already."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator.errors import NotFound
from orchestrator.tables import AnsibleEvent, Flow, FlowStep, Member, Resource, ResourceEvent, Service
from tenants.tables import Order, Statement

Row = TypeVar("Row", Order, Service, Flow, Statement)


@dataclass(frozen=True)
class Page(Generic[Row]):
    """Newest first. members: slug by member id; next: give it as `after` for the following page, None at the end."""

    items: list[Row]
    members: dict[int, str]
    next: int | None


def page(
    session: Session, kind: type[Row], *, after: int | None = None, limit: int = 50, member: str | None = None
) -> Page[Row]:
    """At most `limit` rows older than the row `after`, of one member (a slug) if named."""
    query = sa.select(kind, Member.slug).join(Member, Member.id == kind.member_id).order_by(kind.id.desc())
    if after is not None:
        query = query.where(kind.id < after)
    if member is not None:
        query = query.where(Member.slug == member)
    rows = session.execute(query.limit(limit + 1)).all()
    items = [row for row, _ in rows[:limit]]
    members = {row.member_id: slug for row, slug in rows[:limit]}
    return Page(items, members, items[-1].id if len(rows) > limit else None)


def find(session: Session, kind: type[Row], row_id: int, *, lock: bool = False) -> Row:
    """One row; the same error whether it is unknown or another member's."""
    row = session.get(kind, row_id, with_for_update=lock, populate_existing=lock)
    if row is None:
        raise NotFound("not_found", "Cela n’existe pas, ou n’est pas à vous.", "Revenez à la liste.")
    return row


def member_of(session: Session, row: Order | Service | Flow | Statement) -> str:
    """The slug of the member that a row belongs to."""
    return session.scalars(sa.select(Member.slug).where(Member.id == row.member_id)).one()


def events(session: Session, service_id: int) -> list[tuple[ResourceEvent, str]]:
    """What happened to a service's resources, oldest first: (event, kind of resource)."""
    query = (
        sa.select(ResourceEvent, Resource.kind)
        .join(Resource, Resource.id == ResourceEvent.resource_id)
        .where(Resource.service_id == service_id)
        .order_by(ResourceEvent.at, ResourceEvent.id)
    )
    return [(event, kind) for event, kind in session.execute(query)]


def flows_of(session: Session, service_ids: list[int]) -> list[Flow]:
    """The flows of some services, newest first."""
    return list(session.scalars(sa.select(Flow).where(Flow.service_id.in_(service_ids)).order_by(Flow.id.desc())))


def steps(session: Session, flow_ids: list[int]) -> list[FlowStep]:
    """The steps of some flows, in the order they began."""
    return list(session.scalars(sa.select(FlowStep).where(FlowStep.flow_id.in_(flow_ids)).order_by(FlowStep.id)))


def tasks(session: Session, flow_id: int, *, after: int = 0, limit: int = 500) -> list[AnsibleEvent]:
    """What Ansible did in the guest during a flow, as it came, beginning after the event `after`."""
    query = sa.select(AnsibleEvent).where(AnsibleEvent.flow_id == flow_id, AnsibleEvent.id > after)
    return list(session.scalars(query.order_by(AnsibleEvent.id).limit(limit)))
