"""A month as a FOCUS file, for a browser."""

from __future__ import annotations

from flask import Response, request

from api import auth, exporting_focus
from api.pages.admin.guard import territory
from tenants import focus_columns

blueprint = territory("finance_focus", "/finance/focus")


@blueprint.get("/<month>.<kind>")
def export(month: str, kind: str) -> Response:
    """csv or parquet, of a version (`?version=`), of one member if named (`?member=`)."""
    with auth.scope() as session:
        version, member = request.args.get("version", focus_columns.DEFAULT), request.args.get("member") or None
        return exporting_focus.month(session, month, version, kind, member)
