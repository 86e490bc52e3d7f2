"""What tests of flows stand on: a member's place in the dev cloud, services to make there, real worker processes."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, TypeVar

import pytest
import sqlalchemy as sa

from orchestrator import cloud, sweep
from orchestrator.database import territory_session
from orchestrator.errors import CloudError
from orchestrator.places import Ids
from orchestrator.settings import Settings
from orchestrator.tables import FLOW_LIVE, Flow, FlowStep, Member, Place, Resource, ResourceEvent, Service
from tests.orchestrator import worker_process

T = TypeVar("T")
# Each worker is a process of its own, forked from one that has imported everything: a start takes no second.
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["tests.orchestrator.worker_process"])
SECONDS = 120.0


def eventually(condition: Callable[[], T], what: str, seconds: float = SECONDS) -> T:
    """The first true value of `condition`; a failure that names what never came."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds} s: {what}")
        time.sleep(0.1)
    return value


@dataclass
class Stage:
    """A member with a place, the database's owner to look with, and the worker processes that a test started."""

    settings: Settings
    owner: sa.Engine
    ids: Ids
    plan: Path
    member_id: int = 0
    processes: list[BaseProcess] = field(default_factory=list)

    def __post_init__(self) -> None:
        with territory_session(self.owner, "tests") as session:
            commune = Member(slug="essai", name="Essai", kind="commune", siren="732829320", siret="73282932000074")
            session.add(commune)
            session.flush()
            place = {name: getattr(self.ids, name) for name in Ids.__dataclass_fields__}
            session.add(Place(member_id=commune.id, **place))
            self.member_id = commune.id

    def order(self, name: str, **specification: Any) -> tuple[int, int]:
        """A service to create, and its flow; their ids."""
        wanted = {
            "offer": "vm-small", "offer_version": 1, "flavor": "s1.small", "vcpus": 1, "ram_mib": 1024,
            "image": "debian-12", "disk_gib": 0, "public_address": False, "admin": "admin", "ssh_keys": [],
            "play": None,
        }  # fmt: skip
        wanted |= specification
        if wanted["image"] is None:  # for a flow that breaks where no error of ours is expected
            del wanted["image"]
        with territory_session(self.owner, "tests") as session:
            service = Service(member_id=self.member_id, name=name, specification=wanted)
            session.add(service)
            session.flush()
            return service.id, self._queue(session, service.id, "create_server")

    def ask(self, service_id: int, kind: str, **parameters: Any) -> int:
        """A flow of another kind on a service; its id."""
        with territory_session(self.owner, "tests") as session:
            return self._queue(session, service_id, kind, parameters)

    def _queue(self, session: Any, service_id: int, kind: str, parameters: dict[str, Any] | None = None) -> int:
        service = session.get_one(Service, service_id)
        flow = Flow(
            member_id=service.member_id, service_id=service_id, kind=kind, parameters=parameters or {},
            requested_by="tests",
        )  # fmt: skip
        session.add(flow)
        session.flush()
        return flow.id

    def start(self, worker_id: str = "worker-1", *, deadly: bool = False, **more: object) -> BaseProcess:
        """A real worker process; `deadly` ones kill themselves at each boundary that nobody died at before."""
        quick = {"worker_id": worker_id, "heartbeat_seconds": 0.3, "dead_after_seconds": 2.0, "sweep_seconds": 3600.0}
        settings = self.settings.model_copy(update=quick | more)
        process = SERVER.Process(target=worker_process.work, args=(settings, self.plan if deadly else None))
        process.start()
        self.processes.append(process)
        return process

    def live(self) -> int:
        """How many flows have not ended."""
        with territory_session(self.owner, "tests") as session:
            return session.scalar(sa.select(sa.func.count()).where(Flow.state.in_(FLOW_LIVE))) or 0

    def do(self, service_id: int, kind: str, **parameters: Any) -> Flow:
        """A flow of another kind on a service, once it has ended."""
        (flow,) = self.rest(self.ask(service_id, kind, **parameters))
        return flow

    def held(self, flow: int, seconds: float = SECONDS) -> Flow:
        """The flow, once it is held."""

        def found() -> Flow | None:
            (row,) = self.rows(Flow, Flow.id == flow)
            assert not row.ended_at, f"flow {flow} is {row.state}: {row.error_code} {row.error_detail}"
            return row if row.state == "held" else None

        held = eventually(found, f"flow {flow} held", seconds)
        assert held
        return held

    def rest(self, *flows: int, seconds: float = SECONDS) -> list[Flow]:
        """The flows, once they have ended."""

        def ended() -> list[Flow]:
            with territory_session(self.owner, "tests") as session:
                found = list(session.scalars(sa.select(Flow).where(Flow.id.in_(flows)).order_by(Flow.id)))
            return found if all(flow.ended_at for flow in found) else []

        return eventually(ended, f"end of flows {flows}", seconds)

    def rows(self, kind: type[T], *where: Any) -> list[T]:
        """Rows as they are now, in their order."""
        with territory_session(self.owner, "tests") as session:
            return list(session.scalars(sa.select(kind).where(*where).order_by(kind.id)))

    def service(self, service_id: int) -> Service:
        """The service now."""
        (found,) = self.rows(Service, Service.id == service_id)
        return found

    def steps(self, flow_id: int) -> dict[str, str]:
        """The states of a flow's steps, by name."""
        return {step.name: step.state for step in self.rows(FlowStep, FlowStep.flow_id == flow_id)}

    def events(self, service_id: int) -> list[tuple[str, str]]:
        """What happened to a service's resources: (kind of resource, kind of event)."""
        told = sa.select(Resource.kind, ResourceEvent.kind).join(Resource, Resource.id == ResourceEvent.resource_id)
        with territory_session(self.owner, "tests") as session:
            return [
                (kind, event)
                for kind, event in session.execute(
                    told.where(Resource.service_id == service_id).order_by(ResourceEvent.id)
                )
            ]

    def in_cloud(self) -> list[tuple[str, str]]:
        """What the cloud has with our tag: (service's ref, kind)."""
        seen = look(cloud.connect(self.settings), self.settings, self.ids)
        return sorted((thing.tag.service, thing.kind) for thing in seen)

    def stop(self) -> None:
        """End the processes that are left."""
        for process in self.processes:
            if process.is_alive():
                process.terminate()
        for process in self.processes:
            process.join(30)
            assert not process.is_alive(), "a worker does not stop"


@contextmanager
def staged(settings: Settings, owner: sa.Engine, ids: Ids, plan: Path) -> Iterator[Stage]:
    """A stage, cleared afterwards: no process, nothing with its tag in the cloud."""
    stage = Stage(settings, owner, ids, plan)
    try:
        yield stage
    finally:
        stage.stop()
        clear(settings, ids)


def look(control: cloud.Cloud, settings: Settings, ids: Ids) -> list[sweep.Seen]:
    """What the tests' project holds with the territory's tag."""
    return sweep.look_into(control.project(ids.project_id), ids.project_id, settings.territory)


def clear(settings: Settings, ids: Ids) -> None:
    """Delete all that carries the territory's tag, by the sweeper's own means."""
    control = cloud.connect(settings)

    def gone() -> bool:
        seen = look(control, settings, ids)
        for thing in seen:
            try:
                sweep.DELETE[thing.kind](control.project(thing.project_id), thing.cloud_id)
            except CloudError:
                continue  # in use by what goes first; the next round
        return not seen

    eventually(gone, "an empty cloud after the test")
