"""How a flow runs: steps that are checkpointed, tried again, told to people, and undone in reverse when one fails.

A step is a plain function: it calls the cloud with no transaction open and returns what to write. What it writes and
the end of the step are one transaction. A step that was cut runs again, so it must find what it made before.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

import sqlalchemy as sa
import structlog
from dbos import DBOS, StepOptions
from dbos import error as dbos_error
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from orchestrator import services
from orchestrator.cloud import Cloud, Tag
from orchestrator.database import territory_session
from orchestrator.errors import ClocherError, CloudTokenLost, FlowCancelled, NotFound
from orchestrator.events import Owner
from orchestrator.settings import Settings
from orchestrator.tables import FLOW_LIVE, Flow, FlowStep, Place, Service

log = structlog.get_logger()

Write = Callable[[Session], None]
Boundary = Callable[[str, str], None]


def at_boundary(step: str, moment: str) -> None:
    """Called when a step's effect is made (`effect`) and when it is recorded (`recorded`): where tests kill workers."""


@dataclass(frozen=True)
class Runtime:
    """What every flow of a worker shares."""

    settings: Settings
    engine: sa.Engine
    cloud: Cloud


@dataclass
class Run:
    """One flow while it runs. `facts` is what was read when it began, in JSON's types; `undos` what it must undo.

    first_try: nobody has begun the present step before, so there is nothing in the cloud to adopt.
    began: when this worker began the present step (monotonic); all its tries share a deadline that counts from there.
    """

    runtime: Runtime
    flow_id: int
    facts: dict[str, Any]
    cancellable: bool = False
    first_try: bool = False
    began: float = field(default_factory=time.monotonic)
    undos: list[tuple[str, Act]] = field(default_factory=list)

    @property
    def owner(self) -> Owner:
        return Owner(self.facts["member_id"], self.facts["service_id"], self.flow_id)

    @property
    def specification(self) -> dict[str, Any]:
        specification: dict[str, Any] = self.facts["specification"]
        return specification

    @property
    def tag(self) -> Tag:
        return Tag(self.runtime.settings.territory, self.facts["ref"], self.flow_id)

    @property
    def place(self) -> dict[str, str]:
        """The member's place in the cloud; place_missing when it has none yet."""
        place: dict[str, str] | None = self.facts["place"]
        if place is None:
            raise NotFound(
                "place_missing",
                "Votre espace dans le nuage n’est pas encore prêt.",
                "La DSI doit l’ouvrir ; recommencez ensuite.",
                detail="no row in places: run `clocher members apply`",
            )
        return place

    @property
    def cloud(self) -> Cloud:
        return self.runtime.cloud.project(self.place["project_id"])

    @contextmanager
    def session(self) -> Iterator[Session]:
        """One short transaction in the flow's name."""
        with territory_session(self.runtime.engine, f"flow {self.flow_id}") as session:
            yield session

    def check(self) -> None:
        """Stop here when somebody cancelled the flow; long waits ask again and again."""
        with self.session() as session:
            cancelled = session.scalar(sa.select(Flow.cancel_requested).where(Flow.id == self.flow_id))
        self.refuse_if(cancelled)

    def refuse_if(self, cancelled: bool | None) -> None:
        """Raise FlowCancelled when it is cancelled and can be."""
        if cancelled and self.cancellable:
            raise FlowCancelled("flow_cancelled", "L’opération a été annulée.")

    def step(self, name: str, act: Act, *, undo: Act | None = None) -> None:
        """Do `act` once, whatever happens to the worker; remember how to undo it, from before it begins."""
        if undo is not None:
            self.undos.append((name, undo))
        self.began = time.monotonic()
        _durably(name, partial(_attempt, self, name, act))
        at_boundary(name, "recorded")


Act = Callable[[Run], Write]


def nothing(_session: Session) -> None:
    """The write of a step that has nothing to write."""


def _durably(name: str, work: Callable[[], Any]) -> Any:
    """Run `work` as a checkpointed step; errors that may pass are tried again for about a minute."""
    options: StepOptions = {
        "name": name,
        "retries_allowed": True,
        "interval_seconds": 0.5,
        "backoff_rate": 2.0,
        "max_attempts": 8,
        "should_retry": lambda error: isinstance(error, ClocherError) and error.retryable,
    }
    try:
        return DBOS.run_step(options, work)
    except dbos_error.DBOSMaxStepRetriesExceeded as exceeded:
        raise exceeded.errors[-1] from exceeded


def _attempt(run: Run, name: str, act: Act) -> None:
    with run.session() as session:
        run.first_try = _open(session, run, name) == 1
    try:
        write = act(run)
        at_boundary(name, "effect")
        with run.session() as session:
            write(session)
            _close(session, run, name, "done")
    except ClocherError as error:
        if isinstance(error, CloudTokenLost):
            run.runtime.cloud.forget(run.place["project_id"])
        log.warning("step failed", flow=run.flow_id, step=name, code=error.code, detail=error.detail)
        with run.session() as session:
            _close(session, run, name, "running" if error.retryable else "failed", error.sentence)
        raise


def _open(session: Session, run: Run, name: str) -> int:
    """Show the step as running, by this worker; how often it was begun. Stop here when somebody cancelled the flow."""
    cancelled = session.scalar(
        sa.update(Flow)
        .where(Flow.id == run.flow_id)
        .values(worker_id=run.runtime.settings.worker_id)
        .returning(Flow.cancel_requested)
    )
    run.refuse_if(cancelled)
    attempts: int = session.execute(
        insert(FlowStep)
        .values(flow_id=run.flow_id, member_id=run.owner.member_id, name=name, state="running")
        .on_conflict_do_update(
            index_elements=["flow_id", "name"],
            set_={"state": "running", "attempts": FlowStep.attempts + 1, "ended_at": None},
        )
        .returning(FlowStep.attempts)
    ).scalar_one()
    return attempts


def _close(session: Session, run: Run, name: str, state: str, message: str | None = None) -> None:
    session.execute(
        sa.update(FlowStep)
        .where(FlowStep.flow_id == run.flow_id, FlowStep.name == name)
        .values(state=state, message=message, ended_at=None if state == "running" else sa.func.now())
    )


def begin(runtime: Runtime, flow_id: int, becomes: str | None) -> Run | None:
    """Show the flow as running and its service as `becomes`, and read what the steps need. None: it ended before."""
    facts = _durably("begin", partial(_begin, runtime, flow_id, becomes))
    return None if facts is None else Run(runtime, flow_id, facts)


def _begin(runtime: Runtime, flow_id: int, becomes: str | None) -> dict[str, Any] | None:
    with territory_session(runtime.engine, f"flow {flow_id}") as session:
        flow = session.get_one(Flow, flow_id, with_for_update=True)
        service = session.get_one(Service, flow.service_id)
        if flow.state not in FLOW_LIVE:
            return None
        if flow.cancel_requested:
            flow.state, flow.ended_at = "cancelled", datetime.now(UTC)
            if flow.kind == "create_server":
                services.change_state(session, service.id, "failed", datetime.now(UTC), flow_id=flow_id)
            return None
        flow.state, flow.started_at = "running", flow.started_at or datetime.now(UTC)
        if becomes:
            services.change_state(session, service.id, becomes, datetime.now(UTC), flow_id=flow_id)
        place = session.get(Place, flow.member_id)
        return {
            "member_id": flow.member_id,
            "service_id": service.id,
            "ref": str(service.ref),
            "name": service.name,
            "specification": service.specification,
            "place": place
            and {
                "project_id": place.project_id,
                "network_id": place.network_id,
                "security_group_id": place.security_group_id,
            },
        }


def finish_as(service_state: str) -> Act:
    """The last step: the service's new state, the event for its meters and the end of the flow, in one transaction."""

    def finish(run: Run) -> Write:
        return lambda session: _end(session, run, "done", service_state)

    return finish


def give_up(run: Run, error: Exception, leaves: str | None) -> None:
    """Undo what was made, in reverse; say why in the flow, and leave the service in the state `leaves`."""
    told = _explain(error)
    run.cancellable = False  # what undoes must not be cancelled itself
    if not isinstance(error, ClocherError):
        log.error("flow broke", flow=run.flow_id, exc_info=error)
    _durably("undo", partial(_show_undoing, run, told))
    for name, undo in reversed(run.undos):
        try:
            _durably(f"undo {name}", partial(_undo, run, name, undo))
        except Exception as failure:  # whatever it is, the other undos must run; it is told
            told["error_detail"] += f"\nundo of {name}: {_explain(failure)['error_detail']} (left to the sweeper)"
            log.error("undo failed", flow=run.flow_id, step=name, exc_info=failure)
        at_boundary(name, "undone")
    state = "cancelled" if isinstance(error, FlowCancelled) else "failed"
    _durably("end", partial(_close_flow, run, state, leaves, told))


def _undo(run: Run, name: str, undo: Act) -> None:
    write = undo(run)
    with run.session() as session:
        write(session)
        _close(session, run, name, "undone")


def _show_undoing(run: Run, told: dict[str, str]) -> None:
    with run.session() as session:
        session.execute(
            sa.update(Flow).where(Flow.id == run.flow_id, Flow.state.in_(FLOW_LIVE)).values(state="undoing", **told)
        )
        session.execute(
            sa.update(FlowStep)
            .where(FlowStep.flow_id == run.flow_id, FlowStep.state == "running")
            .values(state="failed", message=told["error_sentence"], ended_at=sa.func.now())
        )


def _close_flow(run: Run, state: str, leaves: str | None, told: dict[str, str]) -> None:
    with run.session() as session:
        _end(session, run, state, leaves, **told)


def _end(session: Session, run: Run, state: str, service_state: str | None, **told: str) -> None:
    at = datetime.now(UTC)
    if service_state:
        services.change_state(session, run.owner.service_id, service_state, at, flow_id=run.flow_id)
    session.execute(
        sa.update(Flow)
        .where(Flow.id == run.flow_id, Flow.state.in_(FLOW_LIVE))
        .values(state=state, ended_at=at, **told)
    )


def _explain(error: Exception) -> dict[str, str]:
    """What the flow says of an error: a code, a sentence for the member, a detail for the DSI."""
    if isinstance(error, ClocherError):
        return {"error_code": error.code, "error_sentence": str(error), "error_detail": error.detail}
    return {
        "error_code": "unexpected",
        "error_sentence": "Une erreur interne a interrompu l’opération. La DSI en a le détail.",
        "error_detail": "".join(traceback.format_exception(error))[-4000:],
    }
