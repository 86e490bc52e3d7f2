"""The year's energy and carbon: the responsible-digital review, on screen and as files."""

from __future__ import annotations

from typing import Any

from flask import Response, render_template, request

from api import auth, energy_writing
from api.exporting import FILES, download
from api.forms import Form
from api.pages.admin.guard import territory
from orchestrator.errors import InvalidInput
from tenants import energy_report, finance

blueprint = territory("finance_energy", "/finance/energy")


@blueprint.get("")
def show() -> tuple[str, int]:
    """A year (`?year=`): by month, member and offer, machines that stood still, the age of the equipment."""
    form, found, status = Form.asked(), None, 200
    when = request.args.get("year", "").strip() or str(auth.today().year)
    try:
        with auth.scope() as session:
            found = energy_report.report(session, when, finance.power(auth.settings().territory_dir))
    except InvalidInput as error:
        form, status = form.refused(error, "year"), error.status
    shown: dict[str, Any] = {"form": form, "found": found, "when": when}
    return render_template("admin/finance/energy.html", **shown), status


@blueprint.get("/export.<any(csv, json, xlsx):kind>")
def export(kind: str) -> Response:
    """The same as a file."""
    with auth.scope() as session:
        name, content = energy_writing.written(session, request.args.get("year", ""), kind, auth.settings())
    return download(content, name, FILES[kind])
