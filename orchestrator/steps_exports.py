"""The steps that bring an application's data out of its guest, into one archive that its member takes along."""

from __future__ import annotations

import shutil
import tarfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath

import sqlalchemy as sa
from sqlalchemy.orm import Session, undefer

from orchestrator import exports, packing, ssh
from orchestrator import steps_guest as guest
from orchestrator import steps_stack as stack
from orchestrator.errors import ClocherError, InvalidInput
from orchestrator.packing import Packed
from orchestrator.steps import Run, Write, nothing
from orchestrator.tables_exports import Export

SPARED_GIB = 1  # of the worker's disk, for all else


def hand_out(run: Run) -> Write:
    """Have the application write its data in open formats into a folder of its guest."""
    try:
        within = run.runtime.settings.backup_timeout
        outcome = guest.perform(run, run.specification["play"], "export", within=within, **stack.variables(run))
    except ClocherError as error:
        if error.code not in ("play_failed", "play_timeout"):
            raise
        raise _failed(error.detail) from error
    folder = str(outcome.result.get("path", ""))
    if not PurePosixPath(folder).is_absolute():
        raise _failed(f"{run.specification['play']}: export.yml tells no path")
    own = Export.id == run.parameters["export_id"]

    def write(session: Session) -> None:
        session.execute(sa.update(Export).where(own).values(source=folder))

    return write


def fetch(run: Run) -> Write:
    """Make the archive of what is in that folder, and of the papers. It is there whole, or not at all."""
    settings, export = run.runtime.settings, _export(run)
    if export.state == "ready":  # all was written, then the step was cut: another archive would have other sums
        return nothing
    whole, at = exports.path(settings, export), datetime.now(UTC)
    packed = _packed(run, export, _draft(whole), at)
    _draft(whole).replace(whole)
    expires_at = at + timedelta(days=settings.export_days)
    return lambda session: exports.keep(session, export.id, at, expires_at, packed)


def discard(run: Run) -> Write:
    """Leave no archive, whole or not; one that is ready stays: only the end of its flow did not come."""
    export = _export(run)
    if export.state == "ready":
        return nothing
    whole = exports.path(run.runtime.settings, export)
    for file in (whole, _draft(whole)):
        file.unlink(missing_ok=True)
    return nothing


def _draft(whole: Path) -> Path:
    return whole.with_suffix(".part")


def _packed(run: Run, export: Export, draft: Path, at: datetime) -> Packed:
    settings = run.runtime.settings
    seconds = run.began + settings.backup_timeout - time.monotonic()
    room = shutil.disk_usage(draft.parent).free // packing.GIB - SPARED_GIB
    # A file with two names is sent twice: the second would be a link.
    send = ("sudo", "tar", "--create", "--hard-dereference", "--directory", export.source or "", "--file=-", ".")
    try:
        with ssh.stream(settings, guest.reached(run), *send, timeout=seconds) as source:
            return packing.pack(source, draft, export.title, export.papers, at, min(settings.export_gib, room))
    except InvalidInput as error:
        if settings.export_gib <= room:
            raise
        raise _failed(f"room for {max(room, 0)} GiB on the worker's disk") from error
    except (tarfile.TarError, OSError) as error:
        raise _failed(str(error)) from error


def _export(run: Run) -> Export:
    with run.session() as session:
        return session.get_one(Export, run.parameters["export_id"], options=[undefer(Export.papers)])


def _failed(detail: str) -> ClocherError:
    return ClocherError(
        "export_failed",
        "L’export a échoué.",
        "Le service n’a pas changé : demandez-en un autre, ou prévenez la DSI.",
        detail=detail,
    )
