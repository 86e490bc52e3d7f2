"""The territory's entry from the web: a service like others, which leads a name to each application's guest.

What it leads to is read from the database, whole, by whoever tells it; one at a time, so that no older list overwrites
a newer one. Flows have it told when they change something; a duty mends what they could not tell.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

import sqlalchemy as sa
import structlog
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from orchestrator import ansible, entry_certificates
from orchestrator.ansible import PlayEvent
from orchestrator.database import territory_session
from orchestrator.ssh import Guest
from orchestrator.steps import Runtime
from orchestrator.tables import Flow, FlowStep, Member, Service
from orchestrator.tables_entry import Entry

log = structlog.get_logger()

LOCK = 0x434C0010  # advisory lock: one at a time tells the entry
PAUSE_SECONDS = 0.5
WATCH_SECONDS = 15.0  # how often we look whether the entry was told all
RENEW_SECONDS = 300.0  # how often we look whether it is time to ask what certificates it has
FRESH = timedelta(hours=1)  # what it said of them is worth so long
GONE = ("failed", "deleting", "deleted")
OFF = ("stopping", "stopped", "moving")
WEB_PORT = Service.specification["stack"]["web"]["port"].as_integer()


@dataclass(frozen=True)
class Known:
    """The entry, as it is when it is read. address: the public one, which visitors come to."""

    guest: Guest
    service_id: int
    state: str
    address: str
    domain: str
    authority: str | None
    answers: dict[str, Any]
    play: str
    routes: list[dict[str, Any]]
    certificates: list[dict[str, Any]]
    set_at: datetime


def find(session: Session) -> Known | None:
    """The entry that was made and is still there; the oldest where there are several."""
    query = sa.select(Entry, Service).join(Service, Service.id == Entry.service_id).where(Service.state.not_in(GONE))
    row = session.execute(query.order_by(Service.id).limit(1)).one_or_none()
    if row is None:
        return None
    entry, service = row
    return Known(
        guest=Guest(service.address or "", service.name, UUID(str(service.ref))),
        service_id=service.id,
        state=service.state,
        address=service.public_address or service.address or "",
        domain=entry.domain,
        authority=entry.authority,
        answers=service.specification["answers"],
        play=service.specification["play"],
        routes=entry.routes,
        certificates=entry.certificates,
        set_at=entry.set_at,
    )


def host(service: str, member: str, domain: str) -> str:
    """The name by which the web knows a service."""
    return f"{service}.{member}.{domain}"


def host_of(session: Session, service: str, member: str) -> str:
    """That name, behind the entry that is there; empty when there is none."""
    found = find(session)
    return host(service, member, found.domain) if found else ""


def wanted(session: Session, domain: str) -> list[dict[str, Any]]:
    """All that the entry has to lead to: every application with a face for the web, from its first address on.

    stopped: nobody is led to it, but told that it is off; so is one that was not well yet.
    """
    answered = sa.exists().where(
        Flow.service_id == Service.id, FlowStep.flow_id == Flow.id, FlowStep.name == "answer", FlowStep.state == "done"
    )
    off = Service.state.in_(OFF) | ((Service.state == "creating") & ~answered)
    query = (
        sa.select(Service.name, Service.address, off.label("off"), WEB_PORT.label("port"), Member.slug)
        .join(Member, Member.id == Service.member_id)
        .where(WEB_PORT.is_not(None), Service.address.is_not(None), Service.state.not_in(GONE))
        .order_by(Member.slug, Service.name)
    )
    return [
        {
            "host": host(row.name, row.slug, domain),
            "address": row.address,
            "port": row.port,
            "stopped": row.off,
        }
        for row in session.execute(query)
    ]


def variables(domain: str, routes: list[dict[str, Any]], authority: str | None = None) -> dict[str, Any]:
    """What plays of the entry are given beside what those of all stacks are. authority: as of an `Entry`."""
    return {"entry": {"domain": domain, "routes": routes, "authority": authority}}


def variables_of(session: Session, service_id: int) -> dict[str, Any]:
    """The same, as the entry was made; nothing for a service that is none."""
    made = session.get(Entry, service_id)
    return variables(made.domain, made.routes, made.authority) if made else {}


def keep(
    session: Session,
    service_id: int,
    domain: str,
    authority: str | None,
    routes: list[dict[str, Any]],
    certificates: Sequence[dict[str, Any]] = (),
) -> None:
    """Write what an entry was made to be, and what it said of its certificates; trouble with one is news."""
    at, former = datetime.now(UTC), session.get(Entry, service_id, populate_existing=True)
    before = entry_certificates.read(former.certificates, former.set_at) if former else []
    told = {
        "domain": domain, "authority": authority, "routes": routes, "certificates": list(certificates), "set_at": at,
    }  # fmt: skip
    made = insert(Entry).values(service_id=service_id, **told)
    session.execute(made.on_conflict_do_update(index_elements=["service_id"], set_=told))
    member_id = session.get_one(Service, service_id).member_id
    entry_certificates.tell(session, service_id, member_id, before, entry_certificates.read(certificates, at))


def forget(session: Session, service_id: int) -> None:
    """The service is no entry any more, if it was one."""
    session.execute(sa.delete(Entry).where(Entry.service_id == service_id))


def settle(runtime: Runtime, check: Callable[[], None] = lambda: None, older_than: datetime | None = None) -> None:
    """Have the entry lead to what the database says now; nothing happens when it does, or when none can be told.

    check: raises when whoever waits is to stop. older_than: what was told before is told again.
    Raises what plays raise.
    """
    if _untold(runtime, older_than):
        with turn(runtime.engine, check):
            _tell(runtime, lambda _: check(), older_than)


def renew(runtime: Runtime) -> None:
    """The duty: once an hour the entry says what certificates it has, and asks for those that are missing or old.

    Its own timer does so too, without us; but whom it would tell what was refused, we know.
    """
    settle(runtime, older_than=datetime.now(UTC) - FRESH)


@contextmanager
def turn(engine: sa.Engine, check: Callable[[], None]) -> Iterator[None]:
    """Wait until nobody else tells the entry, and keep others waiting. check: as for `settle`."""
    while True:
        with alone(engine) as ours:
            if ours:
                yield
                return
        check()
        time.sleep(PAUSE_SECONDS)


@contextmanager
def alone(engine: sa.Engine) -> Iterator[bool]:
    """Whether we are the one who may tell the entry.

    The lock is the connection's, with no transaction open; it goes with us if we die.
    """
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        held = bool(connection.scalar(sa.select(sa.func.pg_try_advisory_lock(LOCK))))
        try:
            yield held
        finally:
            if held:
                connection.execute(sa.select(sa.func.pg_advisory_unlock(LOCK)))


def _untold(runtime: Runtime, older_than: datetime | None) -> tuple[Known, list[dict[str, Any]]] | None:
    """The entry and what it has to lead to, if that differs or was told before `older_than`, and it can be told."""
    with territory_session(runtime.engine, "entry", reads=True) as session:
        found = find(session)
        if found is None or found.state != "active":
            return None
        routes = wanted(session, found.domain)
    old = older_than is not None and found.set_at < older_than
    return (found, routes) if routes != found.routes or old else None


def _tell(runtime: Runtime, listen: Callable[[PlayEvent], None], older_than: datetime | None) -> None:
    untold = _untold(runtime, older_than)  # again: another told it while we waited
    if untold is None:
        return
    found, routes = untold
    given: Mapping[str, Any] = {"answers": found.answers, **variables(found.domain, routes, found.authority)}
    # A run of its own: a flow of the entry's may run a play at the same time.
    outcome = ansible.configure(
        runtime.settings, found.play, found.guest, given, listen, act="routes", owner=uuid5(found.guest.ref, "routes")
    )
    log.info("routes set", routes=len(routes))
    with territory_session(runtime.engine, "entry") as session:
        certificates = outcome.result.get("certificates", [])
        keep(session, found.service_id, found.domain, found.authority, routes, certificates)
