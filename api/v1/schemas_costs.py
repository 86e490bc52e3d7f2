"""What the API takes and gives about what the platform really costs, and how members pay."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from api.v1.schemas import Amount, Cut, Flag, Given, Id, Line, Month, Taken, one_of, words
from api.v1.schemas_money import Day
from tenants.tables import BILLING
from tenants.tables_finance import KINDS, MODELS

Kind = Annotated[str, one_of(*KINDS), words(KINDS)]
Model = Annotated[str, one_of(*MODELS), words(MODELS)]
Mode = Annotated[str, one_of(*BILLING), words(BILLING, "title")]
Figure = Annotated[str, Field(pattern=r"^-?[0-9]{1,11}([.,][0-9]{1,6})?$", examples=["1840.00"])]
Year = Annotated[str, Field(pattern=r"^20[0-9]{2}$", examples=["2026"])]
When = Annotated[str, Field(pattern=r"^20[0-9]{2}(-(0[1-9]|1[0-2]))?$", examples=["2026"])]
Code = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=40, examples=["exploitation"])]


def _some(text: str) -> str:
    if not text.strip():
        raise ValueError("a file with a heading and lines")
    return text


class EntryIn(Taken):
    """A cost. pool: the common cost that it is part of, none: prices cover it. Each kind has fields of its own.

    supplier: amount, supplier, and if wished months, reference, service_model; depreciation: amount, months, prorata;
    energy: kwh, kwh_price, pue; staff: annual, percent (of that yearly cost), months (12).
    """

    kind: Kind
    pool: Code | None = None
    label: Line = Field(examples=["Maintenance des serveurs"])
    account: Annotated[str, Field(pattern=r"^[1-7][0-9]{1,7}$", examples=["6156"])]
    date: Day
    months: Annotated[int, Field(strict=True, ge=1, le=600)] | None = None
    amount: Figure | None = None
    supplier: Line | None = Field(None, examples=["Lumen"])
    reference: Line | None = Field(None, examples=["F-2026-118"])
    service_model: Model | None = None
    prorata: Flag = False
    kwh: Figure | None = Field(None, examples=[None])
    kwh_price: Figure | None = Field(None, examples=[None])
    pue: Figure | None = Field(None, examples=[None])
    annual: Figure | None = Field(None, examples=[None])
    percent: Figure | None = Field(None, examples=[None])

    def typed(self) -> dict[str, str]:
        """As the form's fields would hold it."""
        given = self.model_dump(exclude_none=True)
        return {**{name: str(value) for name, value in given.items()}, "prorata": "1" if self.prorata else ""}


class EntryOut(Given):
    """A cost as it is booked: euros in all, spread evenly over months; part: of the month that was asked for."""

    id: Id
    kind: Kind
    pool: str | None
    label: str
    account: str
    section: str
    dated: date
    starts: date
    months: int
    amount: Amount
    prorata: bool
    supplier: str | None
    reference: str | None
    service_model: str | None
    kwh: Amount | None
    kwh_price: Amount | None
    pue: Amount | None
    annual: Amount | None
    part: Amount | None
    ends: date | None
    made_by: str
    made_at: datetime


class EntryRow(Given):
    """A cost, and what it adds to the month that was asked for (in_month)."""

    entry: EntryOut
    in_month: Amount | None


class EntryQuery(Cut):
    """month: only what counts in it."""

    month: Month | None = None


class EndIn(Taken):
    """The month from which it counts no more."""

    month: Month


class ImportIn(Taken):
    """csv: the file as it is (heading, then lines); dry_run: only look."""

    csv: Annotated[
        str, AfterValidator(_some),
        Field(max_length=60_000, examples=["nature;libellé;compte;date;montant;fournisseur\nfournisseur;Maintenance;"
                                           "6156;31/10/2026;1840,00;Lumen\n"]),
    ]  # fmt: skip
    dry_run: Flag = True


class FaultOut(Given):
    """What is wrong in a line."""

    parameter: str
    sentence: str


class ImportLine(Given):
    """A line of the file by its number: what it says, or what is wrong with it."""

    number: int
    label: str | None
    account: str | None
    amount: Amount | None
    starts: date | None
    months: int | None
    faults: list[FaultOut]


class ImportOut(Given):
    """What the file says; kept: whether it was booked."""

    lines: list[ImportLine]
    total: Amount
    kept: bool


class UnitCostQuery(Taken):
    """period: a year, or a month."""

    period: When


class UnitRow(Given):
    """A member or an offer: units observed, euros billed, euros of cost; difference: above zero it bears others' use.

    name: of an offer in both languages; null: what services without an offer used.
    """

    key: str
    name: str | dict[str, str] | None
    units: Amount
    billed: Amount
    cost: Amount
    difference: Amount


class UnitCostOut(Given):
    """Costs ÷ units observed (CGCT D.5211-16), and billed against cost. unit_cost: null where nothing was used."""

    months: list[dict[str, str]]
    sample: bool
    unit: dict[str, Any]
    units: Amount
    total: Amount
    billed: Amount
    unit_cost: Amount | None
    costs: list[dict[str, Any]]
    members: list[UnitRow]
    offers: list[UnitRow]
    fctva: list[dict[str, Any]]


class BillingOut(Given):
    """How a member pays now and, from `next` on, otherwise; withheld: euros a month of a deduction."""

    slug: str
    name: str
    kind: str
    mode: Mode
    withheld: Amount | None
    since: date | None
    reference: str | None
    next: date | None
    next_mode: str | None


class BillingIn(Taken):
    """mode: from that month on; withheld: euros a month, of a deduction; reference: of the decision."""

    month: Month = Field(examples=["2027-01"])
    mode: Mode
    withheld: Figure | None = Field(None, examples=[None])
    reference: Line = Field(examples=["Délibération 2026-12-14/04"])


class YearQuery(Taken):
    """Which year."""

    year: Year
