"""Files that a browser or a program downloads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from flask import Response, send_file
from sqlalchemy.orm import Session

from api import auth, language, statement_files
from orchestrator.tables_exports import Export

# ending → media type
TEXTS = {"csv": "text/csv", "json": "application/json", "yaml": "application/yaml", "jsonl": "application/x-ndjson"}
FILES = {
    **TEXTS,
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "pdf": "application/pdf",
    "xml": "application/xml",
    "parquet": "application/vnd.apache.parquet",
}


def statement(session: Session, statement_id: int, kind: str) -> Response:
    """One statement as csv, json, xlsx, pdf, factur-x or factur-x-xml, in the reader's language."""
    return _answer(statement_files.one(session, statement_id, kind, _desk()))


def month(session: Session, label: str, kind: str, member: str | None = None) -> Response:
    """All statements of a month, of one member if named, as csv, json or xlsx."""
    return _answer(statement_files.month(session, label, kind, _desk(), member))


def _desk() -> statement_files.Desk:
    return statement_files.Desk(auth.settings(), language.current(), statement_files.MOST)


def _answer(file: statement_files.File) -> Response:
    return download(file.content, file.name, FILES[file.name.rpartition(".")[2]])


def download(content: bytes | Iterator[str], name: str, kind: str) -> Response:
    """A file of this name; given piece by piece, it leaves as it is made."""
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    said = f"{kind}; charset=utf-8" if kind in TEXTS.values() else kind
    return Response(content, content_type=said, headers=headers)


def archive(export: Export, path: Path) -> Response:
    """An export's archive, read as it leaves; a program that was cut may go on where it was."""
    name = f"{export.title}.tar.gz"
    return send_file(
        path, "application/gzip", as_attachment=True, download_name=name, etag=export.sha256 or False, max_age=0
    )
