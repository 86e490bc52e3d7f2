"""The members' accounts."""

from __future__ import annotations

from apiflask import APIBlueprint
from flask import render_template
from werkzeug.wrappers import Response

from api import auth, exporting
from tenants import reading, statements

blueprint = APIBlueprint("statement_pages", __name__, enable_openapi=False, url_prefix="/statements")


@blueprint.get("")
def listed() -> str:
    """The accounts, newest month first."""
    with auth.scope() as session:
        return render_template("statements/list.html", statements=statements.listed(session))


@blueprint.get("/<int:statement_id>.csv")
def download(statement_id: int) -> Response:
    """One account as a file."""
    with auth.scope() as session:
        return exporting.csv_answer(reading.statement(session, statement_id))
