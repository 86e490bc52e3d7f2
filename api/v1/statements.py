"""Members' accounts for a month."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import Response

from api import auth, exporting
from api.v1.schemas import ListOf, StatementDetail, StatementOut, StatementQuery
from tenants import reading, statements

blueprint = APIBlueprint("statements", __name__, url_prefix="/api/v1/statements", tag="Statements")


@blueprint.get("")
@blueprint.input(StatementQuery, location="query")
@blueprint.output(ListOf[StatementOut])
@blueprint.doc(security="token")
def list_statements(query_data: StatementQuery) -> dict[str, Any]:
    """The accounts in brief, newest month first."""
    with auth.scope() as session:
        return {"items": statements.listed(session, query_data.period, query_data.member)}


@blueprint.get("/<int:statement_id>")
@blueprint.output(StatementDetail)
@blueprint.doc(security="token")
def show(statement_id: int) -> dict[str, Any]:
    """One account, line by line."""
    with auth.scope() as session:
        return reading.statement(session, statement_id)


@blueprint.get("/<int:statement_id>.csv")
@blueprint.doc(security="token", responses={200: "A text/csv file"})
def download(statement_id: int) -> Response:
    """One account as a French CSV file (UTF-8 with BOM, `;`, decimal comma)."""
    with auth.scope() as session:
        return exporting.csv_answer(reading.statement(session, statement_id))
