"""The members' accounts: the list, one with its lines by service, one line down to what it counts, and files."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import render_template
from werkzeug.wrappers import Response

from api import auth, exporting, paging
from tenants import adjustments, reading, sharing, statements, statements_intervals

blueprint = APIBlueprint("statement_pages", __name__, enable_openapi=False, url_prefix="/statements")
SERVICES = 50  # of a statement, on a page
ROWS = 100  # of the list, on a page


@blueprint.get("")
def listed() -> str:
    """The accounts, newest month first."""
    with auth.scope() as session:
        part = paging.part(statements.count(session), ROWS)
        rows = statements.listed(session, start=part.start, most=part.stop - part.start)
    return render_template("statements/list.html", statements=rows, part=part)


@blueprint.get("/<int:statement_id>")
def one(statement_id: int) -> str:
    """One account: what each service used at which price, then the share of the common costs."""
    with auth.scope() as session:
        document = reading.statement(session, statement_id)
        later = adjustments.listed(session, corrected=statement_id)
    return render_template("statements/one.html", document=document, later=later, **by_service(document))


def by_service(document: dict[str, Any]) -> dict[str, Any]:
    """`services`: a statement's lines by service, a part of them, `part`: which; `corrected`: what corrects closed
    months; `shares`: those of common costs.
    """
    services: dict[str, list[dict[str, Any]]] = {}
    for line in document["lines"]:
        if line["kind"] in ("usage", "fee", "minimum"):
            services.setdefault(line["service"], []).append(line)
    shares = [{**line, **sharing.explain(line)} for line in document["lines"] if line["kind"] == "share"]
    corrected = [line for line in document["lines"] if "corrects" in line]
    part = paging.part(len(services), SERVICES)
    return {"services": part.of(list(services.items())), "shares": shares, "corrected": corrected, "part": part}


@blueprint.get("/<int:statement_id>/lines/<int:position>")
def line(statement_id: int, position: int) -> str:
    """One line of usage: every interval that it counts; of one that corrects a closed month, what changed there."""
    with auth.scope() as session:
        document = reading.statement(session, statement_id)
        intervals = statements_intervals.intervals(session, statements_intervals.line(session, statement_id, position))
    told = next(one for one in document["lines"] if one["position"] == position)
    return render_template("statements/line.html", document=document, line=told, intervals=intervals)


@blueprint.get("/<int:statement_id>.<any(csv, json, xlsx, pdf):kind>")
def download(statement_id: int, kind: str) -> Response:
    """One account to take away: for a spreadsheet, for a program, on paper."""
    with auth.scope() as session:
        return exporting.statement(session, statement_id, kind)


@blueprint.get("/<int:statement_id>/factur-x.pdf")
def invoice(statement_id: int) -> Response:
    """One closed account as an electronic invoice."""
    with auth.scope() as session:
        return exporting.statement(session, statement_id, "factur-x")
