"""FOCUS files that a browser or a program downloads."""

from __future__ import annotations

from typing import Any

from flask import Response
from sqlalchemy.orm import Session

from api import auth, exporting
from orchestrator.errors import InvalidInput
from tenants import focus_columns, focus_files, periods, reading, statements
from tenants.tables import Period

KINDS = ("csv", "parquet")


def month(session: Session, label: str, version: str, kind: str, member: str | None = None) -> Response:
    """A month's charges, or those of one member. Raises InvalidInput unknown_format."""
    period = periods.find(session, label)
    return _answer(session, period, statements.documents(session, period, member), version, kind, member)


def statement(session: Session, statement_id: int, version: str, kind: str) -> Response:
    """One account. Raises InvalidInput unknown_format."""
    document = reading.statement(session, statement_id)
    period = periods.find(session, document["period"])
    return _answer(session, period, [document], version, kind, document["member"]["slug"])


def _answer(
    session: Session, period: Period, documents: list[dict[str, Any]], version: str, kind: str, member: str | None
) -> Response:
    if version not in focus_columns.ALL or kind not in KINDS:
        raise InvalidInput(
            "unknown_format", "Ce format n’existe pas.", "Choisissez csv ou parquet, et une version de FOCUS connue."
        )
    name, content = focus_files.make(
        session, period, documents, auth.settings().territory_dir, version=version, kind=kind, member=member
    )
    return exporting.download(content, name, exporting.FILES[kind])
