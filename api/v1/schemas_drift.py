"""What the API says of guests and their plays, and of what an application may be answered anew."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from api.v1.schemas import Cut, Given, one_of, words
from orchestrator.tables_drift import DRIFT_STATES

DriftState = Annotated[str, one_of(*DRIFT_STATES), words(DRIFT_STATES)]


class DriftQuery(Cut):
    """state: in this state only."""

    state: DriftState | None = None


class DifferenceOut(Given):
    """A task that would change the guest. kind: `changes`; `secret`, whose content is not shown; `fails`: it can't be
    foreseen, nor what comes after it.
    """

    task: str = Field(examples=["Write the settings of sshd"])
    role: str | None
    kind: str = Field(examples=["changes"])
    diff: str


class DriftOut(Given):
    """A guest and its play as they were last compared. since: when what differs was first seen; tried_at: later than
    compared_at when the last comparison found nothing out.
    """

    service_id: int
    name: str
    member: str
    state: DriftState
    differences: list[DifferenceOut]
    since: datetime | None
    compared_at: datetime | None
    tried_at: datetime


class ParameterOut(Given):
    """What an application was asked. changeable: whether it may be answered anew; rule: type and bounds."""

    name: str = Field(examples=["title"])
    label: dict[str, str]
    answer: Any
    changeable: bool
    rule: dict[str, Any]
