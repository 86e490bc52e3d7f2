"""What the API takes and gives about money: costs, statements, periods, prices."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from api.v1.schemas import Amount, Given, Id, Month, PageQuery, PlainText, Taken, one_of, words
from tenants import focus_columns
from tenants.finance import WEIGHT
from tenants.tables import REGIMES

PERIOD_STATES = ("open", "draft", "checked", "closed")
PeriodState = Annotated[str, words(PERIOD_STATES, "checked")]
Day = Annotated[str, Field(pattern=r"^20[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$", examples=["2026-12-01"])]
Weight = Annotated[str, Field(pattern=f"^{WEIGHT}$")]
Price = Annotated[str, Field(pattern=r"^[0-9]{1,9}([.,][0-9]{1,8})?$", examples=["0.0125"])]


class StatementOut(Given):
    """A member's account for a month. total: euros."""

    id: int
    member: str
    period: str
    state: str
    sample: bool
    total: Amount
    hash: str | None


class Payer(Given):
    """Who owes it."""

    slug: str
    name: str
    siren: str
    siret: str


class VatOut(Given):
    """VAT on the whole account, rounded once. rate: percent, null outside the normal regime."""

    regime: Annotated[str, words(REGIMES, "normal")]
    rate: str | None
    amount: str
    mention: dict[str, str]


# What documents say that are not of the oldest release, or not of every month.
SINCE = ("adjustments", "billing", "vat", "payable", "contract", "issuer", "terms", "energy", "availability")


class StatementDetail(Given):
    """An account with its lines, which lead to prices and keys; amounts in euros. The hash covers all of it.

    billing: how it is paid (mode: title, deduction with what is withheld, information). What was closed
    before that was told, or VAT looked at, has no such field. availability: of each application with a web address,
    how often it was asked and answered in the month; share: percent, null when nothing was measured.
    """

    id: int
    period: str
    since: datetime = Field(alias="from")
    until: datetime
    metered_until: datetime | None
    state: str
    sample: bool
    currency: str
    member: Payer
    lines: list[dict[str, Any]]
    usage: str
    shares: str
    adjustments: str | None = None
    total: str
    billing: dict[str, str] | None = Field(None, examples=[{"mode": "title"}])
    vat: VatOut | None = None
    payable: str | None = Field(None, description="The total and its VAT; null before VAT was looked at")
    contract: dict[str, str] | None = None
    issuer: dict[str, str] | None = None
    terms: dict[str, dict[str, str]] | None = None
    energy: dict[str, Any] | None = Field(
        None,
        description="kWh, gCO2e of use (`grams`) and of fabrication (`embodied`), whether measured or estimated, what"
        " is missing, the factors with their sources, each service's; null: not known. Absent where none was declared",
    )
    availability: list[dict[str, Any]] | None = None
    previous_hash: str | None
    hash: str | None

    @model_serializer(mode="wrap")
    def _as_sealed(self, told: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without what the sealed document has not, so that its hash can be found again."""
        fields: dict[str, Any] = told(self)
        return {name: value for name, value in fields.items() if name not in SINCE or value is not None}


class AdjustmentOut(Given):
    """A line of a month that corrects one that was closed before; amount and unit_seconds: what was lacking there;
    of a fee or a minimum, unit_seconds is null and hourly the fee or minimum of then.

    statement, position: where the line is; corrects_position: place of the line that it corrects in the member's
    statement of `corrects`, null when it had none.
    """

    statement: Id
    position: int
    period: Month
    member: str
    name: str
    corrects: Month
    corrects_position: int | None
    service: str
    meter: str
    unit: str
    unit_seconds: Amount | None
    hourly: Amount
    book: str
    amount: Amount


class StatementQuery(PageQuery):
    """period: a month as 2026-10; member: of the territory's list, one."""

    period: Month | None = None


class FocusQuery(Taken):
    """version: of the specification; 1.4 has the columns of shared costs."""

    version: Annotated[str, one_of(*focus_columns.ALL), words(focus_columns.ALL)] = focus_columns.DEFAULT


class IntervalOut(Given):
    """What a resource held: quantity of the line's meter, from one instant to another.

    counted: of a line that corrects a closed month, the quantity that had been counted there until then; else null.
    sampled_at: when an application counted it, of what its trade counts.
    """

    resource: str
    counted: Amount | None = None
    quantity: Amount
    since: datetime = Field(alias="from")
    until: datetime
    sampled_at: datetime | None


class PartOut(Given):
    """What a service or meter costs: euros so far, and expected by the end of the month."""

    id: int
    name: str
    amount: Amount
    forecast: Amount


class DayOut(Given):
    """A local day and what it cost, in euros."""

    day: date
    amount: Amount


class CostsOut(Given):
    """What a month costs in euros: until an instant, and expected by its end."""

    label: Month
    until: datetime
    amount: Amount
    forecast: Amount
    services: list[PartOut]
    meters: list[PartOut]
    days: list[DayOut]
    members: list[PartOut]


class BudgetOut(Given):
    """A year's budget in euros and what is used of it; share: 0.25 is a quarter."""

    year: int
    budget: Amount | None
    stated: Amount
    unstated: Amount
    so_far: Amount
    used: Amount
    forecast: Amount
    share: Amount | None


class PeriodOut(Given):
    """A billing month; total: euros of all statements."""

    period: Month
    state: PeriodState
    sample: bool
    since: datetime = Field(alias="from")
    until: datetime
    metered_until: datetime | None
    statements: int
    total: Amount
    closed_at: datetime | None


class UsageCheckQuery(Taken):
    """odd: only servers whose difference does not follow from the rules; after: the `next` of the page before."""

    odd: bool = False
    after: Annotated[PlainText, Field(max_length=64)] | None = None
    limit: int = Field(50, ge=1, le=200)


class UsageServerOut(Given):
    """A server by Nova's id, in seconds: billed in full, in existence as we noted it, as Nova counts, and running less
    cloud. reasons: seconds by code, whose sum is the difference; odd: one of them has to be looked into.
    """

    server: str
    name: str
    member: str
    running: Amount
    existing: Amount
    cloud: Amount
    difference: Amount
    odd: bool
    reasons: dict[str, Amount]


class UsageCheckOut(Given):
    """When the month's hours were last compared with Nova's (`clocher usage verify`), until when, and each server's."""

    period: Month
    until: datetime
    read_at: datetime
    servers: int
    odd: int
    items: list[UsageServerOut]
    next: str | None


class DifferenceOut(Given):
    """Something that does not add up."""

    check: str
    subject: str
    expected: str
    found: str


class PeriodDetail(Given):
    """A month, what stands in the way of closing it, and what does not add up."""

    period: Month
    state: PeriodState
    sample: bool
    metered_until: datetime | None
    closed_at: datetime | None
    statements: int
    total: Amount
    obstacles: list[str]
    differences: list[DifferenceOut]


class PeriodQuery(Taken):
    """state: in this state only; after: the `next` of the page before."""

    after: Month | None = None
    limit: int = Field(50, ge=1, le=200)
    state: Annotated[str, one_of(*PERIOD_STATES), words(PERIOD_STATES, "closed")] | None = None


class ServiceCostsQuery(Taken):
    """month: by default the present one."""

    month: Month | None = None


class BeginIn(Taken):
    """Which month to draft."""

    month: Month


class CloseIn(Taken):
    """confirm: the month's label once more; what is closed never changes again."""

    confirm: Month


class KeyOut(Given):
    """A version of a voted key: its criteria with their weights, and the days that it is in force."""

    code: str = Field(examples=["mixte"])
    version: int
    weights: dict[str, str] = Field(examples=[{"population": "0.5", "equal": "0.5"}])
    deliberation: str
    since: date = Field(alias="from")
    until: date | None


class KeyQuery(Taken):
    """The weight of each criterion that counts, 1 together; pools: codes of costs with commas, by default all."""

    population: Weight | None = Field(None, examples=["0.5"])
    usage: Weight | None = None
    vcpu: Weight | None = None
    equal: Weight | None = Field(None, examples=["0.5"])
    pools: Annotated[str, Field(pattern=r"^[a-z0-9-]+(,[a-z0-9-]+)*$", max_length=1000)] | None = None


class SharedMonth(Given):
    """A month that was shared again, and how far it was measured."""

    period: Month
    state: PeriodState
    sample: bool
    metered_until: datetime | None


class SharedPool(Given):
    """A cost, its euros in all those months, in how many it was, and the key versions that shared it."""

    code: str
    label: dict[str, str]
    keys: list[str]
    months: int
    amount: Amount


class SharedPayer(Given):
    """A member: its months, what it paid in them and what it would have; percent: null where it paid nothing."""

    slug: str
    name: str
    siren: str
    state: str
    months: list[Month]
    before: Amount
    after: Amount
    difference: Amount
    percent: Amount | None


class SimulationOut(Given):
    """What a key would have given; before and after are one sum. missing: months between, without shared costs."""

    weights: dict[str, Amount]
    months: list[SharedMonth]
    missing: list[Month]
    pools: list[SharedPool]
    members: list[SharedPayer]
    before: Amount
    after: Amount
