"""Lists as files for a spreadsheet: UTF-8 with BOM, `;`, decimal comma."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from apiflask import APIBlueprint
from flask import Response

from api import auth
from api.v1 import frame
from api.v1.schemas import OrderQuery
from api.v1.schemas_admin import MemberFilter
from api.v1.schemas_trail import AuditFilter
from orchestrator.database import territory_session
from tenants import desk, members_list, prices, trail

blueprint = APIBlueprint("files", __name__, url_prefix="/api/v1")


@blueprint.get("/orders.csv")
@blueprint.input(OrderQuery, location="query")
@blueprint.doc(tags=["Orders"], responses={200: "A text/csv file"})
def orders(query_data: OrderQuery) -> Response:
    """A page of orders as a file, of one state or member."""
    given = {"state": query_data.state or "", "member": query_data.member or ""}
    with auth.scope() as session:
        rows, following = desk.orders(session, given, after=query_data.after, limit=query_data.limit)
    frame.page((), following)
    return frame.file(desk.orders_csv(rows), "commandes.csv")


@blueprint.get("/members.csv")
@blueprint.input(MemberFilter, location="query")
@blueprint.doc(tags=["Members"], responses={200: "A text/csv file"})
def members(query_data: MemberFilter) -> Response:
    """The members as a file."""
    with auth.scope() as session:
        return frame.file(members_list.as_csv(members_list.listed(session, query_data.filters())), "membres.csv")


@blueprint.get("/audit.csv")
@blueprint.input(AuditFilter, location="query")
@blueprint.doc(tags=["Audit"], responses={200: "A text/csv file"})
def audit_csv(query_data: AuditFilter) -> Response:
    """All entries of the trail that are sought, newest first, for a spreadsheet."""
    return frame.file(_pieces(query_data, trail.as_csv), "journal.csv")


@blueprint.get("/audit.jsonl")
@blueprint.input(AuditFilter, location="query")
@blueprint.doc(tags=["Audit"], responses={200: "An application/x-ndjson file"})
def audit_lines(query_data: AuditFilter) -> Response:
    """The same, one JSON object a line."""
    return frame.file(_pieces(query_data, trail.as_lines), "journal.jsonl")


def _pieces(query: AuditFilter, write: Callable[[Iterator[dict[str, Any]]], Iterator[str]]) -> Iterator[str]:
    """The file leaves after the request is over: it has a transaction of its own."""
    search, zone = query.search(), auth.settings().timezone
    engine, actor = auth.engines().staff, frame.caller().actor

    def pieces() -> Iterator[str]:
        with territory_session(engine, actor) as session:
            yield from write(trail.every(session, search, zone))

    return pieces()


@blueprint.get("/prices.csv")
@blueprint.doc(tags=["Prices"], responses={200: "A text/csv file"})
def price_book() -> Response:
    """The whole price book as a file."""
    with auth.scope() as session:
        return frame.file(prices.as_csv(prices.listed(session), auth.settings().timezone), "tarifs.csv")
