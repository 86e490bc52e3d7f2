"""Deleting a service with a time of grace: it stops at once, waits, can be taken back; then it is deleted for good."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator import audit
from orchestrator.database import territory_session
from orchestrator.errors import Conflict, Text
from orchestrator.steps import Runtime
from orchestrator.tables import FLOW_LIVE, Flow, Service
from tenants import approvals, operations, quotas, reading, starting
from tenants.tables import Order

FOR_DELETION = {"for": "delete"}  # says of a stop that it was part of a deletion


def delete(session: Session, service_id: int, at: datetime, grace: timedelta) -> Flow | None:
    """Delete a service after `grace`, or at once when that is zero; the flow that this queues, if any.

    During the grace it is stopped and costs what a stopped one costs. A change that waits for a decision is cancelled.
    Raises not_found, service_protected, deletion_planned, flow_running or not_allowed_now.
    """
    quotas.lock(session, reading.find(session, Service, service_id).member_id)
    if not grace:
        flow = operations.ask(session, service_id, "delete")
        _cancel_changes(session, service_id, at)
        return flow
    service = reading.find(session, Service, service_id, lock=True)
    starting.check_free(session, service, harmful=True)
    service.delete_after = at + grace
    session.flush()
    _cancel_changes(session, service_id, at)
    stop = None
    if service.state == "active":
        stop = starting.queue(session, service, "stop_server", FOR_DELETION, requested_by=session.info["actor"])
    detail = {"after": service.delete_after.isoformat(), "flow": stop.id if stop else None}
    audit.record(session, "service.delete", f"service {service.id}", member_id=service.member_id, detail=detail)
    return stop


def _cancel_changes(session: Session, service_id: int, at: datetime) -> None:
    """Nobody decides any more about a change of what goes."""
    for order in session.scalars(
        sa.select(Order).where(Order.service_id == service_id, Order.state == "waiting").with_for_update()
    ):
        approvals.close(session, order, at)
        order.state, order.decided_by, order.decided_at = "cancelled", session.info["actor"], at
        order.reason = "Le service est supprimé."
        audit.record(session, "order.cancel", f"order {order.id}", member_id=order.member_id)
    session.flush()


def restore_deleted(session: Session, service_id: int) -> Flow | None:
    """Take a deletion back before it begins; the flow that starts the server again, if the deletion had stopped it.

    Raises not_found or Conflict not_deleted.
    """
    service = reading.find(session, Service, service_id, lock=True)
    if service.delete_after is None or service.state in ("deleting", "deleted"):
        raise Conflict(
            "not_deleted",
            Text("« {name} » n’est pas en instance de suppression.", name=service.name),
            "Voyez son état.",
            facts={"state": service.state},
        )
    last = session.scalar(sa.select(Flow).where(Flow.service_id == service.id).order_by(Flow.id.desc()).limit(1))
    if last is not None and last.kind == "delete_server" and last.state in FLOW_LIVE:
        raise Conflict("flow_running", Text("La suppression de « {name} » a commencé.", name=service.name))
    service.delete_after = None
    session.flush()
    start = None
    stopped_for_it = last is not None and last.state == "done" and last.parameters == FOR_DELETION
    if stopped_for_it and service.state == "stopped":
        start = starting.queue(session, service, "start_server", {}, requested_by=session.info["actor"])
    detail = {"flow": start.id if start else None}
    audit.record(
        session, "service.restore_deleted", f"service {service.id}", member_id=service.member_id, detail=detail
    )
    return start


def delete_due(session: Session, at: datetime) -> list[int]:
    """Queue the deletion of the services whose grace is over; their ids. Each is queued once.

    One whose flow failed is left to people, one that is busy to the next time; what was protected meanwhile stays.
    """
    tried = sa.select(Flow.id).where(
        Flow.service_id == Service.id,
        Flow.state.in_(FLOW_LIVE) | ((Flow.kind == "delete_server") & (Flow.queued_at >= Service.delete_after)),
    )
    due = session.scalars(
        sa.select(Service)
        .where(
            Service.delete_after <= at,
            Service.state.in_(("active", "stopped")),
            ~Service.protected,
            ~tried.exists(),
        )
        .order_by(Service.delete_after)
        .with_for_update(skip_locked=True)
    ).all()
    for service in due:
        flow = starting.queue(session, service, "delete_server", {}, requested_by=session.info["actor"])
        flow.queued_at = at
        detail = {"flow": flow.id, "after": service.delete_after and service.delete_after.isoformat()}
        audit.record(session, "service.delete_due", f"service {service.id}", member_id=service.member_id, detail=detail)
    return [service.id for service in due]


def run(runtime: Runtime) -> None:
    """The duty: delete what is due."""
    with territory_session(runtime.engine, f"worker {runtime.settings.worker_id}") as session:
        delete_due(session, datetime.now(UTC))
