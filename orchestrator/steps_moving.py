"""The steps that bring a service to another member: the old one rests, its data is carried over, the new one serves.

The flow is the new service's. Until its last step nothing of the old one is lost: it only rests, and an undo wakes it.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator import audit, events, services, usage
from orchestrator import steps_backups as keeping
from orchestrator import steps_entry as leading
from orchestrator.errors import Conflict, Text
from orchestrator.events import Size
from orchestrator.steps import Run, Write
from orchestrator.tables import FLOW_LIVE, Flow, Service
from orchestrator.tables_backups import Backup
from orchestrator.tables_usage import OLDEST

METERED = ("volume", "floating_ip")  # what counts from its creation on, beside the server, which counts while it serves


def close(run: Run) -> Write:
    """The old service rests: it takes nothing more in, and no other operation begins on it. Raises flow_running."""

    def write(session: Session) -> None:
        old = session.get_one(Service, run.parameters["copies"], with_for_update=True, populate_existing=True)
        busy = sa.select(Flow.id).where(Flow.service_id == old.id, Flow.state.in_(FLOW_LIVE))
        if session.scalar(busy) is not None or old.delete_after is not None:
            raise Conflict(
                "flow_running",
                Text("Une opération est en cours sur « {name} ».", name=old.name),
                "Attendez qu’elle finisse, puis recommencez le transfert.",
            )
        services.change_state(session, old.id, "moving", datetime.now(UTC), flow_id=run.flow_id)

    return write


def reopen(run: Run) -> Write:
    """The old service serves as before; the entry is told at once, or by the worker's duty."""

    def write(session: Session) -> None:
        old = session.get_one(Service, run.parameters["copies"])
        if old.state == "moving":
            services.change_state(session, old.id, "active", datetime.now(UTC), flow_id=run.flow_id)

    with run.session() as session:
        write(session)
    return leading.tell(run)


def back_up(run: Run) -> Write:
    """Put what the old service holds at its last instant into the vault."""
    return keeping.make(as_old(run))


def count(run: Run) -> Write:
    """Have the old application count what must be there afterwards."""
    return keeping.count(as_old(run))


def as_old(run: Run) -> Run:
    """The same run, of the old service's guest."""
    with run.session() as session:
        old = session.get_one(Service, run.parameters["copies"])
        facts = {"member_id": old.member_id, "service_id": old.id, "ref": str(old.ref), "name": old.name,
                 "specification": old.specification}  # fmt: skip
    return replace(run, facts=run.facts | facts)


def hand_over(run: Run, session: Session) -> None:
    """From one instant on the service is the new member's: what the old one holds is counted until then, what the new
    one holds from then on. The old one is deleted next.
    """
    at = datetime.now(UTC)
    old = session.get_one(Service, run.parameters["copies"], with_for_update=True, populate_existing=True)
    if old.state != "moving":
        return  # it was done, by a worker that could not say so any more
    for resource in events.living(session, old.id):
        events.record_event(session, resource.id, "deleted", at, flow_id=run.flow_id)
    for resource in events.living(session, run.owner.service_id):
        if resource.kind in METERED:
            size = Size(disk_gib=run.specification["disk_gib"]) if resource.kind == "volume" else Size()
            events.record_event(session, resource.id, "created", at, flow_id=run.flow_id, size=size)
    counted = dict(session.get_one(Backup, run.parameters["backup_id"]).meters or {})
    counted.pop(OLDEST, None)  # what has its time may be no part of a backup: the new one tells what it keeps
    usage.keep(session, run.owner, run.specification["stack"]["slug"], counted, at)
    services.change_state(session, run.owner.service_id, "active", at, flow_id=run.flow_id)
    _delete(run, session, old, at)


def _delete(run: Run, session: Session, old: Service, at: datetime) -> None:
    asked = session.scalar(sa.select(Flow.requested_by).where(Flow.id == run.flow_id))
    services.change_state(session, old.id, "active", at, flow_id=run.flow_id)
    services.change_state(session, old.id, "deleting", at, flow_id=run.flow_id)
    session.add(Flow(member_id=old.member_id, service_id=old.id, kind="delete_server", requested_by=asked or ""))
    new = run.owner
    for member_id, subject, other in (
        (old.member_id, old.id, {"to_member": new.member_id, "to_service": new.service_id}),
        (new.member_id, new.service_id, {"from_member": old.member_id, "from_service": old.id}),
    ):
        detail: dict[str, Any] = {"at": at.isoformat(), "flow": run.flow_id, **other}
        audit.record(session, "service.move", f"service {subject}", member_id=member_id, detail=detail)
