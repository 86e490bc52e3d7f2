"""One account as a FOCUS file, for a browser."""

from __future__ import annotations

from apiflask import APIBlueprint
from flask import Response, request

from api import auth, exporting_focus
from tenants import focus_columns

blueprint = APIBlueprint("focus_pages", __name__, enable_openapi=False, url_prefix="/statements")


@blueprint.get("/<int:statement_id>/focus.<kind>")
def statement(statement_id: int, kind: str) -> Response:
    """csv or parquet, of a version (`?version=`)."""
    with auth.scope() as session:
        version = request.args.get("version", focus_columns.DEFAULT)
        return exporting_focus.statement(session, statement_id, version, kind)
