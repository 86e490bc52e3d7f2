"""What a month costs so far, and the year's budget."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint

from api import auth
from api.v1 import frame
from api.v1.schemas import MemberQuery, MonthQuery
from api.v1.schemas_money import BudgetOut, CostsOut, ServiceCostsQuery
from orchestrator.tables import Service
from tenants import costs, costs_days, costs_year, periods, reading

blueprint = APIBlueprint("costs", __name__, url_prefix="/api/v1", tag="Costs")


def _label(given: str | None) -> str:
    return given or periods.label_of(auth.now(), auth.settings().timezone)


@blueprint.get("/costs")
@blueprint.input(MonthQuery, location="query")
@blueprint.output(CostsOut)
def show(query_data: MonthQuery) -> Any:
    """A month of one member by service, meter and day; without a member, of all of them as last counted."""
    zone, label = auth.settings().timezone, _label(query_data.month)
    with auth.scope() as session:
        if query_data.member is None and frame.caller().member_id is None:
            return costs_days.territory(session, label, auth.now(), zone)
        return costs.month(session, auth.member_id(session, query_data.member), label, auth.now(), zone)


@blueprint.get("/services/<int:service_id>/costs")
@blueprint.input(ServiceCostsQuery, location="query")
@blueprint.output(CostsOut)
def of_service(service_id: int, query_data: ServiceCostsQuery) -> Any:
    """A month of one service by meter and day."""
    zone, label = auth.settings().timezone, _label(query_data.month)
    with auth.scope() as session:
        service = reading.find(session, Service, service_id)
        return costs.month(session, service.member_id, label, auth.now(), zone, service_id=service_id)


@blueprint.get("/costs/budget")
@blueprint.input(MemberQuery, location="query")
@blueprint.output(BudgetOut)
def budget(query_data: MemberQuery) -> Any:
    """A member's year: its budget and what is used of it."""
    zone = auth.settings().timezone
    with auth.scope() as session:
        member_id = auth.member_id(session, query_data.member)
        present = costs.so_far(session, member_id, auth.now(), zone)
        return costs_year.budget_use(session, member_id, auth.now(), zone, present)
