"""What the API takes and gives about disputes."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from api.v1.schemas import Amount, Given, Id, Month, PageQuery, PlainText, Taken, one_of, words
from tenants.tables_disputes import STATES

Words = Annotated[PlainText, Field(min_length=1, max_length=2000)]
State = Annotated[str, words(STATES, "open")]
Euros = Annotated[str, Field(pattern=r"^-?[0-9]{1,12}(\.[0-9]{1,2})?$", examples=["-12.40"])]
Hours = Annotated[str, Field(pattern=r"^-?[0-9]{1,15}(\.[0-9]{1,6})?$", examples=["-720"])]


class DisputeOut(Given):
    """An objection to a line (`position`) of a closed statement.

    amount: euros that settle it; carried: the month whose statement has them.
    """

    id: Id
    member: str
    name: str
    period: Month
    statement_id: Id
    position: int
    state: State
    reason: str
    opened_by: str
    opened_at: datetime
    answer: str | None
    answered_by: str | None
    answered_at: datetime | None
    quantity: Amount | None
    amount: Amount | None
    decision: str | None
    decided_by: str | None
    decided_at: datetime | None
    carried: str | None


class DisputeDetail(DisputeOut):
    """One, with the line that it is about."""

    line: dict[str, Any]


class DisputeQuery(PageQuery):
    """state: in this state only; member: of the territory's list, one."""

    state: Annotated[str, one_of(*STATES), words(STATES, "open")] | None = None


class OpenIn(Taken):
    """Why the line is wrong."""

    reason: Words


class AnswerIn(Taken):
    """What finance says; the dispute stays open."""

    answer: Words


class DecisionIn(Taken):
    """Why it is turned down."""

    decision: Words


class SettleIn(DecisionIn):
    """Either euros (below zero in favour of the member), or unit-hours at the price of the line; and why."""

    amount: Euros | None = None
    quantity: Hours | None = None
