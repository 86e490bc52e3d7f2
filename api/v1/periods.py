"""Billing months: draft, check, close."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import Response
from sqlalchemy.orm import Session

from api import auth, exporting
from api.v1 import frame
from api.v1.schemas import ListOf
from api.v1.schemas_money import (
    AdjustmentOut,
    BeginIn,
    CloseIn,
    DifferenceOut,
    PeriodDetail,
    PeriodOut,
    PeriodQuery,
    UsageCheckOut,
    UsageCheckQuery,
)
from orchestrator.errors import InvalidInput
from tenants import adjustments, finance, periods, periods_closing, pools, usage_check

blueprint = APIBlueprint("periods", __name__, url_prefix="/api/v1/periods", tag="Periods")
ONE = "/<month>"


@blueprint.get("")
@blueprint.input(PeriodQuery, location="query")
@blueprint.output(ListOf[PeriodOut])
def list_periods(query_data: PeriodQuery) -> dict[str, Any]:
    """Every month, newest first, with the number of statements and their sum."""
    with auth.scope() as session:
        rows = [row for row in periods.listed(session) if query_data.state in (None, row["state"])]
    return frame.cut(rows, query_data, lambda row: row["period"])


@blueprint.get(ONE)
@blueprint.output(PeriodDetail)
def show(month: str) -> dict[str, Any]:
    """One month: what is stated, what stands in the way of closing it."""
    with auth.scope() as session:
        return _shown(session, month)


def _shown(session: Session, month: str) -> dict[str, Any]:
    run = periods_closing.dry_run(session, month, auth.now())
    period = run.period
    fields = {name: getattr(period, name) for name in ("state", "sample", "metered_until", "closed_at")}
    return {**fields, "period": period.label, "statements": run.statements, "total": run.total,
            "obstacles": frame.tell_all(run.obstacles), "differences": run.differences}  # fmt: skip


@blueprint.get(f"{ONE}/usage-check")
@blueprint.input(UsageCheckQuery, location="query")
@blueprint.output(UsageCheckOut)
def show_usage_check(month: str, query_data: UsageCheckQuery) -> dict[str, Any]:
    """Our hours of each server beside Nova's, with the reasons of each difference, as they were last compared."""
    with auth.scope() as session:
        check = usage_check.last(session, month)
        rows = usage_check.servers(session, check)
    shown = [{**row, "reasons": dict(row["reasons"])} for row in rows if row["odd"] or not query_data.odd]
    page = frame.cut(shown, query_data, lambda row: row["server"], newest_first=False)
    odd = sum(row["odd"] for row in rows)
    return {"period": month, "until": check.until, "read_at": check.read_at, "servers": len(rows), "odd": odd, **page}


@blueprint.post(f"{ONE}/draft")
@blueprint.output(PeriodDetail)
def draft(month: str) -> dict[str, Any]:
    """Meter, price, share and state the month anew."""
    with auth.scope() as session:
        periods.find(session, month)
    return _draft(month)


@blueprint.post("")
@blueprint.input(BeginIn, location="json")
@blueprint.output(PeriodDetail, status_code=201)
def begin(json_data: BeginIn) -> dict[str, Any]:
    """Draft a month that may not be there yet."""
    return _draft(json_data.month)


@blueprint.get(f"{ONE}/adjustments")
@blueprint.output(ListOf[AdjustmentOut])
def list_adjustments(month: str) -> dict[str, Any]:
    """What the month corrects of those that were closed before it, line by line. Always whole."""
    with auth.scope() as session:
        return {"items": adjustments.listed(session, periods.find(session, month).label)}


def _draft(month: str) -> dict[str, Any]:
    settings = auth.settings()
    declared = finance.sharing(settings.territory_dir)
    with auth.scope() as session:
        pools.apply_keys(session, declared)
        periods.draft(session, month, declared, auth.now(), settings.timezone)
        return _shown(session, month)


@blueprint.post(f"{ONE}/check")
@blueprint.output(ListOf[DifferenceOut])
def check(month: str) -> dict[str, Any]:
    """Prove the draft; what does not add up is the answer, nothing makes it ready to close."""
    with auth.scope() as session:
        return {"items": periods.check(session, month)}


@blueprint.post(f"{ONE}/close")
@blueprint.input(CloseIn, location="json")
@blueprint.output(PeriodDetail)
def close(month: str, json_data: CloseIn) -> dict[str, Any]:
    """Seal a checked month for good."""
    with auth.scope() as session:
        periods.find(session, month)
        if json_data.confirm != month:
            raise InvalidInput("not_confirmed", "La confirmation manque.", "Écrivez le mois une seconde fois.")
        periods.close(session, month, auth.now())
        return _shown(session, month)


@blueprint.get(f"{ONE}/statements.csv")
@blueprint.doc(responses={200: "A text/csv file"})
def export(month: str) -> Response:
    """All statements of the month as a French CSV file (UTF-8 with BOM, `;`, decimal comma)."""
    with auth.scope() as session:
        return exporting.month(session, month, "csv")


@blueprint.get(f"{ONE}/statements.xlsx")
@blueprint.doc(
    responses={200: "An application/vnd.openxmlformats-officedocument.spreadsheetml.sheet file", 409: "It is too long"}
)
def workbook(month: str) -> Response:
    """All statements of the month as a workbook: members, lines, shares; sums are formulas."""
    with auth.scope() as session:
        return exporting.month(session, month, "xlsx")
