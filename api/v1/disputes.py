"""Objections to lines of closed statements: opened by members, answered and decided by finance."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from apiflask import APIBlueprint

from api import auth
from api.v1 import frame
from api.v1.schemas import ListOf
from api.v1.schemas_disputes import AnswerIn, DecisionIn, DisputeDetail, DisputeOut, DisputeQuery, OpenIn, SettleIn
from tenants import disputes

blueprint = APIBlueprint("disputes", __name__, url_prefix="/api/v1", tag="Statements")
ONE = "/disputes/<int:dispute_id>"


@blueprint.get("/disputes")
@blueprint.input(DisputeQuery, location="query")
@blueprint.output(ListOf[DisputeOut])
def list_disputes(query_data: DisputeQuery) -> dict[str, Any]:
    """Disputes, the newest first."""
    with auth.scope() as session:
        rows = disputes.listed(session, state=query_data.state, member=query_data.member)
    return frame.cut(rows, query_data, lambda row: row["id"])


@blueprint.get(ONE)
@blueprint.output(DisputeDetail)
def show(dispute_id: int) -> dict[str, Any]:
    """One dispute, with the line that it is about."""
    with auth.scope() as session:
        return disputes.one(session, dispute_id)


@blueprint.post("/statements/<int:statement_id>/lines/<int:position>/disputes")
@blueprint.input(OpenIn, location="json")
@blueprint.output(DisputeDetail, status_code=201)
def open_(statement_id: int, position: int, json_data: OpenIn) -> dict[str, Any]:
    """Object to a line of a closed statement, and say why. One at a time on each line."""
    with auth.scope() as session:
        made = disputes.open_(session, statement_id, position, json_data.reason, auth.now())
        return disputes.one(session, made.id)


@blueprint.post(f"{ONE}/answer")
@blueprint.input(AnswerIn, location="json")
@blueprint.output(DisputeDetail)
def answer(dispute_id: int, json_data: AnswerIn) -> dict[str, Any]:
    """Answer it; it stays open."""
    with auth.scope() as session:
        disputes.answer(session, dispute_id, json_data.answer, auth.now())
        return disputes.one(session, dispute_id)


@blueprint.post(f"{ONE}/settle")
@blueprint.input(SettleIn, location="json")
@blueprint.output(DisputeDetail)
def settle(dispute_id: int, json_data: SettleIn) -> dict[str, Any]:
    """Settle it by a line of the next month that is open."""
    with auth.scope() as session:
        disputes.settle(
            session, dispute_id, json_data.decision, auth.now(),
            amount=Decimal(json_data.amount) if json_data.amount else None,
            quantity=Decimal(json_data.quantity) if json_data.quantity else None,
        )  # fmt: skip
        return disputes.one(session, dispute_id)


@blueprint.post(f"{ONE}/reject")
@blueprint.input(DecisionIn, location="json")
@blueprint.output(DisputeDetail)
def reject(dispute_id: int, json_data: DecisionIn) -> dict[str, Any]:
    """Turn it down, and say why."""
    with auth.scope() as session:
        disputes.reject(session, dispute_id, json_data.decision, auth.now())
        return disputes.one(session, dispute_id)


@blueprint.post(f"{ONE}/withdraw")
@blueprint.output(DisputeDetail)
def withdraw(dispute_id: int) -> dict[str, Any]:
    """The member no longer objects."""
    with auth.scope() as session:
        disputes.withdraw(session, dispute_id, auth.now())
        return disputes.one(session, dispute_id)
