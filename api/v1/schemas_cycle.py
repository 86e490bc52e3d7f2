"""What the API takes and gives about the yearly cycle."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from api.v1.schemas import Amount, Flag, Given, Line, MemberQuery, Slug, Taken, one_of, words
from api.v1.schemas_costs import FaultOut, Figure, _some
from api.v1.schemas_money import Day
from tenants.tables_cycle import DUES, FREQUENCIES

Frequency = Annotated[str, one_of(*FREQUENCIES), words(tuple(FREQUENCIES), "quarterly")]
Of = Annotated[int, Field(strict=True, ge=2020, le=2099, examples=[2026])]
Number = Annotated[int, Field(strict=True, ge=1, le=12, examples=[3])]
Units = Annotated[str, Field(pattern=r"^-?[0-9]{1,10}([.,][0-9]{1,6})?$", examples=["17520"])]


class CycleQuery(Taken):
    """Which year."""

    year: Annotated[int, Field(ge=2020, le=2099, examples=[2026])]


class CallsQuery(CycleQuery):
    """month: only those that are due in it."""

    month: Annotated[int, Field(ge=1, le=12, examples=[3])] | None = None


class AnnualQuery(CycleQuery, MemberQuery):
    """member: needed by the territory."""


class TermsIn(Taken):
    """What members were told of a year. costs_change, units_change: what the budget changes of the last closed year."""

    year: Of
    costs_change: Figure | None = None
    units_change: Units | None = None
    frequency: Frequency
    told_on: Day = Field(examples=["2026-02-20"])
    source: Line = Field(examples=["Courrier du 20 février 2026"])


class TermsOut(Given):
    """What was told. unit_cost: (costs + costs_change) ÷ (units + units_change), to the millionth."""

    year: int
    unit: dict[str, str]
    base_year: int | None
    costs: Amount
    units: Amount
    costs_change: Amount
    units_change: Amount
    unit_cost: Amount
    frequency: Frequency
    told_on: date
    source: str


class CycleRow(Given):
    """A member's year: units and euros foreseen, called, still to call, withheld, really cost; settled: null before."""

    slug: str
    name: str
    modes: list[str]
    units: Amount
    foreseen: Amount | None
    calls: int
    called: Amount
    to_call: Amount
    withheld: Amount
    cost: Amount
    settled: Amount | None


class CycleOut(Given):
    """A year. telling: told, late, waiting or overdue, by the day of the budget's vote, with its source."""

    year: int
    unit: dict[str, str]
    closed: bool
    settled: bool
    basis: dict[str, Any]
    terms: TermsOut | None
    telling: dict[str, Any]
    members: list[CycleRow]


class ForecastIn(Taken):
    """Units that a member's convention foresees of an offer or meter; zero takes it back. first, last: months."""

    year: Of
    member: Slug
    subject: Annotated[str, Field(min_length=1, max_length=60, examples=["vcpu"])]
    units: Units
    first: Number = Field(1, examples=[1])
    last: Number = Field(12, examples=[12])
    reference: Line = Field(examples=["Convention 2026-03"])


class ForecastOut(Given):
    """A line of a convention."""

    member: str
    year: int
    kind: str
    subject: str
    units: Amount
    first: int
    last: int
    reference: str


class ForecastsIn(Taken):
    """csv: the file as it is (heading, then lines); dry_run: only look."""

    year: Of
    csv: Annotated[
        str, AfterValidator(_some),
        Field(max_length=60_000, examples=["membre;objet;unités;premier mois;dernier mois;convention\n"
                                           "brevaux;vcpu;17520;;;Convention 2026-03\n"]),
    ]  # fmt: skip
    dry_run: Flag = True


class ForecastLine(Given):
    """A line of the file by its number: what it says, or what is wrong with it."""

    number: int
    member: str
    subject: str | None
    units: Amount | None
    first: int | None
    last: int | None
    reference: str | None
    faults: list[FaultOut]


class ForecastsOut(Given):
    """What the file says; kept: whether it was kept."""

    lines: list[ForecastLine]
    total: Amount
    kept: bool


class CallsIn(Taken):
    """month: every call that is due by then (1 to 12) is made."""

    year: Of
    month: Number


class SettlementIn(Taken):
    """The year that is settled: once."""

    year: Of


class DueOut(Given):
    """What a member is asked for: a call (since: the first month that it asks for; period: that in which it is due), or
    a year's settlement (below zero: it goes back).
    """

    member: str
    year: int
    kind: Annotated[str, words(DUES, "call")]
    number: int
    reference: str
    period: str
    since: str | None
    dated: date
    amount: Amount
    hash: str


class AnnualOut(Given):
    """A yearly statement: uses in units, statements by month, calls, unit costs told, and the difference (amount)."""

    year: int
    state: str
    reference: str
    dated: date
    member: dict[str, str]
    unit: dict[str, str]
    uses: list[dict[str, Any]]
    units: Amount
    months: list[dict[str, Any]]
    forecast: list[dict[str, Any]]
    calls: list[dict[str, Any]]
    terms: dict[str, Any] | None
    next: dict[str, Any] | None
    observed: Amount | None
    at_unit_cost: Amount | None
    total: Amount
    owed: Amount
    called: Amount
    withheld: Amount
    settled: dict[str, str]
    amount: Amount
    previous_hash: str | None = None
    hash: str | None = None
