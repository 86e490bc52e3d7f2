"""Guests and their plays: how they compare, what may be asked about it, and the duty that compares each every week."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.orm import Session

from orchestrator.database import territory_session
from orchestrator.errors import Conflict, Text
from orchestrator.steps import Runtime
from orchestrator.tables import FLOW_LIVE, Flow, Member, Service
from orchestrator.tables_drift import Drift
from tenants import operations, reading, schedules, starting

log = structlog.get_logger()

EVERY = timedelta(days=7)
AGAIN = timedelta(days=1)  # after a comparison that did not go well
NIGHT = timedelta(hours=5)  # from the hour of backups on: acts on a service wait while it is compared
AT_ONCE = 2  # comparisons that run
ORDER = sa.case({"differs": 0, "unknown": 1}, value=Drift.state, else_=2)


@dataclass(frozen=True)
class Compared:
    """A service and its play. row: None as long as nobody compared them; failed: the last attempt found nothing out;
    refused: why neither comparing nor repairing can be asked for now.
    """

    row: Drift | None
    failed: bool
    refused: Conflict | None


def of(session: Session, service: Service) -> Compared | None:
    """How a service compares with its play; None when it has none, or is gone."""
    if not service.specification.get("play") or service.state in ("deleting", "deleted", "failed"):
        return None
    row, refused = session.get(Drift, service.id), None
    try:
        _check(session, service)
    except Conflict as conflict:
        refused = conflict
    return Compared(row, row is not None and row.tried_at != row.compared_at, refused)


def _check(session: Session, service: Service) -> None:
    if not service.specification.get("play"):
        raise Conflict(
            "not_configured",
            Text("« {name} » n’a pas de configuration à laquelle le comparer.", name=service.name),
            "Choisissez un autre service.",
        )
    starting.check_free(session, service)
    if service.state != "active":
        raise starting.not_allowed_now(service)


def check(session: Session, service_id: int) -> Flow:
    """Compare a service's guest with its play, which changes nothing in it.

    Raises not_found, Conflict not_configured and what `operations.ask_for` raises.
    """
    _check(session, reading.find(session, Service, service_id, lock=True))
    return operations.ask_for(session, service_id, "check_drift", "drift.check")


def repair(session: Session, service_id: int) -> Flow:
    """Make a service's guest as its play has it again, by running that.

    Raises not_found, Conflict no_drift (nothing differs), not_configured and what `operations.ask_for` raises.
    """
    service = reading.find(session, Service, service_id, lock=True)
    _check(session, service)
    found = differing(session, service)
    given = [one["task"] for one in found.differences]
    return operations.ask_for(session, service_id, "repair_drift", "drift.repair", tasks=given)


def differing(session: Session, service: Service) -> Drift:
    """What differs of a service. Raises Conflict no_drift when nothing is known to."""
    found = session.get(Drift, service.id)
    if found is None or found.state != "differs":
        raise Conflict(
            "no_drift",
            Text("Aucun écart n’est connu sur « {name} ».", name=service.name),
            "Comparez-le d’abord.",
        )
    return found


def listed(session: Session, state: str | None = None, *, of: int | None = None) -> list[dict[str, Any]]:
    """The living services that have been compared, those that differ first, the longest of them before the others.

    Each has the columns of Drift and `name`, `member`, `member_name`; state: one of Drift's; of: this service only.
    """
    query = (
        sa.select(*Drift.__table__.columns, Service.name, Member.slug.label("member"), Member.name.label("member_name"))
        .join(Service, Service.id == Drift.service_id)
        .join(Member, Member.id == Drift.member_id)
        .where(Service.state.not_in(("deleted", "failed")))
        .order_by(ORDER, Drift.since, Drift.service_id)
    )
    if state:
        query = query.where(Drift.state == state)
    if of is not None:
        query = query.where(Drift.service_id == of)
    return [dict(row) for row in session.execute(query).mappings()]


def show(session: Session, service: Service) -> dict[str, Any]:
    """One service as `listed` gives it. Raises Conflict never_compared."""
    found = next((row for row in listed(session, of=service.id)), None)
    if found is None:
        raise Conflict(
            "never_compared",
            Text("« {name} » n’a pas encore été comparé à sa configuration.", name=service.name),
            "Comparez-le : cela n’y change rien.",
        )
    return found


def make_due(session: Session, at: datetime, hour: int, timezone: str) -> list[int]:
    """Queue the comparisons that are due, a few at a time and at night only; the ids of their services.

    Due is a service that was not compared for a week, first who waits longest; a busy one waits for the next time.
    """
    if at > schedules.last_due(hour, schedules.EVERY_DAY, at, timezone) + NIGHT:
        return []
    live = sa.select(sa.func.count()).where(Flow.kind == "check_drift", Flow.state.in_(FLOW_LIVE))
    room = AT_ONCE - (session.scalar(live) or 0)
    fresh = (Drift.compared_at > at - EVERY) | (Drift.tried_at > at - AGAIN)
    waiting = session.scalars(
        sa.select(Service.id)
        .outerjoin(Drift, Drift.service_id == Service.id)
        .where(Service.state == "active", Service.delete_after.is_(None),
               Service.specification["play"].as_string().is_not(None), Drift.service_id.is_(None) | ~fresh)
        .order_by(Drift.tried_at.nulls_first(), Service.id)
    ).all()  # fmt: skip
    made: list[int] = []
    for service_id in waiting:
        if len(made) >= room:
            break
        if starting.unless_busy(session, partial(check, session, service_id)):
            made.append(service_id)
    return made


def run(runtime: Runtime) -> None:
    """The duty."""
    settings = runtime.settings
    with territory_session(runtime.engine, f"worker {settings.worker_id}") as session:
        made = make_due(session, datetime.now(UTC), settings.backup_hour, settings.timezone)
    if made:
        log.info("comparisons", services=made)
