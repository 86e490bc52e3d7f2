"""The price book, and a tariff being prepared."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from apiflask import APIBlueprint
from sqlalchemy.orm import Session

from api import auth
from api.v1 import frame
from api.v1.schemas import Cut, ListOf
from api.v1.schemas_prices import AdoptIn, CompareQuery, DraftDetail, DraftIn, DraftOut, PriceFilter, PriceOut
from tenants import prices, prices_comparison, prices_drafts
from tenants.tables_administration import PriceDraft

blueprint = APIBlueprint("prices", __name__, url_prefix="/api/v1/prices", tag="Prices")
ONE = "/drafts/<int:draft_id>"


@blueprint.get("")
@blueprint.input(PriceFilter, location="query")
@blueprint.output(ListOf[PriceOut])
def list_prices(query_data: PriceFilter) -> dict[str, Any]:
    """Every price, newest first. Always whole."""
    now = auth.now()
    with auth.scope() as session:
        rows = prices.listed(session)
    if query_data.meter is not None:
        rows = [row for row in rows if row["meter"] == query_data.meter]
    if query_data.current:
        rows = [row for row in rows if _in_force(row, now)]
    return {"items": rows}


def _in_force(row: dict[str, Any], now: datetime) -> bool:
    return bool((row["from"] is None or row["from"] <= now) and (row["until"] is None or now < row["until"]))


@blueprint.get("/drafts")
@blueprint.input(Cut, location="query")
@blueprint.output(ListOf[DraftOut])
def list_drafts(query_data: Cut) -> dict[str, Any]:
    """The tariffs that are being prepared, newest first."""
    with auth.scope() as session:
        return frame.cut(prices_drafts.listed(session), query_data, lambda row: row.id)


@blueprint.post("/drafts")
@blueprint.input(DraftIn, location="json")
@blueprint.output(DraftOut, status_code=201)
def make(json_data: DraftIn) -> Any:
    """Prepare a tariff."""
    with auth.scope() as session:
        return _written(session, None, json_data)


@blueprint.get(ONE)
@blueprint.input(CompareQuery, location="query")
@blueprint.output(DraftDetail)
def show(draft_id: int, query_data: CompareQuery) -> dict[str, Any]:
    """One draft, and what a stated month would have cost."""
    with auth.scope() as session:
        draft = prices_drafts.find(session, draft_id)
        compared = prices_comparison.compare(session, draft, query_data.month)
        shown = {name: getattr(draft, name) for name in DraftOut.model_fields}
        return {**shown, "compared": compared and frame.plain(frame.told(compared))}


@blueprint.put(ONE)
@blueprint.input(DraftIn, location="json")
@blueprint.output(DraftOut)
def change(draft_id: int, json_data: DraftIn) -> Any:
    """Change a draft."""
    with auth.scope() as session:
        return _written(session, draft_id, json_data)


def _written(session: Session, draft_id: int | None, given: DraftIn) -> PriceDraft:
    hourly = {code: one if isinstance(one, str) else one.model_dump() for code, one in given.hourly.items()}
    return prices_drafts.write(session, draft_id, given.book, given.starts, hourly, given.kind)


@blueprint.post(f"{ONE}/adopt")
@blueprint.input(AdoptIn, location="json")
@blueprint.output(DraftOut)
def adopt(draft_id: int, json_data: AdoptIn) -> PriceDraft:
    """Put a draft's prices in the book from its day on; members were told before."""
    with auth.scope() as session:
        return prices_drafts.adopt(session, draft_id, auth.settings().timezone, auth.now(), json_data.told_on)


@blueprint.post(f"{ONE}/discard")
@blueprint.output(DraftOut)
def discard(draft_id: int) -> PriceDraft:
    """Give a draft up."""
    with auth.scope() as session:
        return _discarded(session, draft_id)


def _discarded(session: Session, draft_id: int) -> PriceDraft:
    return prices_drafts.discard(session, draft_id, auth.now())
