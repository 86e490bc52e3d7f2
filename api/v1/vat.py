"""What VAT follows, and what is agreed with each member."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint

from api import auth
from api.v1.schemas import ListOf
from api.v1.schemas_vat import ContractIn, ContractOut, CostIn, CostOut, RateIn, RateOut, RulesOut, TextIn, TextOut
from tenants import contracts, vat_rules

blueprint = APIBlueprint("vat", __name__, url_prefix="/api/v1/vat", tag="VAT")
CONTRACTS = "/contracts/<member_slug>"


@blueprint.get("")
@blueprint.output(RulesOut)
def show() -> dict[str, Any]:
    """Each member's regime today; rates, texts and unit costs, with their source. Always whole."""
    today = auth.today()
    with auth.scope() as session:
        return vat_rules.whole(session, today)


@blueprint.post("/rates")
@blueprint.input(RateIn, location="json")
@blueprint.output(RateOut, status_code=201)
def add_rate(json_data: RateIn) -> Any:
    """Add a rate. What was before stays, and so do closed months."""
    with auth.scope() as session:
        return vat_rules.add_rate(session, json_data.model_dump())


@blueprint.post("/texts")
@blueprint.input(TextIn, location="json")
@blueprint.output(TextOut, status_code=201)
def add_text(json_data: TextIn) -> Any:
    """Add a text. What was before stays, and so do closed months."""
    with auth.scope() as session:
        return vat_rules.add_text(session, json_data.model_dump())


@blueprint.post("/costs")
@blueprint.input(CostIn, location="json")
@blueprint.output(CostOut, status_code=201)
def add_cost(json_data: CostIn) -> Any:
    """Add a unit cost, which exempt members (261 B) are billed exactly."""
    with auth.scope() as session:
        return vat_rules.add_cost(session, json_data.model_dump())


@blueprint.get(CONTRACTS)
@blueprint.output(ListOf[ContractOut])
def list_contracts(member_slug: str) -> dict[str, Any]:
    """What was agreed with a member, newest month first. Always whole."""
    with auth.scope() as session:
        return {"items": contracts.listed(session, member_slug)}


@blueprint.post(CONTRACTS)
@blueprint.input(ContractIn, location="json")
@blueprint.output(ContractOut, status_code=201)
@blueprint.doc(responses={409: "A month that it would hold for is closed"})
def agree(member_slug: str, json_data: ContractIn) -> Any:
    """Agree on something from a month on; what was before holds until then."""
    with auth.scope() as session:
        return contracts.write(session, member_slug, json_data.model_dump())
