"""Files that a browser or a program downloads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flask import Response, current_app, send_file

from orchestrator.tables_exports import Export
from tenants import exports


def csv_answer(document: dict[str, Any]) -> Response:
    """A statement as a CSV file with its name."""
    name = exports.file_name(document["period"], document["sample"], document["member"]["slug"], "csv")
    content = exports.csv_file([document], current_app.config["TIMEZONE"])
    disposition = f'attachment; filename="{name}"'
    return Response(content, content_type="text/csv; charset=utf-8", headers={"Content-Disposition": disposition})


def download(content: bytes | Iterator[str], name: str, kind: str) -> Response:
    """A file of this name; given piece by piece, it leaves as it is made."""
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(content, content_type=f"{kind}; charset=utf-8", headers=headers)


def archive(export: Export, path: Path) -> Response:
    """An export's archive, read as it leaves; a program that was cut may go on where it was."""
    name = f"{export.title}.tar.gz"
    return send_file(
        path, "application/gzip", as_attachment=True, download_name=name, etag=export.sha256 or False, max_age=0
    )
