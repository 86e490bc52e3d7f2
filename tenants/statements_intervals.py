"""What a statement's line counts: the stretches of usage behind it, so that its payer can work it out again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator.errors import NotFound
from orchestrator.tables import Resource
from orchestrator.tables_usage import MeterSample
from tenants.tables import Meter, Price, Statement, StatementLine, UsageCorrection, UsageInterval


def line(session: Session, statement_id: int, position: int) -> StatementLine:
    """A line of usage, or one that corrects it, by its place in a statement, from 1. Raises NotFound not_found."""
    found = session.scalar(
        sa.select(StatementLine)
        .join(Statement, Statement.id == StatementLine.statement_id)  # a member sees its own statements only
        .where(
            StatementLine.statement_id == min(statement_id, 2**63 - 1),
            StatementLine.position == min(position, 2**31 - 1),
            StatementLine.unit_seconds.is_not(None),  # what is of use, or corrects some
        )
    )
    if found is None:
        raise NotFound("not_found", "Cette ligne n’existe pas, ou n’est pas à vous.", "Revenez au relevé.")
    return found


def intervals(session: Session, line: StatementLine) -> list[dict[str, Any]]:
    """The usage that a usage line counts, in time order: position of the line, resource, quantity, from, until.

    Of an adjustment, what changed in the closed month: quantity as known now, and what was `counted` before. Only the
    part of it while the line's price was in force; the rest is on another line.
    """
    return _intervals(session, StatementLine.id == line.id)


def all_intervals(session: Session, statement_id: int) -> list[dict[str, Any]]:
    """Likewise of every line of usage and adjustment of a statement, line by line."""
    return _intervals(session, StatementLine.statement_id == statement_id)


def _intervals(session: Session, wanted: sa.ColumnElement[bool]) -> list[dict[str, Any]]:
    held = _held(UsageInterval, [UsageInterval.quantity]).where(wanted, StatementLine.kind == "usage")
    changed = (
        _held(UsageCorrection, [UsageCorrection.quantity, UsageCorrection.counted])
        .where(wanted, StatementLine.kind == "adjustment")
        .where(UsageCorrection.corrects_id == StatementLine.corrects_id)
    )
    found = [dict(row) for query in (held, changed) for row in session.execute(query).mappings()]
    return sorted(found, key=lambda one: one["position"])


def _sampled() -> sa.ScalarSelect[Any]:
    """When an application counted what an interval holds: at its beginning, or before the month."""
    return (
        sa.select(sa.func.max(MeterSample.at))
        .join(Meter, Meter.code == MeterSample.meter)
        .where(
            Meter.id == UsageInterval.meter_id,
            MeterSample.service_id == Resource.service_id,
            MeterSample.at <= sa.func.lower(UsageInterval.during),
        )
        .scalar_subquery()
    )


def _held(of: type[UsageInterval | UsageCorrection], figures: Sequence[Any]) -> sa.Select[Any]:
    """What lines count of a table, in time order, while their price was in force."""
    during = of.during.intersection(Price.during)
    begin, end = sa.func.lower(during), sa.func.upper(during)
    sampled = sa.null() if of is UsageCorrection else _sampled()
    return (
        sa.select(StatementLine.position, Resource.cloud_id.label("resource"), *figures, begin.label("from"),
                  end.label("until"), sampled.label("sampled_at"))
        .join(Price, Price.id == StatementLine.price_id)
        .join(Resource, Resource.service_id == StatementLine.service_id)
        .join(of, of.resource_id == Resource.id)
        .where(
            of.period_id == StatementLine.period_id,
            of.member_id == StatementLine.member_id,  # says the same again, to an index
            of.meter_id == StatementLine.meter_id,
            of.during.overlaps(Price.during),
        )
        .order_by(StatementLine.position, begin, of.id)
    )  # fmt: skip
