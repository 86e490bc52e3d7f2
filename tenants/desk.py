"""What waits on the DSI's desk: all members' orders and flows, narrowed, newest first; and why a flow waits."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator.errors import Text
from orchestrator.settings import Settings
from orchestrator.tables import Flow, FlowStep, Member, Service
from tenants import workers
from tenants.exports import safe
from tenants.tables import Offer, Order
from tenants.tables_approvals import Approval

Page = tuple[list[dict[str, Any]], int | None]
ORDER_COLUMNS = ("id", "placed_at", "member", "kind", "offer", "name", "state", "monthly", "placed_by", "decided_by",
                 "decided_at", "reason")  # fmt: skip


def orders(session: Session, given: Mapping[str, str], *, after: int | None = None, limit: int = 50) -> Page:
    """Orders, narrowed by state, member (slug) and step as far as `given`.

    With member (slug), member_name, offer (slug), name (of the service) and step (whose turn it is).
    """
    turn = (Approval.order_id == Order.id) & (Approval.state == "waiting") & Approval.opened_at.is_not(None)
    query = (
        sa.select(
            *Order.__table__.columns, Member.slug.label("member"), Member.name.label("member_name"),
            Offer.slug.label("offer"), Order.parameters["name"].as_string().label("name"), Approval.step,
            Approval.due_at,
        )
        .join(Member, Member.id == Order.member_id)
        .join(Offer, Offer.id == Order.offer_id)
        .outerjoin(Approval, turn)
        .order_by(Order.id.desc())
    )  # fmt: skip
    columns = {"state": Order.state, "member": Member.slug, "step": Approval.step}
    query = query.where(*(column == given[name] for name, column in columns.items() if given.get(name)))
    return _page(session, query, Order, after, limit)


def orders_csv(rows: list[dict[str, Any]]) -> bytes:
    """Orders for a spreadsheet: UTF-8 with BOM, `;`, decimal comma, instants in ISO 8601."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=";", lineterminator="\r\n")
    writer.writerow(ORDER_COLUMNS)
    for row in rows:
        writer.writerow([_cell(name, row[name]) for name in ORDER_COLUMNS])
    return text.getvalue().encode("utf-8-sig")


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value).replace(".", ",") if name == "monthly" else safe(str(value))


def flows(session: Session, given: Mapping[str, str], *, after: int | None = None, limit: int = 50) -> Page:
    """Flows, narrowed by state, member (slug) and kind as far as `given`; with member, member_name, service."""
    query = (
        sa.select(
            *Flow.__table__.columns, Member.slug.label("member"), Member.name.label("member_name"),
            Service.name.label("service"),
        )
        .join(Member, Member.id == Flow.member_id)
        .join(Service, Service.id == Flow.service_id)
        .order_by(Flow.id.desc())
    )  # fmt: skip
    columns = {"state": Flow.state, "member": Member.slug, "kind": Flow.kind}
    query = query.where(*(column == given[name] for name, column in columns.items() if given.get(name)))
    return _page(session, query, Flow, after, limit)


def _page(
    session: Session, query: sa.Select[Any], kind: type[Order] | type[Flow], after: int | None, limit: int
) -> Page:
    if after is not None:
        query = query.where(kind.id < after)
    rows = [dict(row) for row in session.execute(query.limit(limit + 1)).mappings()]
    return rows[:limit], rows[limit - 1]["id"] if len(rows) > limit else None


def why(session: Session, flow: Flow, settings: Settings, now: datetime) -> str | None:
    """In a sentence, why a flow is not further; None when it is over or at work as it should be."""
    if flow.state == "held":
        if flow.keeper:
            return Text("Une étape a échoué ; {keeper} s’en occupe.", keeper=flow.keeper)
        return Text("Une étape a échoué ; elle attend que la DSI réessaie, défasse, ou dise qui s’en occupe.")
    if flow.state == "running":
        return _step(session, flow)
    return _queue(session, flow, settings, now) if flow.state == "queued" else None


def _step(session: Session, flow: Flow) -> str | None:
    query = sa.select(FlowStep).where(FlowStep.flow_id == flow.id, FlowStep.state == "running")
    step = session.scalar(query.order_by(FlowStep.id.desc()).limit(1))
    if step is None or step.attempts < 2:
        return None
    return Text("L’étape « {step} » en est à son essai {attempt}.", step=step.name, attempt=step.attempts)


def _queue(session: Session, flow: Flow, settings: Settings, now: datetime) -> str:
    if not any(worker["state"] == "alive" for worker in workers.listed(session, now, settings.dead_after_seconds)):
        return Text("Aucun worker n’est en marche.")
    running = sa.select(Flow.member_id).where(Flow.state.in_(("running", "undoing")))
    busy = session.scalars(running).all()
    if busy.count(flow.member_id) >= settings.flows_per_member:
        return Text(
            "Ce membre a déjà {most} opérations en cours, le plus qu’il puisse.", most=settings.flows_per_member
        )
    if len(busy) >= settings.flows_total:
        return Text(
            "{most} opérations sont déjà en cours, le plus que les workers prennent.", most=settings.flows_total
        )
    return Text("Elle attend qu’un worker la prenne.")
