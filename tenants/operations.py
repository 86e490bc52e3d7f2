"""What the owner of a service may ask for: each request queues one flow. The flow changes the service, not we."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator import audit, services
from orchestrator.errors import Conflict
from orchestrator.tables import FLOW_LIVE, Flow, Service
from tenants import reading

# What is asked for, the flow that does it, and the state through which the flow leads the service.
VERBS = {
    "stop": ("stop_server", "stopping"),
    "start": ("start_server", "starting"),
    "delete": ("delete_server", "deleting"),
}
CANCELLABLE = ("create_server",)  # what is half deleted or stopped is better ended than undone


def ask(session: Session, service_id: int, verb: str) -> Flow:
    """Queue `stop`, `start` or `delete` of a service. Raises not_found, flow_running or not_allowed_now."""
    service = reading.find(session, Service, service_id, lock=True)  # two requests at once: the second one waits
    _check_idle(session, service)
    kind, through = VERBS[verb]
    # A service left half way by a flow that failed may be asked again for the same.
    if service.state != through and through not in services.ALLOWED[service.state]:
        raise Conflict(
            "not_allowed_now",
            f"« {service.name} » est dans l’état {service.state} : l’action demandée n’est pas possible.",
            "Attendez que son état change, ou choisissez une autre action.",
            facts={"state": service.state},
        )
    flow = Flow(member_id=service.member_id, service_id=service.id, kind=kind, requested_by=session.info["actor"])
    session.add(flow)
    session.flush()
    audit.record(
        session, f"service.{verb}", f"service {service.id}", member_id=service.member_id, detail={"flow": flow.id}
    )
    return flow


def _check_idle(session: Session, service: Service) -> None:
    live = session.scalar(sa.select(Flow.id).where(Flow.service_id == service.id, Flow.state.in_(FLOW_LIVE)))
    if live is not None:
        raise Conflict(
            "flow_running",
            f"Une opération est déjà en cours sur « {service.name} ».",
            "Attendez qu’elle finisse, ou annulez-la.",
            facts={"flow": live},
        )


def cancel(session: Session, flow_id: int) -> Flow:
    """Ask a live flow to stop and undo what it made; it does so before its next step.

    Raises Conflict flow_ended or not_cancellable.
    """
    flow = reading.find(session, Flow, flow_id, lock=True)
    if flow.state not in FLOW_LIVE:
        raise Conflict("flow_ended", "Cette opération est déjà finie.", "Voyez l’état du service.")
    if flow.kind not in CANCELLABLE:
        raise Conflict("not_cancellable", "Seule une création s’annule.", "Attendez la fin, puis agissez à nouveau.")
    if not flow.cancel_requested:
        flow.cancel_requested = True
        session.flush()
        audit.record(session, "flow.cancel", f"flow {flow.id}", member_id=flow.member_id)
    return flow
