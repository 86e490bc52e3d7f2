"""Months and accounts as FOCUS files (FinOps Open Cost and Usage Specification), for tools that read those."""

from __future__ import annotations

from apiflask import APIBlueprint
from flask import Response

from api import auth, exporting_focus
from api.v1.schemas_money import FocusQuery

blueprint = APIBlueprint("focus", __name__, url_prefix="/api/v1")
CSV: dict[int, str] = {200: "A text/csv file"}
PARQUET: dict[int, str] = {200: "An application/vnd.apache.parquet file"}


@blueprint.get("/periods/<month>/focus.csv")
@blueprint.input(FocusQuery, location="query")
@blueprint.doc(tags=["Periods"], responses=CSV)
def period_csv(month: str, query_data: FocusQuery) -> Response:
    """The month's charges as a FOCUS CSV file (UTF-8, comma, decimal point, UTC)."""
    with auth.scope() as session:
        return exporting_focus.month(session, month, query_data.version, "csv")


@blueprint.get("/periods/<month>/focus.parquet")
@blueprint.input(FocusQuery, location="query")
@blueprint.doc(tags=["Periods"], responses=PARQUET)
def period_parquet(month: str, query_data: FocusQuery) -> Response:
    """The same as typed Parquet (decimal128, UTC timestamps)."""
    with auth.scope() as session:
        return exporting_focus.month(session, month, query_data.version, "parquet")


@blueprint.get("/statements/<int:statement_id>/focus.csv")
@blueprint.input(FocusQuery, location="query")
@blueprint.doc(tags=["Statements"], responses=CSV)
def statement_csv(statement_id: int, query_data: FocusQuery) -> Response:
    """One account as a FOCUS CSV file (UTF-8, comma, decimal point, UTC)."""
    with auth.scope() as session:
        return exporting_focus.statement(session, statement_id, query_data.version, "csv")


@blueprint.get("/statements/<int:statement_id>/focus.parquet")
@blueprint.input(FocusQuery, location="query")
@blueprint.doc(tags=["Statements"], responses=PARQUET)
def statement_parquet(statement_id: int, query_data: FocusQuery) -> Response:
    """The same as typed Parquet (decimal128, UTC timestamps)."""
    with auth.scope() as session:
        return exporting_focus.statement(session, statement_id, query_data.version, "parquet")
