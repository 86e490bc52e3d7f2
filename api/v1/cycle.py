"""The yearly cycle: unit costs told, forecasts, calls, settlements, yearly statements."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import Response
from sqlalchemy.orm import Session

from api import annual_files, auth, language
from api.v1 import frame
from api.v1.schemas import ListOf
from api.v1.schemas_cycle import (
    AnnualOut,
    AnnualQuery,
    CallsIn,
    CallsQuery,
    CycleOut,
    CycleQuery,
    DueOut,
    ForecastIn,
    ForecastOut,
    ForecastsIn,
    ForecastsOut,
    SettlementIn,
    TermsIn,
    TermsOut,
)
from orchestrator.tables import Member
from tenants import accounting, cycle, cycle_calls, cycle_files, cycle_forecasts, cycle_terms, cycle_year, pretitles
from tenants.accounting import Accounting
from tenants.statements import Document
from tenants.tables_cycle import Forecast

blueprint = APIBlueprint("cycle", __name__, url_prefix="/api/v1/cycle", tag="Accounting")
annual = APIBlueprint("annual", __name__, url_prefix="/api/v1/annual", tag="Statements")


def _accounts() -> Accounting:
    return accounting.load(auth.settings().territory_dir)


@blueprint.get("")
@blueprint.input(CycleQuery, location="query")
@blueprint.output(CycleOut)
def show(query_data: CycleQuery) -> dict[str, Any]:
    """A year: what was told, and each member's forecast, calls, cost and settlement."""
    with auth.scope() as session:
        found = cycle.document(cycle.overview(session, query_data.year, _accounts(), auth.today()))
    return {**found, "basis": frame.plain(found["basis"])}


@blueprint.post("/terms")
@blueprint.input(TermsIn, location="json")
@blueprint.output(TermsOut, status_code=201)
def tell(json_data: TermsIn) -> dict[str, Any]:
    """Write down the unit cost that members were told, and how often it is called."""
    given = {name: str(value) for name, value in json_data.model_dump(exclude_none=True).items()}
    with auth.scope() as session:
        return cycle.told(cycle_terms.tell(session, json_data.year, given, _accounts(), auth.today()))


@blueprint.get("/forecasts")
@blueprint.input(CycleQuery, location="query")
@blueprint.output(ListOf[ForecastOut])
def list_forecasts(query_data: CycleQuery) -> dict[str, Any]:
    """What the conventions foresee of a year. Always whole."""
    with auth.scope() as session:
        known = cycle_forecasts.subjects(session, query_data.year, _accounts())
        held = cycle_forecasts.in_force(session, query_data.year)
        return {"items": [cycle_forecasts.told(one, known) for rows in held.values() for one in rows]}


@blueprint.post("/forecasts")
@blueprint.input(ForecastIn, location="json")
@blueprint.output(ForecastOut, status_code=201)
def foresee(json_data: ForecastIn) -> dict[str, Any]:
    """Keep what a convention foresees of a subject: it replaces what was foreseen of it."""
    with auth.scope() as session:
        known = cycle_forecasts.subjects(session, json_data.year, _accounts())
        given = {name: str(value) for name, value in json_data.model_dump().items()}
        new: Forecast = cycle_forecasts.read(json_data.year, given, known, session.info["actor"])
        return cycle_forecasts.told(cycle_forecasts.add(session, new), known)


@blueprint.post("/forecasts/import")
@blueprint.input(ForecastsIn, location="json")
@blueprint.output(ForecastsOut)
def import_(json_data: ForecastsIn) -> dict[str, Any]:
    """Read a file whole and, unless it is a dry run, keep it: every line or none."""
    with auth.scope() as session:
        known = cycle_forecasts.subjects(session, json_data.year, _accounts())
        lines = cycle_forecasts.read_file(json_data.year, json_data.csv, known, session.info["actor"])
        if not json_data.dry_run:
            cycle_forecasts.keep(session, lines)
        told = cycle_forecasts.document(lines)
    for line in told:
        line["faults"] = [{**fault, "sentence": frame.tell(fault["sentence"])} for fault in line["faults"]]
    return {"lines": told, "total": cycle_forecasts.total(lines), "kept": not json_data.dry_run}


@blueprint.post("/calls")
@blueprint.input(CallsIn, location="json")
@blueprint.output(ListOf[DueOut])
def issue(json_data: CallsIn) -> dict[str, Any]:
    """Make the calls that are due by a month and were not made: those that this made."""
    with auth.scope() as session:
        made = cycle_calls.issue(session, json_data.year, json_data.month, auth.today())
        return {"items": [cycle.called(due) for due in made]}


@blueprint.post("/settlement")
@blueprint.input(SettlementIn, location="json")
@blueprint.output(ListOf[DueOut])
def settle(json_data: SettlementIn) -> dict[str, Any]:
    """Settle a closed year: seals every member's yearly statement, once."""
    with auth.scope() as session:
        made = cycle_year.settle(session, json_data.year, _accounts(), auth.today())
        return {"items": [cycle.called(due) for due in made]}


@blueprint.get("/calls.csv")
@blueprint.input(CallsQuery, location="query")
@blueprint.doc(responses={200: "A text/csv file"})
def calls(query_data: CallsQuery) -> Response:
    """The pre-titles of a year's calls."""
    with auth.scope() as session:
        rows = cycle_files.calls(session, query_data.year, query_data.month, _accounts())
    return frame.file(pretitles.as_csv(rows), f"appels-{query_data.year}.csv")


@blueprint.get("/settlement.csv")
@blueprint.input(CycleQuery, location="query")
@blueprint.doc(responses={200: "A text/csv file"})
def settlements(query_data: CycleQuery) -> Response:
    """The pre-titles of a year's settlement: complements, reductions, settled deductions."""
    with auth.scope() as session:
        rows = cycle_files.settlements(session, query_data.year, _accounts())
    return frame.file(pretitles.as_csv(rows), f"regularisation-{query_data.year}.csv")


@annual.get("")
@annual.input(AnnualQuery, location="query")
@annual.output(AnnualOut)
def show_annual(query_data: AnnualQuery) -> Document:
    """A member's yearly statement: sealed once its year is settled, a draft before."""
    with auth.scope() as session:
        return _document(session, query_data)


@annual.get("/table.csv")
@annual.input(AnnualQuery, location="query")
@annual.doc(responses={200: "A text/csv file"})
def table(query_data: AnnualQuery) -> Response:
    """The same as a French CSV file."""
    return _file(query_data, "csv")


@annual.get("/paper.pdf")
@annual.input(AnnualQuery, location="query")
@annual.doc(responses={200: "An application/pdf file"})
def paper(query_data: AnnualQuery) -> Response:
    """The same on paper (tagged PDF), in French or, if `Accept-Language` prefers it, in English."""
    return _file(query_data, "pdf")


def _file(asked: AnnualQuery, kind: str) -> Response:
    with auth.scope() as session:
        document = _document(session, asked)
    content = annual_files.one(document, kind, auth.settings(), language.current())
    return frame.file(content, f"etat-annuel-{asked.year}-{document['member']['slug']}.{kind}")


def _document(session: Session, asked: AnnualQuery) -> Document:
    member = session.get_one(Member, auth.member_id(session, asked.member))
    return cycle_year.annual(session, asked.year, member, _accounts(), auth.today())
