"""The state of an export, written here and nowhere else, with its audit entry; and where its archive lies."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator import audit
from orchestrator.errors import Conflict, NotFound, Text
from orchestrator.packing import Packed
from orchestrator.settings import Settings
from orchestrator.tables import Flow, Service
from orchestrator.tables_exports import Export

ALLOWED: dict[str, tuple[str, ...]] = {
    "making": ("ready", "failed"),
    "ready": ("removed",),
    "removed": (),
    "failed": (),
}


def declare(session: Session, service: Service, title: str, papers: Mapping[str, str], at: datetime) -> Export:
    """A new row for an export of the service, which a flow `export_service {export_id}` then makes."""
    export = Export(
        member_id=service.member_id,
        service_id=service.id,
        title=title,
        file=secrets.token_hex(32),
        papers=dict(papers),
        requested_by=session.info["actor"],
        created_at=at,
    )
    session.add(export)
    session.flush()
    return export


def find(session: Session, export_id: int, service_id: int) -> Export:
    """The service's export. Raises NotFound `export_not_found`."""
    found = session.get(Export, export_id)
    if found is None or found.service_id != service_id:
        raise NotFound("export_not_found", "Cet export n’existe pas.", "Choisissez-en un autre.")
    return found


def path(settings: Settings, export: Export) -> Path:
    """Where its archive lies; the folder is ours alone."""
    folder = settings.exports_dir or settings.state_dir / "exports"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder / f"{export.file}.tar.gz"


def keep(session: Session, export_id: int, at: datetime, expires_at: datetime, packed: Packed) -> None:
    """The archive is there until `expires_at`; it takes the place of the service's former ones."""
    export = session.get_one(Export, export_id, with_for_update=True)
    export.made_at, export.expires_at = at, expires_at
    export.bytes, export.sha256, export.files = packed.bytes, packed.sha256, packed.files
    change_state(session, export_id, "ready", at)
    former = (Export.service_id == export.service_id) & (Export.state == "ready") & (Export.id != export_id)
    session.execute(sa.update(Export).where(former).values(expires_at=at))


def change_state(session: Session, export_id: int, to: str, at: datetime) -> None:
    """Bring an export to the state `to`, at an instant; nothing when it is there already.

    Raises Conflict `export_state` when ALLOWED does not lead there.
    """
    export = session.get_one(Export, export_id, with_for_update=True)
    before = export.state
    if before == to:
        return
    if to not in ALLOWED[before]:
        raise wrong(export, to)
    export.state, export.papers = to, {}
    if to in ("removed", "failed"):
        export.ended_at = at
    session.flush()
    detail = {"from": before, "to": to, "service": export.service_id, "bytes": export.bytes, "sha256": export.sha256}
    audit.record(session, "export.state", f"export {export_id}", member_id=export.member_id, detail=detail)


def give_up(session: Session, flow: Flow) -> None:
    """The export that a flow was to make will not be, unless it is there already."""
    if flow.kind == "export_service" and session.get_one(Export, flow.parameters["export_id"]).state == "making":
        change_state(session, flow.parameters["export_id"], "failed", datetime.now(UTC))


def wrong(export: Export, wanted: str) -> Conflict:
    """The error for an export that is in another state."""
    return Conflict(
        "export_state",
        Text("L’export {title} n’est pas dans un état qui le permet.", title=export.title),
        "Demandez-en un nouveau.",
        facts={"state": export.state, "wanted": wanted},
    )
