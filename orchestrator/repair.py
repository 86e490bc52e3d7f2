"""What the DSI does about a flow that is held: go on where it failed, undo it, or say who is on it.

Each is one transaction: the row, the audit entry, and the new run, which the row's trigger queues. Who asks second
finds that the flow is held no more.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator import audit
from orchestrator.database import territory_session
from orchestrator.errors import Conflict, InvalidInput, NotFound
from orchestrator.steps import Runtime
from orchestrator.tables import FLOW_LIVE, Flow

ACTOR = "repair"
NOTE_LENGTH = 2000


def retry(session: Session, flow_id: int) -> Flow:
    """Run a held flow again, from the step that failed; one that failed as it was undone goes on with that.

    Raises NotFound or Conflict `flow_not_held`.
    """
    return _run_again(session, _held(session, flow_id), "flow.retry")


def undo(session: Session, flow_id: int) -> Flow:
    """Undo what a held flow has made; it then has failed. Raises as `retry`."""
    flow = _held(session, flow_id)
    flow.undo_requested = True
    return _run_again(session, flow, "flow.undo")


def hand_over(session: Session, flow_id: int, to: str, note: str = "") -> Flow:
    """Say that `to` (a name that people know) is on a flow, and what they should know.

    Raises NotFound, InvalidInput `invalid_note`, or Conflict `flow_ended`.
    """
    if not to.strip() or len(to) > NOTE_LENGTH or len(note) > NOTE_LENGTH:
        raise InvalidInput("invalid_note", "Dites qui s’en occupe, en 2 000 caractères au plus.", "Corrigez la note.")
    flow = _locked(session, flow_id)
    if flow.state not in FLOW_LIVE:
        raise Conflict("flow_ended", "Cette opération est déjà finie.", "Voyez l’état du service.")
    if (flow.keeper, flow.keeper_note) == (to, note):
        return flow
    flow.keeper, flow.keeper_note = to, note
    session.flush()
    _record(session, flow, "flow.hand_over", to=to, note=note)
    return flow


def expire(runtime: Runtime) -> list[int]:
    """Undo the flows that were held longer than `settings.hold_hours`; their ids. A duty of every worker."""
    before = datetime.now(UTC) - timedelta(hours=runtime.settings.hold_hours)
    with territory_session(runtime.engine, ACTOR) as session:
        query = sa.select(Flow.id).where(Flow.state == "held", Flow.held_at < before).order_by(Flow.id)
        overdue = list(session.scalars(query.with_for_update(skip_locked=True)))
        for flow_id in overdue:
            undo(session, flow_id)
    return overdue


def _held(session: Session, flow_id: int) -> Flow:
    flow = _locked(session, flow_id)
    if flow.state != "held":
        raise Conflict(
            "flow_not_held",
            "Cette opération n’attend pas la DSI.",
            "Voyez où elle en est.",
            facts={"state": flow.state},
        )
    return flow


def _locked(session: Session, flow_id: int) -> Flow:
    flow = session.get(Flow, flow_id, with_for_update=True, populate_existing=True)
    if flow is None:
        raise NotFound("not_found", "Cette opération n’existe pas.", "Vérifiez son numéro.")
    return flow


def _run_again(session: Session, flow: Flow, action: str) -> Flow:
    flow.state, flow.held_at, flow.runs = "queued", None, flow.runs + 1
    session.flush()
    _record(session, flow, action, error=flow.error_code)
    return flow


def _record(session: Session, flow: Flow, action: str, **detail: object) -> None:
    told = {"kind": flow.kind, "service": flow.service_id, **detail}
    audit.record(session, action, f"flow {flow.id}", member_id=flow.member_id, detail=told)
