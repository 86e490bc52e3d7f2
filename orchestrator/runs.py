"""How a flow begins and ends: done; held, so that the DSI can mend it and go on; or undone.

A flow that was held runs again under a new number; a run that is no longer the flow's last one does nothing.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.orm import Session

from orchestrator import audit, backups, drift, exports, services, snapshots, steps
from orchestrator.database import territory_session
from orchestrator.errors import ClocherError, Conflict, FlowCancelled, Text
from orchestrator.steps import Act, Run, Runtime, Write, durably, nothing
from orchestrator.tables import FLOW_LIVE, Flow, FlowStep, Place, Resource, Service, Snapshot

log = structlog.get_logger()

NO_ERROR: dict[str, Any] = dict.fromkeys(("error_code", "error_sentence", "error_detail"))
BEFORE = "before"  # the state that the service had when the flow began


@dataclass(frozen=True)
class Kind:
    """A flow's story, and what is around it.

    during: the service's state meanwhile, None when it keeps its own; failing: its state after a failure, None to
    leave it half-way; needs: the states in which it can begin; cancellable: a running one stops at its next step;
    holds: the DSI may mend a failure, else it is undone at once; swept: what its undo could not take away is nobody's
    then, and the sweeper's; else the DSI may mend that too.
    """

    story: Callable[[Run], None]
    during: str | None = None
    failing: str | None = BEFORE
    needs: tuple[str, ...] = ("active",)
    cancellable: bool = False
    holds: bool = True
    swept: bool = False


def begin(runtime: Runtime, flow_id: int, number: int, kind: Kind) -> Run | None:
    """Show the flow as running and read what its steps need. None: it ended before, or it can't begin."""
    facts = durably("begin", partial(_begin, runtime, flow_id, number, kind))
    return None if facts is None else Run(runtime, flow_id, number, facts, kind.cancellable)


def _begin(runtime: Runtime, flow_id: int, number: int, kind: Kind) -> dict[str, Any] | None:
    with territory_session(runtime.engine, f"flow {flow_id}") as session:
        flow = session.get_one(Flow, flow_id, with_for_update=True)
        service = session.get_one(Service, flow.service_id)
        if flow.state not in ("queued", "running") or flow.runs != number:
            return None
        if flow.began_from is None and _refuse(session, flow, service, kind):
            return None
        flow.state, flow.started_at = "running", flow.started_at or datetime.now(UTC)
        flow.began_from = flow.began_from or service.state
        if kind.during and not flow.undo_requested and not flow.cancel_requested:
            services.change_state(session, service.id, kind.during, datetime.now(UTC), flow_id=flow_id)
        return _facts(session, flow, service)


def _refuse(session: Session, flow: Flow, service: Service, kind: Kind) -> bool:
    """End a flow that is not to begin: cancelled while it waited, or its service is no longer as it must be."""
    if flow.cancel_requested:
        told: dict[str, str] = {}
        state = "cancelled"
    elif service.state not in (*kind.needs, kind.during):
        told = explain(_wrong_state(service))
        state = "failed"
    else:
        return False
    if flow.kind in ("create_server", "move_service"):
        services.change_state(session, service.id, "failed", datetime.now(UTC), flow_id=flow.id)
    _give_up(session, flow)
    _end_flow(session, flow.id, state, told)
    return True


def _give_up(session: Session, flow: Flow) -> None:
    """What the flow was to make or find out will not be, unless it is there already."""
    for kind in (snapshots, backups, exports, drift):
        kind.give_up(session, flow)


def _wrong_state(service: Service) -> Conflict:
    return Conflict(
        "service_state",
        Text("« {name} » n’est plus dans un état qui permet cette action.", name=service.name),
        "Voyez son état, puis recommencez s’il le faut.",
        facts={"state": service.state},
    )


def _facts(session: Session, flow: Flow, service: Service) -> dict[str, Any]:
    place = session.get(Place, flow.member_id)
    done = session.execute(sa.select(FlowStep.name, FlowStep.state).where(FlowStep.flow_id == flow.id))
    volumes = sa.select(Resource.role).where(
        Resource.service_id == service.id, Resource.kind == "volume", Resource.deleted_at.is_(None),
        ~Resource.role.contains("/"),
    )  # fmt: skip
    kept = sa.select(Snapshot.id).where(Snapshot.service_id == service.id, Snapshot.state.not_in(("deleted", "failed")))
    return {
        "member_id": flow.member_id,
        "service_id": service.id,
        "ref": str(service.ref),
        # A flow that renamed it and runs again still speaks of the name that it found.
        "name": flow.parameters.get("former", service.name),
        "specification": service.specification,
        "parameters": flow.parameters,
        "began_from": flow.began_from,
        "queued_at": flow.queued_at.isoformat(),
        "steps": {row.name: row.state for row in done} if flow.runs > 1 else {},
        "undo": flow.runs > 1 and (flow.undo_requested or flow.cancel_requested),
        "cancelled": flow.cancel_requested,
        "error": {name: getattr(flow, name) for name in NO_ERROR},
        "volumes": sorted(session.scalars(volumes)),
        "snapshots": sorted(session.scalars(kept)),
        "place": place
        and {
            "project_id": place.project_id,
            "network_id": place.network_id,
            "security_group_id": place.security_group_id,
        },
    }


def finish_as(service_state: str | None, change: Write = nothing) -> Act:
    """The last step, in one transaction: what the flow changes, the service's new state and the end of the flow.

    service_state: None gives the service the state back that it had before.
    """

    def finish(run: Run) -> Write:
        def write(session: Session) -> None:
            change(session)
            _end(session, run, "done", service_state or run.facts["began_from"], {})

        return write

    return finish


def fail(run: Run, error: Exception, kind: Kind) -> None:
    """End a run that failed: hold the flow where it is for the DSI, or undo what it made."""
    if not isinstance(error, ClocherError):
        log.error("flow broke", flow=run.flow_id, exc_info=error)
    definite = isinstance(error, ClocherError) and error.definite
    told = explain(error)
    may_hold = kind.holds and run.runtime.settings.hold_failures and not definite
    if may_hold and durably("hold", partial(_hold, run, told)):
        steps.at_boundary("hold", "recorded")
        return
    undo(run, told, "cancelled" if isinstance(error, FlowCancelled) else "failed", kind)


def take_back(run: Run, kind: Kind) -> None:
    """Undo what earlier runs made; the flow keeps the reason for which it was held."""
    cancelled = run.facts["cancelled"]
    told = explain(FlowCancelled("flow_cancelled", "L’opération a été annulée.")) if cancelled else run.facts["error"]
    undo(run, dict(told), "cancelled" if cancelled else "failed", kind)


def _hold(run: Run, told: dict[str, str], *, undoing: bool = False) -> bool:
    """Show the flow as held, its step as failed; False when somebody wants it undone anyway.

    undoing: it is what undoes that failed; the next run goes on with that.
    """
    with run.session() as session:
        flow = session.get_one(Flow, run.flow_id, with_for_update=True)
        if flow.runs != run.number or flow.state == "held":
            return True  # this was written before, and somebody may have acted on it since
        if flow.cancel_requested and not undoing:
            return False
        flow.undo_requested = flow.undo_requested or undoing
        _fail_steps(session, run, told)
        flow.state, flow.held_at = "held", datetime.now(UTC)
        flow.error_code, flow.error_sentence = told["error_code"], told["error_sentence"]
        flow.error_detail = told["error_detail"]
        session.flush()
        audit.record(
            session,
            "flow.hold",
            f"flow {run.flow_id}",
            member_id=run.owner.member_id,
            detail={"kind": flow.kind, "service": flow.service_id, "error": flow.error_code},
        )
    steps.at_boundary("hold", "effect")
    log.error("flow held", flow=run.flow_id, code=told["error_code"], detail=told["error_detail"])
    return True


def undo(run: Run, told: dict[str, str], state: str, kind: Kind) -> None:
    """Undo what was made, in reverse; say why in the flow, and leave the service as its kind wants it."""
    run.cancellable = False  # what undoes must not be cancelled itself
    durably("undo", partial(_show_undoing, run, told))
    whole = True
    for name, act in reversed(run.undos):
        try:
            durably(f"undo {name}", partial(_undo, run, name, act))
        except Exception as failure:  # whatever it is, the other undos must run; it is told
            whole = False
            told["error_detail"] = f"{told['error_detail']}\nundo of {name}: {explain(failure)['error_detail']}"[-8000:]
            log.error("undo failed", flow=run.flow_id, step=name, exc_info=failure)
        steps.at_boundary(name, "undone")
    if not whole and not kind.swept and run.runtime.settings.hold_failures:
        durably("hold", partial(_hold, run, told, undoing=True))
        return
    leaves = run.facts.get("began_from") if kind.failing == BEFORE else kind.failing
    durably("end", partial(_close_flow, run, state, leaves, told))


def _undo(run: Run, name: str, act: Act) -> None:
    write = act(run)
    steps.at_boundary(name, "untold")
    with run.session() as session:
        write(session)
        steps.close(session, run, name, "undone")


def _show_undoing(run: Run, told: dict[str, str]) -> None:
    with run.session() as session:
        session.execute(
            sa.update(Flow).where(Flow.id == run.flow_id, Flow.state.in_(FLOW_LIVE)).values(state="undoing", **told)
        )
        _fail_steps(session, run, told)


def _fail_steps(session: Session, run: Run, told: dict[str, str]) -> None:
    session.execute(
        sa.update(FlowStep)
        .where(FlowStep.flow_id == run.flow_id, FlowStep.state == "running")
        .values(state="failed", message=told["error_sentence"], ended_at=sa.func.now())
    )


def _close_flow(run: Run, state: str, leaves: str | None, told: dict[str, str]) -> None:
    with run.session() as session:
        _give_up(session, session.get_one(Flow, run.flow_id))
        _end(session, run, state, leaves, told)


def _end(session: Session, run: Run, state: str, service_state: str | None, told: dict[str, str]) -> None:
    if service_state:
        services.change_state(session, run.owner.service_id, service_state, datetime.now(UTC), flow_id=run.flow_id)
    _end_flow(session, run.flow_id, state, told)


def _end_flow(session: Session, flow_id: int, state: str, told: dict[str, str]) -> None:
    ended = session.execute(
        sa.update(Flow)
        .where(Flow.id == flow_id, Flow.state.in_(FLOW_LIVE))
        .values(state=state, ended_at=datetime.now(UTC), held_at=None, **(told or NO_ERROR))
        .returning(Flow.kind, Flow.member_id, Flow.service_id, Flow.error_code)
    ).one_or_none()
    if ended:
        detail = {"kind": ended.kind, "service": ended.service_id, "error": ended.error_code}
        audit.record(session, f"flow.{state}", f"flow {flow_id}", member_id=ended.member_id, detail=detail)


def explain(error: Exception) -> dict[str, str]:
    """What the flow says of an error: a code, a sentence for the member, a detail for the DSI."""
    if isinstance(error, ClocherError):
        # Some details are what a guest printed; the database takes no NUL, and a flow that can't be ended never ends.
        detail = error.detail.replace("\0", "�")
        return {"error_code": error.code, "error_sentence": str(error), "error_detail": detail}
    return {
        "error_code": "unexpected",
        "error_sentence": "Une erreur interne a interrompu l’opération. La DSI en a le détail.",
        "error_detail": "".join(traceback.format_exception(error))[-4000:],
    }
