"""The steps of a flow: checkpointed, tried again, told to people. How a flow begins and ends is in `runs`.

A step is a plain function: it calls the cloud with no transaction open and returns what to write. What it writes and
the end of the step are one transaction. A step that was cut runs again, so it must find what it made before.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import sqlalchemy as sa
import structlog
from dbos import DBOS, StepOptions
from dbos import error as dbos_error
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from orchestrator.cloud import Cloud, Tag
from orchestrator.database import territory_session
from orchestrator.errors import ClocherError, CloudTokenLost, FlowCancelled, NotFound
from orchestrator.events import Owner
from orchestrator.settings import Settings
from orchestrator.tables import Flow, FlowStep

log = structlog.get_logger()

Write = Callable[[Session], None]
Boundary = Callable[[str, str], None]


def at_boundary(step: str, moment: str) -> None:
    """Called when a step's effect is made (`effect`) and when that is recorded (`recorded`); when it is taken back
    (`untold`) and when that is recorded (`undone`). Here tests kill workers.
    """


@dataclass(frozen=True)
class Runtime:
    """What every flow of a worker shares."""

    settings: Settings
    engine: sa.Engine
    cloud: Cloud


@dataclass
class Run:
    """One flow while it runs. `facts` is what was read when it began, in JSON's types; `undos` what it must undo.

    number: how many times the flow was run, this time included. first_try: nobody has begun the present step before,
    so there is nothing in the cloud to adopt.
    began: when this worker began the present step (monotonic); all its tries share a deadline that counts from there.
    """

    runtime: Runtime
    flow_id: int
    number: int
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
    def parameters(self) -> dict[str, Any]:
        parameters: dict[str, Any] = self.facts["parameters"]
        return parameters

    @property
    def takes_back(self) -> bool:
        """Whether this run only undoes what earlier ones made."""
        return bool(self.facts.get("undo"))

    def tag(self, role: str = "main") -> Tag:
        """The mark of the part of the service that has this role."""
        return Tag(self.runtime.settings.territory, self.facts["ref"], self.flow_id, role)

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

    @property
    def operation(self) -> str:
        """Who asks, for plays that do something once.

        A number alone would come again in a database that was brought back from a backup.
        """
        return f"{self.flow_id}/{self.facts.get('queued_at', '')}"

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
        """Do `act` once, whatever happens to the worker; remember how to undo it, from before it begins.

        What an earlier run of the flow has done is passed over; a run that only takes back raises Retraced where the
        earlier ones stopped.
        """
        before = self.facts.get("steps", {}).get(name)
        if self.takes_back and before is None:
            raise Retraced
        if before == "undone":
            return
        if undo is not None:
            self.undos.append((name, undo))
        if before == "done":
            return
        if self.takes_back:
            raise Retraced
        self.began = time.monotonic()
        durably(name, partial(_attempt, self, name, act))
        at_boundary(name, "recorded")


Act = Callable[[Run], Write]


class Retraced(Exception):
    """A run that only takes back has come to where the earlier ones stopped."""


def nothing(_session: Session) -> None:
    """The write of a step that has nothing to write."""


def durably(name: str, work: Callable[[], Any]) -> Any:
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
            close(session, run, name, "done")
    except ClocherError as error:
        if isinstance(error, CloudTokenLost):
            run.runtime.cloud.forget(run.place["project_id"])
        log.warning("step failed", flow=run.flow_id, step=name, code=error.code, detail=error.detail)
        with run.session() as session:
            close(session, run, name, "running" if error.retryable else "failed", error.sentence)
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


def close(session: Session, run: Run, name: str, state: str, message: str | None = None) -> None:
    """Show a step as `running` (it will be tried again), `done`, `failed` or `undone`."""
    session.execute(
        sa.update(FlowStep)
        .where(FlowStep.flow_id == run.flow_id, FlowStep.name == name)
        .values(state=state, message=message, ended_at=None if state == "running" else sa.func.now())
    )
