"""Reading rows for the doors: one row by its id, or a page of a list. Row-level security has filtered already."""

from __future__ import annotations

from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator.errors import NotFound
from orchestrator.tables import AnsibleEvent, Flow, FlowStep, Member, Resource, ResourceEvent, Service
from tenants.tables import Order, Statement

Row = TypeVar("Row", Order, Service, Flow, Statement)


def page(
    session: Session, kind: type[Row], *, after: int | None = None, limit: int = 50, member: str | None = None
) -> tuple[list[dict[str, Any]], int | None]:
    """At most `limit` rows, newest first, and what to give as `after` for the following ones (None at the end).

    Each row holds the columns of `kind` and `member`, a slug. Narrowed to one member if `member` names it.
    """
    query = _shown(kind).order_by(kind.id.desc())
    if after is not None:
        query = query.where(kind.id < after)
    if member is not None:
        query = query.where(Member.slug == member)
    rows = [dict(row) for row in session.execute(query.limit(limit + 1)).mappings()]
    return rows[:limit], rows[limit - 1]["id"] if len(rows) > limit else None


def show(session: Session, kind: type[Row], row_id: int) -> dict[str, Any]:
    """One row as `page` gives it; the same error whether it is unknown or another member's."""
    row = session.execute(_shown(kind).where(kind.id == row_id)).mappings().one_or_none()
    if row is None:
        raise _unknown()
    return dict(row)


def _shown(kind: type[Row]) -> sa.Select[Any]:
    return sa.select(*kind.__table__.columns, Member.slug.label("member")).join(Member, Member.id == kind.member_id)


def find(session: Session, kind: type[Row], row_id: int, *, lock: bool = False) -> Row:
    """One row to work on, locked until the transaction ends if asked; errors as `show`."""
    row = session.get(kind, row_id, with_for_update=lock, populate_existing=lock)
    if row is None:
        raise _unknown()
    return row


def _unknown() -> NotFound:
    return NotFound("not_found", "Cela n’existe pas, ou n’est pas à vous.", "Revenez à la liste.")


def events(session: Session, service_id: int) -> list[dict[str, Any]]:
    """What happened to a service's resources, oldest first: kind, at, resource (its kind) and sizes from then on."""
    sizes = (ResourceEvent.vcpus, ResourceEvent.ram_mib, ResourceEvent.disk_gib)
    query = (
        sa.select(ResourceEvent.kind, ResourceEvent.at, Resource.kind.label("resource"), *sizes)
        .join(Resource, Resource.id == ResourceEvent.resource_id)
        .where(Resource.service_id == service_id)
        .order_by(ResourceEvent.at, ResourceEvent.id)
    )
    return [dict(row) for row in session.execute(query).mappings()]


def latest_flows(session: Session, service_ids: list[int]) -> dict[int, Flow]:
    """The newest flow of each service."""
    query = sa.select(Flow).where(Flow.service_id.in_(service_ids)).distinct(Flow.service_id)
    flows = session.scalars(query.order_by(Flow.service_id, Flow.id.desc()))
    return {flow.service_id: flow for flow in flows}


def steps(session: Session, flow_ids: list[int]) -> list[FlowStep]:
    """The steps of some flows, in the order they began."""
    return list(session.scalars(sa.select(FlowStep).where(FlowStep.flow_id.in_(flow_ids)).order_by(FlowStep.id)))


def tasks(session: Session, flow_id: int, *, after: int = 0, limit: int = 500) -> list[AnsibleEvent]:
    """What Ansible did in the guest during a flow, as it came, beginning after the event `after`."""
    query = sa.select(AnsibleEvent).where(AnsibleEvent.flow_id == flow_id, AnsibleEvent.id > after)
    return list(session.scalars(query.order_by(AnsibleEvent.id).limit(limit)))
