"""Schemas of the price book: prices, drafts of tariffs, what a past month would have cost."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any

from pydantic import Field

from api.v1.schemas import Amount, Given, Id, Line, Month, Taken, one_of, words
from api.v1.schemas_money import Day, Price
from orchestrator.tables import MEMBER_KINDS


class StepIn(Taken):
    """From a quantity on (units of a member, all services together, held the whole month), its price."""

    above: Annotated[str, Field(pattern=r"^[0-9]{1,12}([.,][0-9]{1,6})?$", examples=["100"])]
    price: Price


class TermsIn(Taken):
    """A price with units that are free, and steps that ascend."""

    price: Price
    free: Annotated[str, Field(pattern=r"^[0-9]{1,12}([.,][0-9]{1,6})?$", examples=["10"])] = "0"
    steps: list[StepIn] = Field([], max_length=20)


class PriceOut(Given):
    """Euros for one unit and hour (basis `hour`), a month (`month`: a minimum) or once (a fee), while it is in force.

    for: the kind of members; null, all. steps: from which quantity of a member on which price holds, free ones at 0;
    `hourly` is then the first that is not free. told_on: when members were told.
    """

    meter: str = Field(examples=["vcpu"])
    label: str
    unit: str
    basis: Annotated[str, words(("hour", "month", "once"))]
    kind: str | None = Field(alias="for")
    hourly: Amount
    steps: list[dict[str, str]] | None
    told_on: date | None
    book: str
    since: datetime | None = Field(alias="from")
    until: datetime | None
    origin: str


class DraftIn(Taken):
    """A tariff: its name, its first day (local), and new prices by meter; what is left out stays. kind: of the members
    that it is for; null, all.
    """

    book: Line = Field(examples=["Tarif 2027"])
    starts: Day
    kind: Annotated[str, one_of(*MEMBER_KINDS), words(MEMBER_KINDS, "company")] | None = None
    hourly: dict[Annotated[str, Field(max_length=40)], Price | TermsIn] = Field(examples=[{"vcpu": "0.0125"}])


class DraftOut(Given):
    """A tariff being prepared."""

    id: Id
    book: str
    starts: date
    member_kind: str | None
    hourly: dict[str, Any]
    told_on: date | None
    state: Annotated[str, words(("draft", "adopted", "discarded"))]
    made_by: str
    made_at: datetime
    decided_by: str | None
    decided_at: datetime | None


class AdoptIn(Taken):
    """told_on: the day when members were told of the tariff."""

    told_on: Day


class CompareQuery(Taken):
    """month: one with statements; by default the newest."""

    month: Month | None = None


class ComparedOut(Given):
    """What a stated month would have cost at these prices, in euros; cells: of each member by meter; periods: all
    months that can be compared.
    """

    period: Month
    before: Amount
    after: Amount
    meters: list[dict[str, Any]]
    members: list[dict[str, Any]]
    cells: list[dict[str, Any]]
    periods: list[Month]


class DraftDetail(DraftOut):
    """A tariff being prepared, and what the last month would have cost."""

    compared: ComparedOut | None


class PriceFilter(Taken):
    """meter: only this one; current: only what is in force now."""

    meter: Annotated[str, Field(pattern=r"^[a-z_]{1,40}$")] | None = None
    current: bool = False
