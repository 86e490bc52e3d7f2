"""What the steps in the cloud have in common: find and adopt what was made, write it down, remove it, wait for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any, Protocol, TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator import events
from orchestrator.cloud import Cloud, Tag
from orchestrator.errors import CloudNotFound, WaitedTooLong
from orchestrator.events import Size
from orchestrator.steps import Run, Write
from orchestrator.tables import Service

PAUSE = 0.25  # seconds between two looks at something that is being made


class Thing(Protocol):
    """What all cloud resources have."""

    @property
    def id(self) -> str: ...
    @property
    def created_at(self) -> datetime | None: ...


T = TypeVar("T", bound=Thing)


def row_id(run: Run, kind: str, role: str = "main") -> str | None:
    """The cloud's id of the service's living resource of a kind and role, by its row."""
    with run.session() as session:
        found = events.find_resource(session, run.owner.service_id, kind, role)
        return found.cloud_id if found else None


def known(run: Run, kind: str, role: str = "main") -> str:
    """The same; CloudNotFound when there is no row, which an earlier step should have written."""
    found = row_id(run, kind, role)
    if found is None:
        detail = f"no {kind} {role}"
        raise CloudNotFound("cloud_not_found", "Une partie du service manque.", "Prévenez la DSI.", detail=detail)
    return found


def find(
    run: Run, kind: str, get: Callable[[Cloud, str], T], seek: Callable[[Cloud, Tag], T | None], role: str = "main"
) -> T | None:
    """What an earlier attempt made: by its row, else by its tag. Nothing, when there was no earlier attempt."""
    if run.first_try:
        return None
    cloud_id = row_id(run, kind, role)
    return get(run.cloud, cloud_id) if cloud_id else seek(run.cloud, run.tag(role))


def recorded(run: Run, kind: str, made: Thing, size: Size, role: str = "main") -> Write:
    """Write the row of a resource and its `created` event, at the cloud's own instant."""
    cloud_id, at = made.id, made.created_at or datetime.now(UTC)

    def write(session: Session) -> None:
        keep(session, run, kind, cloud_id, role)
        if not run.parameters.get("takes_over"):  # that is billed to its former member until it serves
            tell(session, run, kind, "created", at, size, role)

    return write


def keep(session: Session, run: Run, kind: str, cloud_id: str, role: str = "main") -> None:
    """Write the row of a resource."""
    events.record_resource(session, run.owner, kind, cloud_id, role)


def tell(session: Session, run: Run, kind: str, event: str, at: datetime, size: Size, role: str = "main") -> None:
    """Write an event of the service's living resource of a kind and role."""
    resource = events.find_resource(session, run.owner.service_id, kind, role)
    if resource is not None:
        events.record_event(session, resource.id, event, at, flow_id=run.flow_id, size=size)


def change_service(session: Session, run: Run, **columns: Any) -> None:
    """Write columns of the service that are neither its state nor its specification."""
    session.execute(sa.update(Service).where(Service.id == run.owner.service_id).values(**columns))


def remove(
    run: Run,
    kind: str,
    seek: Callable[[Cloud, Tag], T | None],
    get: Callable[[Cloud, str], T],
    delete: Callable[[Cloud, str], None],
    role: str = "main",
) -> Write:
    """Delete the resource that has a row and the one that has only a tag; wait until the cloud knows neither."""
    cloud_id = row_id(run, kind, role)
    tagged = seek(run.cloud, run.tag(role))
    doomed = {cloud_id} if cloud_id else set()
    doomed |= {tagged.id} if tagged else set()
    for each in doomed:
        try:
            delete(run.cloud, each)
            wait(run, partial(get, run.cloud, each), lambda _found: False)
        except CloudNotFound:
            continue  # gone, by us or before us
    at = datetime.now(UTC)

    def write(session: Session) -> None:
        for each in doomed:
            events.record_deletion(session, kind, each, at, flow_id=run.flow_id)

    return write


L = TypeVar("L")


def wait(run: Run, look: Callable[[], L], ready: Callable[[L], bool]) -> L:
    """Look until `ready`; WaitedTooLong `cloud_too_slow` after `settings.build_timeout` seconds."""
    deadline = time.monotonic() + run.runtime.settings.build_timeout
    while not ready(found := look()):
        if time.monotonic() > deadline:
            raise WaitedTooLong(
                "cloud_too_slow",
                "Le nuage n’a pas fini à temps.",
                "Recommencez plus tard ; si cela se répète, prévenez la DSI.",
                detail=f"{found} after {run.runtime.settings.build_timeout} s",
            )
        run.check()
        time.sleep(PAUSE)
    return found
