"""Reading rows for the doors: one row by its id, or a page of a list. Row-level security has filtered already."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator.errors import NotFound, Text
from orchestrator.tables import (
    AnsibleEvent,
    AuditEntry,
    Flow,
    FlowStep,
    Member,
    Resource,
    ResourceEvent,
    Service,
    Snapshot,
)
from tenants import statements
from tenants.tables import Order, Period, Statement

BEYOND = 2**63 - 1  # the biggest id a column holds; no row has it, whatever a bigger one asked for
Row = TypeVar("Row", Order, Service, Flow, Statement)


def page(
    session: Session,
    kind: type[Row],
    *,
    after: int | None = None,
    limit: int = 50,
    member: str | None = None,
    living: bool = False,
    states: Sequence[str] = (),
    text: str = "",
    service_id: int | None = None,
    flow_kind: str | None = None,
) -> tuple[list[dict[str, Any]], int | None]:
    """At most `limit` rows, newest first, and what to give as `after` for the following ones (None at the end).

    Each row holds the columns of `kind` and `member`, a slug. Narrowed to one member if `member` names it,
    of services to those that are neither deleted nor failed if `living`, to some `states`, to those whose name has
    `text` in it (services, orders), to those of one service (orders, flows), to flows of one kind.
    """
    query = _shown(kind).where(own(session, kind.member_id)).order_by(kind.id.desc())
    if after is not None:
        query = query.where(kind.id < after)
    if member is not None:
        query = query.where(kind.member_id == sa.select(Member.id).where(Member.slug == member).scalar_subquery())
    if living and kind is Service:
        query = query.where(Service.state.not_in(("deleted", "failed")))
    if states:
        query = query.where(kind.__table__.c.state.in_(states))
    if text.strip():
        query = query.where(_named(kind, text.strip()))
    if service_id is not None:
        query = query.where(kind.__table__.c.service_id == service_id)
    if flow_kind is not None and kind is Flow:
        query = query.where(Flow.kind == flow_kind)
    found = session.execute(query.limit(limit + 1))
    names = tuple(found.keys())
    rows = [dict(zip(names, row, strict=True)) for row in found]  # of two hundred rows, twice as quick as mappings()
    return rows[:limit], rows[limit - 1]["id"] if len(rows) > limit else None


def own(session: Session, member_id: Any) -> sa.ColumnElement[bool]:
    """Whether the column `member_id` names the member for which the session is; for the territory, always.

    Row-level security says the same, but in words that no index knows.
    """
    whose = session.info.get("member_id")
    mine: sa.ColumnElement[bool] = sa.true() if whose is None else member_id == whose
    return mine


def _named(kind: type[Row], text: str) -> sa.ColumnElement[bool]:
    """Rows whose name contains `text`, in upper or lower case."""
    if kind is Order:
        named: sa.ColumnElement[bool] = Order.parameters["name"].as_string().icontains(text, autoescape=True)
        return named
    if kind is Flow:
        services = sa.select(Service.id).where(Service.name.icontains(text, autoescape=True))
        return Flow.service_id.in_(services)
    return Service.name.icontains(text, autoescape=True) if kind is Service else sa.true()


def show(session: Session, kind: type[Row], row_id: int) -> dict[str, Any]:
    """One row as `page` gives it; the same error whether it is unknown or another member's."""
    row = session.execute(_shown(kind).where(kind.id == min(row_id, BEYOND))).mappings().one_or_none()
    if row is None:
        raise unknown()
    return dict(row)


def both(session: Session, kind: type[Row], row_id: int) -> tuple[Row, dict[str, Any]]:
    """One row to work with and as `page` gives it, by one query; errors as `show`."""
    query = sa.select(kind, Member.slug).join(Member, Member.id == kind.member_id)
    found = session.execute(query.where(kind.id == min(row_id, BEYOND))).one_or_none()
    if found is None:
        raise unknown()
    row, slug = found
    return row, {column.key: getattr(row, column.key) for column in kind.__table__.columns} | {"member": slug}


def _shown(kind: type[Row]) -> sa.Select[Any]:
    return sa.select(*kind.__table__.columns, Member.slug.label("member")).join(Member, Member.id == kind.member_id)


def find(session: Session, kind: type[Row], row_id: int, *, lock: bool = False) -> Row:
    """One row to work on, locked until the transaction ends if asked; errors as `show`."""
    row = session.get(kind, min(row_id, BEYOND), with_for_update=lock, populate_existing=lock)
    if row is None:
        raise unknown()
    return row


def member(session: Session, slug: str) -> Member:
    """The member of that slug, if the session may see it; raises `unknown_member`."""
    found = session.scalar(sa.select(Member).where(Member.slug == slug))
    if found is None:
        raise NotFound(
            "unknown_member", Text("Le membre « {slug} » n’existe pas.", slug=slug), "Vérifiez son nom court."
        )
    return found


def unknown() -> NotFound:
    """What is told of a row that is not there, and of one that is another's."""
    return NotFound("not_found", "Cela n’existe pas, ou n’est pas à vous.", "Revenez à la liste.")


def events(session: Session, service_id: int) -> list[dict[str, Any]]:
    """What happened to a service's resources, oldest first: kind, at, resource (its kind), sizes, source."""
    sizes = (ResourceEvent.vcpus, ResourceEvent.ram_mib, ResourceEvent.disk_gib, ResourceEvent.source)
    query = (
        sa.select(ResourceEvent.kind, ResourceEvent.at, Resource.kind.label("resource"), *sizes)
        .join(Resource, Resource.id == ResourceEvent.resource_id)
        .where(Resource.service_id == service_id)
        .order_by(ResourceEvent.at, ResourceEvent.id)
    )
    return [dict(row) for row in session.execute(query).mappings()]


def snapshots(session: Session, service_id: int) -> list[dict[str, Any]]:
    """The snapshots of a service that exist or are being made, newest first."""
    query = (
        sa.select(*Snapshot.__table__.columns)
        .where(Snapshot.service_id == service_id, Snapshot.state.not_in(("deleted", "failed")))
        .order_by(Snapshot.id.desc())
    )
    return [dict(row) for row in session.execute(query).mappings()]


def at_work(session: Session, at: datetime, *, limit: int = 200) -> list[dict[str, Any]]:
    """The services that matter now, newest first, as `page` gives them, with `flow` (the newest) and its `steps`.

    Deleted ones are left out, and those that failed over a week before `at`.
    """
    forgotten = (Service.state == "failed") & (Service.changed_at < at - timedelta(days=7))
    query = _shown(Service).where(Service.state != "deleted", sa.not_(forgotten)).order_by(Service.id.desc())
    rows = [dict(row) for row in session.execute(query.limit(limit)).mappings()]
    flows = _newest_flows(session, [row["id"] for row in rows])
    by_flow: dict[int, list[FlowStep]] = {}
    for step in steps(session, [flow.id for flow in flows.values()]):
        by_flow.setdefault(step.flow_id, []).append(step)
    for row in rows:
        flow = row["flow"] = flows.get(row["id"])
        row["steps"] = by_flow.get(flow.id, []) if flow else []
    return rows


def _newest_flows(session: Session, service_ids: list[int]) -> dict[int, Flow]:
    newest = sa.select(sa.func.max(Flow.id)).where(Flow.service_id.in_(service_ids)).group_by(Flow.service_id)
    return {flow.service_id: flow for flow in session.scalars(sa.select(Flow).where(Flow.id.in_(newest)))}


def waiting_orders(session: Session, *, limit: int) -> list[dict[str, Any]]:
    """The orders that wait for a decision, oldest first, so many at most; each with its `member_name`."""
    query = (
        _shown(Order)
        .add_columns(Member.name.label("member_name"))
        .where(Order.state == "waiting", own(session, Order.member_id))
        .order_by(Order.id)
    )
    return [dict(row) for row in session.execute(query.limit(limit)).mappings()]


def steps(session: Session, flow_ids: list[int]) -> list[FlowStep]:
    """The steps of some flows, in the order they began."""
    return list(session.scalars(sa.select(FlowStep).where(FlowStep.flow_id.in_(flow_ids)).order_by(FlowStep.id)))


def tasks(session: Session, flow_id: int, *, after: int = 0, limit: int = 500) -> list[AnsibleEvent]:
    """What Ansible did in the guest during a flow, as it came, beginning after the event `after`."""
    query = sa.select(AnsibleEvent).where(AnsibleEvent.flow_id == flow_id, AnsibleEvent.id > after)
    return list(session.scalars(query.order_by(AnsibleEvent.id).limit(limit)))


def statement_row(session: Session, statement_id: int) -> tuple[Statement, Period, Member]:
    """A statement with its period and its member; errors as `show`."""
    found = session.execute(
        sa.select(Statement, Period, Member)
        .join(Period, Period.id == Statement.period_id)
        .join(Member, Member.id == Statement.member_id)
        .where(Statement.id == min(statement_id, BEYOND))
    ).one_or_none()
    if found is None:
        raise unknown()
    row, period, whose = found
    return row, period, whose


def statement(session: Session, statement_id: int) -> dict[str, Any]:
    """A statement's whole document, with its id and its own hash; errors as `show`."""
    row, period, whose = statement_row(session, statement_id)
    return {**statements.document(session, row, period, whose), "id": row.id, "hash": row.hash}


def audit_entries(
    session: Session, *, after: int | None = None, limit: int = 50, member: str | None = None
) -> list[dict[str, Any]]:
    """The audit trail, newest first, older than the entry `after`, of one member (a slug) if named."""
    query = (
        sa.select(
            AuditEntry.id,
            AuditEntry.at,
            AuditEntry.actor,
            AuditEntry.action,
            AuditEntry.subject,
            AuditEntry.detail,
            Member.slug.label("member"),
        )
        .outerjoin(Member, Member.id == AuditEntry.member_id)
        .order_by(AuditEntry.id.desc())
    )
    if after is not None:
        query = query.where(AuditEntry.id < after)
    if member is not None:
        query = query.where(Member.slug == member)
    return [dict(row) for row in session.execute(query.limit(limit)).mappings()]
