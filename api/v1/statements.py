"""Members' accounts for a month."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import Response

from api import auth, exporting
from api.v1 import frame
from api.v1.schemas import ListOf
from api.v1.schemas_money import IntervalOut, StatementDetail, StatementOut, StatementQuery
from tenants import reading, statements, statements_intervals

blueprint = APIBlueprint("statements", __name__, url_prefix="/api/v1/statements", tag="Statements")
ONE = "/<int:statement_id>"


@blueprint.get("")
@blueprint.input(StatementQuery, location="query")
@blueprint.output(ListOf[StatementOut])
def list_statements(query_data: StatementQuery) -> dict[str, Any]:
    """The accounts in brief, newest first."""
    with auth.scope() as session:
        rows = statements.listed(session, query_data.period, query_data.member)
        return frame.cut(rows, query_data, lambda row: row["id"])


@blueprint.get(ONE)
@blueprint.output(StatementDetail)
def show(statement_id: int) -> dict[str, Any]:
    """One account, line by line."""
    with auth.scope() as session:
        return reading.statement(session, statement_id)


@blueprint.get(f"{ONE}.csv")
@blueprint.doc(responses={200: "A text/csv file"})
def download(statement_id: int) -> Response:
    """One account as a French CSV file (UTF-8 with BOM, `;`, decimal comma)."""
    with auth.scope() as session:
        return exporting.statement(session, statement_id, "csv")


@blueprint.get(f"{ONE}.xlsx")
@blueprint.doc(
    responses={200: "An application/vnd.openxmlformats-officedocument.spreadsheetml.sheet file", 409: "It is too long"}
)
def workbook(statement_id: int) -> Response:
    """One account as a workbook: its lines and every interval that they count; sums are formulas."""
    with auth.scope() as session:
        return exporting.statement(session, statement_id, "xlsx")


@blueprint.get(f"{ONE}.pdf")
@blueprint.doc(responses={200: "An application/pdf file"})
def paper(statement_id: int) -> Response:
    """One account on paper (tagged PDF), in French or, if `Accept-Language` prefers it, in English."""
    with auth.scope() as session:
        return exporting.statement(session, statement_id, "pdf")


NO_INVOICE = "It is not closed, is not paid by a title, or was closed before VAT was looked at"


@blueprint.get(f"{ONE}/factur-x.pdf")
@blueprint.doc(responses={200: "An application/pdf file", 409: NO_INVOICE})
def invoice(statement_id: int) -> Response:
    """One closed account as a Factur-X: the paper (PDF/A-3), which carries the invoice in XML (EN 16931)."""
    with auth.scope() as session:
        return exporting.statement(session, statement_id, "factur-x")


@blueprint.get(f"{ONE}/factur-x.xml")
@blueprint.doc(responses={200: "An application/xml file", 409: NO_INVOICE})
def invoice_xml(statement_id: int) -> Response:
    """The invoice alone (EN 16931, in UN/CEFACT's CII)."""
    with auth.scope() as session:
        return exporting.statement(session, statement_id, "factur-x-xml")


@blueprint.get(f"{ONE}/lines/<int:position>/usage")
@blueprint.output(ListOf[IntervalOut])
def list_usage(statement_id: int, position: int) -> dict[str, Any]:
    """The usage that one line counts, in time order: what proves it. Always whole."""
    with auth.scope() as session:
        line = statements_intervals.line(session, statement_id, position)
        return {"items": statements_intervals.intervals(session, line)}
