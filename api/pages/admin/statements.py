"""Finance's statements: list, one down to its intervals, files."""

from __future__ import annotations

from flask import Response, render_template, request

from api import auth, exporting, paging, statement_files
from api.forms import Form
from api.pages.admin.guard import territory
from api.pages.statements import ROWS, by_service
from orchestrator.errors import InvalidInput
from tenants import adjustments, periods, reading, statements, statements_intervals

blueprint = territory("finance_statements", "/finance/statements")


@blueprint.get("")
def list_() -> str:
    """Statements in brief, newest month first."""
    period, member = (request.args.get(name, "").strip() for name in ("period", "member"))
    with auth.scope() as session:
        chosen = (period or None, member or None)
        part = paging.part(statements.count(session, *chosen), ROWS)
        rows = statements.listed(session, *chosen, start=part.start, most=part.stop - part.start)
        months = [row["period"] for row in periods.listed(session)]
    shown = {"rows": rows, "part": part, "form": Form.asked(), "months": months, "filtered": bool(period or member)}
    return render_template("admin/finance/statements.html", **shown)


@blueprint.get("/export.<kind>")
def export(kind: str) -> Response:
    """All statements of a month (`?period=`), of one member if named: csv, json or xlsx."""
    if kind not in statement_files.MONTH:
        raise InvalidInput("unknown_format", "Ce format n’existe pas.", "Choisissez csv, json ou xlsx.")
    with auth.scope() as session:
        return exporting.month(session, request.args.get("period", ""), kind, request.args.get("member") or None)


@blueprint.get("/<int:statement_id>.<any(csv, json, xlsx, pdf):kind>")
def download(statement_id: int, kind: str) -> Response:
    """One account to take away."""
    with auth.scope() as session:
        return exporting.statement(session, statement_id, kind)


@blueprint.get("/<int:statement_id>/factur-x.pdf")
def invoice(statement_id: int) -> Response:
    """One closed account as an electronic invoice."""
    with auth.scope() as session:
        return exporting.statement(session, statement_id, "factur-x")


@blueprint.get("/<int:statement_id>")
def one(statement_id: int) -> str:
    """One account: its lines by service, then the shared costs."""
    with auth.scope() as session:
        document = reading.statement(session, statement_id)
        later = adjustments.listed(session, corrected=statement_id)
    return render_template("admin/finance/statement.html", document=document, later=later, **by_service(document))


@blueprint.get("/<int:statement_id>/lines/<int:position>")
def line(statement_id: int, position: int) -> str:
    """One line of usage: every interval that it counts; of one that corrects a closed month, what changed there."""
    with auth.scope() as session:
        document = reading.statement(session, statement_id)
        intervals = statements_intervals.intervals(session, statements_intervals.line(session, statement_id, position))
    told = next(one for one in document["lines"] if one["position"] == position)
    return render_template("admin/finance/line.html", document=document, line=told, intervals=intervals)
