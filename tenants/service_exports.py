"""Taking an application's data along: asked for, fetched for some days, then gone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa
import structlog
from sqlalchemy.orm import Session

from orchestrator import audit, exports
from orchestrator.database import territory_session
from orchestrator.errors import Conflict, Text
from orchestrator.settings import Settings
from orchestrator.steps import Runtime
from orchestrator.tables import Flow, Service
from orchestrator.tables_exports import Export
from tenants import carried, export_papers, operations, reading, starting

log = structlog.get_logger()

MOST = 20  # of the list: the newest


@dataclass(frozen=True)
class Taken:
    """The exports of a service, newest first; refused: why none can be asked for now."""

    rows: list[Export]
    refused: Conflict | None


def ask(session: Session, settings: Settings, service_id: int, at: datetime) -> tuple[Export, Flow]:
    """Have all that a service holds put into one archive. What is written while it is made may be missing.

    Raises not_found, Conflict not_exportable and what `operations.ask_for` raises.
    """
    service = reading.find(session, Service, service_id, lock=True)
    _check(service)
    carried.refuse_copy(service)
    starting.check_free(session, service)
    papers = export_papers.papers(session, service, at, settings.timezone)
    made = exports.declare(session, service, export_papers.title(session, service, at, settings.timezone), papers, at)
    return made, operations.ask_for(session, service.id, "export_service", "export.ask", export_id=made.id)


def _check(service: Service) -> None:
    if "stack" not in service.specification:
        raise Conflict(
            "not_exportable",
            Text("« {name} » est une machine nue : ses données s’emportent par SSH.", name=service.name),
            "Copiez-les avec rsync ou scp.",
        )


def listed(session: Session, service_id: int) -> list[Export]:
    """The exports of a service, newest first."""
    query = sa.select(Export).where(Export.service_id == service_id).order_by(Export.id.desc()).limit(MOST)
    return list(session.scalars(query))


def taken(session: Session, service: Service) -> Taken | None:
    """What its page shows; None for what never had one and can't."""
    if "stack" not in service.specification or carried.copied_from(service):
        return None
    rows = listed(session, service.id)
    if service.state in ("deleted", "failed") and not rows:
        return None
    try:
        if service.state != "active":
            raise starting.not_allowed_now(service)
        starting.check_free(session, service)
    except Conflict as refused:
        return Taken(rows, refused)
    return Taken(rows, None)


def download(
    session: Session, settings: Settings, service_id: int, export_id: int, at: datetime
) -> tuple[Export, Path]:
    """An export and where its archive is, for the one who asks, who is written down.

    Raises not_found, export_not_found, Conflict export_state (not made, or its time is over at `at`) or export_missing.
    """
    service = reading.find(session, Service, service_id)
    found = exports.find(session, min(export_id, reading.BEYOND), service.id)
    if found.state != "ready" or (found.expires_at and found.expires_at <= at):
        raise exports.wrong(found, "ready")
    path = exports.path(settings, found)
    if not path.is_file():
        raise Conflict(
            "export_missing",
            Text("L’archive de {title} n’est pas sur ce serveur.", title=found.title),
            "Prévenez la DSI : le portail et les workers doivent partager CLOCHER_EXPORTS_DIR.",
        )
    detail = {"service": service.id, "sha256": found.sha256}
    audit.record(session, "export.download", f"export {found.id}", member_id=found.member_id, detail=detail)
    return found, path


def expire(session: Session, settings: Settings, at: datetime) -> list[int]:
    """Remove the archives whose time is over; the ids of the exports."""
    over = sa.select(Export).where(Export.state == "ready", Export.expires_at <= at)
    gone = session.scalars(over.with_for_update(skip_locked=True)).all()
    for export in gone:
        exports.path(settings, export).unlink(missing_ok=True)
        exports.change_state(session, export.id, "removed", at)
    return [export.id for export in gone]


def run(runtime: Runtime) -> None:
    """The duty."""
    with territory_session(runtime.engine, f"worker {runtime.settings.worker_id}") as session:
        gone = expire(session, runtime.settings, datetime.now(UTC))
    if gone:
        log.info("exports expired", exports=gone)
