"""What the API takes and gives about VAT and contracts."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any

from pydantic import Field

from api.v1.schemas import Amount, Flag, Given, Id, Line, Month, PlainText, Taken, one_of, words
from api.v1.schemas_money import Day, Price
from tenants.tables import REGIMES
from tenants.tables_vat import TEXTS

Regime = Annotated[str, one_of(*REGIMES), words(REGIMES)]
Source = Annotated[PlainText, Field(min_length=1, max_length=500, examples=["CGI, art. 278"])]
Said = Annotated[PlainText, Field(min_length=1, max_length=500)]
Rate = Annotated[str, Field(pattern=r"^[0-9]{1,2}([.,][0-9]{1,2})?$", examples=["20"])]
Code = Annotated[str, one_of(*TEXTS), words(TEXTS)]


class ContractIn(Taken):
    """What is agreed from a month on: all of it, what is left out is nothing."""

    since: Month
    regime: Regime
    reference: Annotated[PlainText, Field(max_length=100)] | None = None
    vat_number: Annotated[PlainText, Field(max_length=20)] | None = None
    street: Annotated[PlainText, Field(max_length=200)] | None = None
    postcode: Annotated[PlainText, Field(max_length=10)] | None = None
    city: Annotated[PlainText, Field(max_length=100)] | None = None
    service_code: Annotated[PlainText, Field(max_length=100)] | None = None
    engagement: Annotated[PlainText, Field(max_length=50)] | None = None
    service_required: Flag = False
    engagement_required: Flag = False


class ContractOut(Given):
    """What was agreed; since: the first day of a month."""

    id: Id
    since: date
    regime: Annotated[str, words(REGIMES)]
    reference: str | None
    vat_number: str | None
    street: str | None
    postcode: str | None
    city: str | None
    service_code: str | None
    engagement: str | None
    service_required: bool
    engagement_required: bool
    made_by: str
    made_at: datetime


class RateIn(Taken):
    """The standard rate in percent from a day on, where it stands, and when somebody read it there."""

    since: Day
    rate: Rate
    source: Source
    checked_on: Day | None = None


class TextIn(Taken):
    """What accounts say of a regime or of payment from a day on."""

    since: Day
    code: Code
    fr: Said
    en: Said
    source: Source
    checked_on: Day | None = None


class CostIn(Taken):
    """What a unit of a meter costs an hour, in euros, from a month on."""

    since: Month
    meter: Line = Field(examples=["vcpu"])
    hourly: Price
    source: Source


class RateOut(Given):
    """The standard rate, in percent."""

    id: Id
    since: date
    rate: Amount
    source: str
    checked_on: date | None
    made_by: str
    made_at: datetime


class TextOut(Given):
    """text: in French (`fr`) and English (`en`)."""

    id: Id
    since: date
    code: Annotated[str, words(TEXTS)]
    text: dict[str, str]
    source: str
    checked_on: date | None
    made_by: str
    made_at: datetime


class CostOut(Given):
    """What a unit of a meter costs an hour, in euros."""

    id: Id
    since: date
    meter_id: int
    hourly: Amount
    source: str
    made_by: str
    made_at: datetime


class MemberRegimeOut(Given):
    """Which regime a member has today; since: of its contract, null without one."""

    member: str
    name: str
    regime: Annotated[str, words(REGIMES)]
    since: date | None
    reference: str | None


class RulesOut(Given):
    """Everything that VAT follows; newest first."""

    members: list[MemberRegimeOut]
    rates: list[RateOut]
    texts: list[TextOut]
    costs: list[dict[str, Any]]
