"""A service's console: the portal, which knows no cloud, asks by a row; a worker reads it and forgets it soon after.

What a console says may hold secrets, and the address of its screen opens it for whoever has it: both are kept for some
minutes only, and are shown to those who may operate the service.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator import audit, cloud_servers
from orchestrator.cloud import Cloud
from orchestrator.database import territory_session
from orchestrator.errors import ClocherError, NotFound, Text
from orchestrator.steps import Runtime
from orchestrator.tables import Place, Resource, Service
from tenants import reading, starting
from tenants.tables_consoles import ConsoleReading

KEPT = timedelta(minutes=10)
LINES = 300
READABLE = ("active", "stopped", "creating", "starting", "rebooting", "stopping", "resizing", "restoring")


@dataclass(frozen=True)
class Read:
    """What the cloud answered."""

    log: str | None = None
    screen: str | None = None
    fault: str | None = None


def ask(session: Session, service_id: int, at: datetime) -> ConsoleReading:
    """Have the console read; while it waits to be read, asking again changes nothing.

    Raises not_found and Conflict not_allowed_now.
    """
    service = reading.find(session, Service, service_id, lock=True)
    if service.state not in READABLE:
        raise starting.not_allowed_now(service)
    row = session.get(ConsoleReading, service.id)
    if row is not None and row.state == "waiting":
        return row
    row = row or ConsoleReading(service_id=service.id, member_id=service.member_id)
    row.state, row.asked_by, row.asked_at = "waiting", session.info["actor"], at
    row.read_at = row.log = row.screen = row.fault = None
    session.add(row)
    session.flush()
    audit.record(session, "console.ask", f"service {service.id}", member_id=service.member_id)
    return row


def run(runtime: Runtime) -> None:
    """The duty: read what was asked for, forget what was read long ago."""
    actor = f"worker {runtime.settings.worker_id}"
    with territory_session(runtime.engine, actor) as session:
        session.execute(sa.delete(ConsoleReading).where(ConsoleReading.read_at < datetime.now(UTC) - KEPT))
        wanted = session.execute(
            sa.select(ConsoleReading.service_id, Place.project_id, Resource.cloud_id)
            .outerjoin(Place, Place.member_id == ConsoleReading.member_id)
            .outerjoin(
                Resource,
                (Resource.service_id == ConsoleReading.service_id)
                & (Resource.kind == "server")
                & Resource.deleted_at.is_(None),
            )
            .where(ConsoleReading.state == "waiting")
            .limit(20)
        ).all()
    for service_id, project_id, server_id in wanted:
        found = _read(runtime.cloud, project_id, server_id)
        with territory_session(runtime.engine, actor) as session:
            _keep(session, service_id, found)


def _read(cloud: Cloud, project_id: str | None, server_id: str | None) -> Read:
    """What the cloud says; no transaction is open."""
    if project_id is None or server_id is None:
        return Read(fault=Text("La machine n’existe pas encore dans le nuage."))
    try:
        project = cloud.project(project_id)
        return Read(cloud_servers.console_log(project, server_id, LINES), _screen(project, server_id))
    except ClocherError as error:
        return Read(fault=str(error.sentence))


def _screen(cloud: Cloud, server_id: str) -> str | None:
    try:
        return cloud_servers.remote_console(cloud, server_id)
    except NotFound:  # console_not_offered
        return None


def _keep(session: Session, service_id: int, found: Read) -> None:
    row = session.get(ConsoleReading, service_id, with_for_update=True)
    if row is None or row.state != "waiting":  # another worker was quicker
        return
    row.state, row.read_at = "failed" if found.fault else "ready", datetime.now(UTC)
    row.log, row.screen, row.fault = found.log, found.screen, found.fault
