"""What tests of exports begin with: a running application, and an archive of it as its flow leaves one."""

from __future__ import annotations

import io
import tarfile
from datetime import datetime, timedelta
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.orm import Session, undefer

from orchestrator import exports, packing
from orchestrator.database import territory_session
from orchestrator.settings import Settings
from orchestrator.tables import Flow
from orchestrator.tables_exports import Export
from tenants import service_exports

GREETING = b"<h1>Bonjour de Brevaux</h1>\n"


def sent() -> io.BytesIO:
    """What a guest sends: one page."""
    source = io.BytesIO()
    with tarfile.open(fileobj=source, mode="w") as tar:
        page = tarfile.TarInfo("./index.html")
        page.size = len(GREETING)
        tar.addfile(page, io.BytesIO(GREETING))
    source.seek(0)
    return source


def made(owner: sa.Engine, settings: Settings, at: datetime, days: int = 7) -> Export:
    """The last export that was asked for, with its archive."""
    with territory_session(owner, "flow tests") as session:
        export = session.scalars(sa.select(Export).options(undefer(Export.papers)).order_by(Export.id.desc())).first()
        assert export
        packed = packing.pack(sent(), exports.path(settings, export), export.title, export.papers, at, 1)
        exports.keep(session, export.id, at, at + timedelta(days=days), packed)
        end(session, "done", at)
        return export


def end(session: Session, state: str, at: datetime) -> None:
    """The last flow ends."""
    flow = session.scalars(sa.select(Flow).order_by(Flow.id.desc())).first()
    assert flow
    exports.give_up(session, flow)
    flow.state, flow.ended_at = state, at
    session.flush()


def expire(owner: sa.Engine, settings: Settings, at: datetime) -> list[int]:
    with territory_session(owner, "worker tests") as session:
        return service_exports.expire(session, settings, at)


def opened(archive: Path | bytes) -> dict[str, bytes]:
    """The files of an archive, by their path in its folder."""
    source = io.BytesIO(archive if isinstance(archive, bytes) else archive.read_bytes())
    with tarfile.open(fileobj=source, mode="r:gz") as tar:
        files = [(one.name.partition("/")[2], tar.extractfile(one)) for one in tar.getmembers() if one.isfile()]
        return {name: file.read() for name, file in files if file}
