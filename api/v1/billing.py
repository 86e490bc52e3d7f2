"""How members pay, and the files that finance's software takes."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import Response

from api import auth
from api.v1 import frame
from api.v1.schemas import ListOf
from api.v1.schemas_costs import BillingIn, BillingOut, YearQuery
from tenants import accounting, billing, periods, pretitles, scdl

blueprint = APIBlueprint("billing", __name__, url_prefix="/api/v1/billing", tag="Accounting")
books = APIBlueprint("pretitles", __name__, url_prefix="/api/v1", tag="Accounting")


@blueprint.get("")
@blueprint.output(ListOf[BillingOut])
def list_modes() -> dict[str, Any]:
    """Every active member's mode today, and the next. Always whole."""
    with auth.scope() as session:
        return {"items": billing.listed(session, auth.today())}


@blueprint.put("/<member_slug>")
@blueprint.input(BillingIn, location="json")
@blueprint.output(BillingOut)
def change(member_slug: str, json_data: BillingIn) -> dict[str, Any]:
    """How a member pays from a month on; what was told for later months goes."""
    with auth.scope() as session:
        given = json_data
        billing.change(session, member_slug, given.month, given.mode, given.withheld or "", given.reference)
        return next(row for row in billing.listed(session, auth.today()) if row["slug"] == member_slug)


@books.get("/periods/<month>/pretitles.csv")
@books.doc(responses={200: "A text/csv file", 409: "The month is not closed"})
def of_month(month: str) -> Response:
    """The pre-titles and deductions of a closed month: always the same bytes."""
    accounts = accounting.load(auth.settings().territory_dir)
    with auth.scope() as session:
        rows = pretitles.month(session, periods.find(session, month), accounts)
    return frame.file(pretitles.as_csv(rows), f"pre-titres-{month}.csv")


@books.get("/pretitles.csv")
@books.input(YearQuery, location="query")
@books.doc(responses={200: "A text/csv file", 409: "The year is not closed"})
def of_year(query_data: YearQuery) -> Response:
    """What a closed year's deductions still owe or give back."""
    accounts = accounting.load(auth.settings().territory_dir)
    with auth.scope() as session:
        rows = pretitles.year(session, query_data.year, accounts)
    return frame.file(pretitles.as_csv(rows), f"regularisation-{query_data.year}.csv")


@books.get("/scdl.csv")
@books.input(YearQuery, location="query")
@books.doc(responses={200: "A text/csv file", 409: "No month of the year is closed"})
def scdl_of_year(query_data: YearQuery) -> Response:
    """The closed months of a year as analytic lines, in the columns of SCDL budget 0.8.3: always the same bytes."""
    accounts = accounting.load(auth.settings().territory_dir)
    with auth.scope() as session:
        found = scdl.extract(session, query_data.year, accounts)
    return frame.file(scdl.as_csv(found), found.name)
