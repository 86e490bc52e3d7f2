"""What the platform really costs: entries, their import, the unit cost."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from sqlalchemy.orm import Session

from api import auth
from api.v1 import frame
from api.v1.schemas import ListOf
from api.v1.schemas_costs import (
    EndIn,
    EntryIn,
    EntryOut,
    EntryQuery,
    EntryRow,
    ImportIn,
    ImportOut,
    UnitCostOut,
    UnitCostQuery,
)
from tenants import accounting, cost_entries, cost_import, finance, unit_cost
from tenants.accounting import Accounting
from tenants.tables_finance import CostEntry

blueprint = APIBlueprint("cost_entries", __name__, url_prefix="/api/v1/cost-entries", tag="Accounting")
unit = APIBlueprint("unit_costs", __name__, url_prefix="/api/v1/unit-cost", tag="Accounting")
ONE = "/<int:entry_id>"


def _declared() -> tuple[Accounting, dict[str, str]]:
    folder = auth.settings().territory_dir
    return accounting.load(folder), cost_entries.sections(finance.sharing(folder))


@blueprint.get("")
@blueprint.input(EntryQuery, location="query")
@blueprint.output(ListOf[EntryRow])
def list_entries(query_data: EntryQuery) -> dict[str, Any]:
    """What is booked, newest first."""
    with auth.scope() as session:
        rows = [{"entry": row, "in_month": part} for row, part in cost_entries.listed(session, query_data.month)]
        return frame.cut(rows, query_data, lambda row: row["entry"].id)


@blueprint.post("")
@blueprint.input(EntryIn, location="json")
@blueprint.output(EntryOut, status_code=201)
def make(json_data: EntryIn) -> CostEntry:
    """Book a cost."""
    new = cost_entries.read(json_data.typed(), *_declared())
    with auth.scope() as session:
        return cost_entries.add(session, new)


@blueprint.get(ONE)
@blueprint.output(EntryOut)
def show(entry_id: int) -> CostEntry:
    """One cost."""
    with auth.scope() as session:
        return cost_entries.find(session, entry_id)


@blueprint.post(f"{ONE}/end")
@blueprint.input(EndIn, location="json")
@blueprint.output(EntryOut)
def end(entry_id: int, json_data: EndIn) -> CostEntry:
    """Let it count no more from a month on; closed months keep their part."""
    with auth.scope() as session:
        return cost_entries.end(session, entry_id, json_data.month)


@blueprint.post("/import")
@blueprint.input(ImportIn, location="json")
@blueprint.output(ImportOut)
def import_(json_data: ImportIn) -> dict[str, Any]:
    """Read a file whole and, unless it is a dry run, book it: every line or none."""
    lines = cost_import.read(json_data.csv, *_declared())
    with auth.scope() as session:
        return _imported(session, lines, json_data.dry_run)


def _imported(session: Session, lines: list[cost_import.Line], dry_run: bool) -> dict[str, Any]:
    if not dry_run:
        cost_import.keep(session, lines)
    told = cost_import.document(lines)
    for line in told:
        line["faults"] = [{**fault, "sentence": frame.tell(fault["sentence"])} for fault in line["faults"]]
    return {"lines": told, "total": cost_import.total(lines), "kept": not dry_run}


@unit.get("")
@unit.input(UnitCostQuery, location="query")
@unit.output(UnitCostOut)
def show_unit_cost(query_data: UnitCostQuery) -> dict[str, Any]:
    """What one unit cost in a year or a month, and billed against cost by member and by offer."""
    accounts, _ = _declared()
    with auth.scope() as session:
        found = unit_cost.document(unit_cost.report(session, query_data.period, accounts))
    return {**found, **{name: frame.plain(found[name]) for name in ("unit", "costs", "fctva")}}
