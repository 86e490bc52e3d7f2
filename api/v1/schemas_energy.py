"""What the API gives about energy and carbon.

kWh, gCO2e of use (`grams`) and of fabrication (`embodied`); null: not known.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated

from pydantic import Field

from api.v1.schemas import Amount, Given, Month, Taken, words
from api.v1.schemas_costs import Year
from api.v1.schemas_money import PeriodState
from tenants import energy

Basis = Annotated[str, words(tuple(energy.BASES), "estimated")]


class EnergyQuery(Taken):
    """Which year."""

    year: Year


class EnergyFigures(Given):
    """Sums of what is known; null where nothing is."""

    kwh: Amount | None
    grams: Amount | None
    embodied: Amount | None


class EnergyMonth(EnergyFigures):
    """missing: the factors that were not declared when the month was drafted; metered_kwh: as booked."""

    period: Month
    state: PeriodState
    missing: list[str]
    basis: Basis | None
    metered_kwh: Amount | None


class EnergyRow(EnergyFigures):
    """A member or an offer; name: of an offer in both languages, null of services that none made."""

    key: str
    name: str | dict[str, str] | None
    services: int


class IdleOut(Given):
    """A machine that was stopped for whole months; vcpus, gib: what it holds."""

    member: str
    service: str
    months: list[Month]
    vcpus: Amount
    gib: Amount


class AgeOut(Given):
    """Equipment, and its age in years at the end of the year."""

    label: str
    count: int
    since: date
    years: int
    source: str


class EnergyOut(EnergyFigures):
    """A year of the months that are drafted or closed. basis: `measured` when each known month's factors all are."""

    year: Year
    sample: bool
    basis: Basis | None
    metered_kwh: Amount | None
    months: list[EnergyMonth]
    members: list[EnergyRow]
    offers: list[EnergyRow]
    idle: list[IdleOut]
    equipment: list[AgeOut]
    factors: dict[str, dict[str, str]] = Field(
        description="By code, those of the last month: value, basis, from, source, read_on"
    )
