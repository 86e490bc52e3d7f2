"""What finance declares in the territory's folder `finance/`: prices in `prices.yaml`, costs and keys in `pools.yaml`,
what turns use into energy and carbon in `energy.yaml`.

Amounts are read as they are written, never through a float.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from orchestrator.errors import InvalidInput, Text
from tenants.declarations import Kind
from tenants.declarations_yaml import BrokenYaml, parse

CRITERIA = ("population", "usage", "vcpu", "equal")


def decimal(pattern: str, form: str) -> BeforeValidator:
    def read(value: Any) -> Decimal:
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise ValueError(f"un nombre comme {form} est attendu")
        return Decimal(value)

    return BeforeValidator(read)


def _sum_to_one(weights: dict[str, Decimal]) -> dict[str, Decimal]:
    if sum(weights.values()) != 1:
        raise ValueError("la somme des poids doit être exactement 1")
    return weights


Words = Annotated[str, Field(min_length=1, max_length=200)]
Code = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=40)]
Month = Annotated[str, Field(pattern=r"^20[0-9]{2}-(0[1-9]|1[0-2])$")]
Hourly = Annotated[Decimal, decimal(r"[0-9]{1,10}(\.[0-9]{1,8})?", "0.00650")]
Quantity = Annotated[Decimal, decimal(r"[0-9]{1,12}(\.[0-9]{1,6})?", "100")]
WEIGHT = r"(0(\.[0-9]{1,6})?|1(\.0{1,6})?)"
Weight = Annotated[Decimal, decimal(WEIGHT, "0.5")]
# A pool may be negative: a subsidy, or what was shared too much before.
Amount = Annotated[Decimal, decimal(r"-?[0-9]{1,11}(\.[0-9]{1,2})?", "1840.00")]


class Declared(BaseModel):
    """No unknown key, no change after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Step(Declared):
    """From a quantity on, its price."""

    above: Quantity
    price: Hourly


class Terms(Declared):
    """The price of a meter: euros for one unit and hour (or a month, or once).

    free: units of a member that cost nothing; steps: from which quantity of a member on another price holds. Both are
    units held all the time that the price is in force in a month.
    """

    price: Hourly
    free: Quantity = Decimal(0)
    steps: tuple[Step, ...] = ()

    @model_validator(mode="after")
    def _ascend(self) -> Self:
        bounds = [self.free, *(step.above for step in self.steps)]
        if any(after <= before for before, after in pairwise(bounds)):
            raise PydanticCustomError("invalid_steps", "les paliers doivent croître, après la franchise")
        return self

    @property
    def ladder(self) -> list[dict[str, str]] | None:
        """All steps from zero on, as the database keeps them; None, when one price holds for all."""
        if not self.free and not self.steps:
            return None
        free = [(Decimal(0), Decimal(0))] if self.free else []
        rows = [*free, (self.free, self.price), *((step.above, step.price) for step in self.steps)]
        return [{"above": plain(above), "hourly": plain(hourly)} for above, hourly in rows]


def plain(value: Decimal) -> str:
    """A decimal without zeros that say nothing: the same text for the same value."""
    return f"{value.normalize():f}"


def as_terms(value: Any) -> Any:
    """A price as it is written, alone or with its steps, in the form that `Terms` reads."""
    return {"price": value} if isinstance(value, str) else value


Priced = Annotated[Terms, BeforeValidator(as_terms)]


class Tariff(Declared):
    """Prices from a day on, local midnight, by the meter's code. kind: of the members that they are for; None, all."""

    start: date = Field(alias="from")
    book: Words
    kind: Kind | None = Field(None, alias="for")
    told: date | None = None
    hourly: Annotated[dict[str, Priced], Field(min_length=1)]


class Key(Declared):
    """One version of a voted rule: the weights of the criteria sum to 1."""

    code: Code
    version: Annotated[int, Field(ge=1)]
    start: date = Field(alias="from")
    deliberation: Words
    weights: Annotated[
        dict[Literal["population", "usage", "vcpu", "equal"], Weight],
        Field(min_length=1),
        AfterValidator(_sum_to_one),
    ]


class Pool(Declared):
    """A cost to share: euros a month since a month, and exceptions for single months."""

    code: Code
    label: dict[Literal["fr", "en"], Words]
    section: Literal["fonctionnement", "investissement"] = "fonctionnement"
    key: Code
    monthly: dict[Month, Amount] = Field(default_factory=dict)
    months: dict[Month, Amount] = Field(default_factory=dict)

    def amount(self, month: str) -> Decimal | None:
        """Euros of `month` (2026-10); None when the pool has no cost then."""
        since = max((start for start in self.monthly if start <= month), default=None)
        return self.months.get(month, self.monthly[since] if since else None)


FactorCode = Literal["idle_watts", "full_watts", "load", "tib_watts", "pue", "carbon", "embodied"]


class Factor(Declared):
    """One figure of the power model from a month on, with its source and the day it was read there.

    idle_watts, full_watts: of a vCPU at rest and fully busy; load: how busy it is, 0 to 1; tib_watts: of a TiB of disk;
    pue: of the machine room, 1 or more; carbon: gCO2e for a kWh; embodied: gCO2e of fabrication for a vCPU and hour.
    """

    factor: FactorCode
    start: Month = Field(alias="from")
    value: Quantity
    basis: Literal["measured", "estimated"]
    source: Words
    read_on: date

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.factor == "pue" and self.value < 1:
            raise PydanticCustomError("invalid_factor", "un PUE est d’au moins 1")
        if self.factor == "load" and self.value > 1:
            raise PydanticCustomError("invalid_factor", "un taux d’emploi est entre 0 et 1")
        return self


class Equipment(Declared):
    """Machines of the platform, of one age: since when they serve."""

    label: Words
    count: Annotated[int, BeforeValidator(int), Field(ge=1, le=100_000)]
    since: date
    source: Words


class Power(Declared):
    """`energy.yaml`."""

    factors: tuple[Factor, ...] = ()
    equipment: tuple[Equipment, ...] = ()

    def in_force(self, month: str) -> dict[str, Factor]:
        """The factors of that month, by code; one that is not declared for it is missing."""
        found: dict[str, Factor] = {}
        for one in sorted(self.factors, key=lambda one: one.start):
            if one.start <= month:
                found[one.factor] = one
        return found


class PriceBook(Declared):
    """`prices.yaml`."""

    tariffs: Annotated[tuple[Tariff, ...], Field(min_length=1)]


class Sharing(Declared):
    """`pools.yaml`; power: what `energy.yaml` says, since a month is drafted with both."""

    keys: tuple[Key, ...] = ()
    pools: tuple[Pool, ...] = ()
    power: Power = Power()


File = TypeVar("File", bound=Declared)


def price_book(territory: Path) -> PriceBook:
    """The declared price book; raises InvalidInput broken_yaml, invalid_declaration or missing_file."""
    book = read(territory / "finance" / "prices.yaml", PriceBook)
    _refuse_twice(((tariff.start.isoformat(), tariff.kind or "") for tariff in book.tariffs), "prices.yaml")
    return book


def sharing(territory: Path) -> Sharing:
    """The declared keys and pools; a territory without `pools.yaml` shares nothing."""
    path = territory / "finance" / "pools.yaml"
    if not path.exists():
        return Sharing(power=power(territory))
    declared = read(path, Sharing).model_copy(update={"power": power(territory)})
    _refuse_twice(((key.code, str(key.version)) for key in declared.keys), path.name)
    _refuse_twice(((key.code, key.start.isoformat()) for key in declared.keys), path.name)
    _refuse_twice(((pool.code,) for pool in declared.pools), path.name)
    for pool in declared.pools:
        if pool.key not in {key.code for key in declared.keys}:
            raise _refused(path.name, [f"{pool.code} : la clé « {pool.key} » n’est pas déclarée"])
    return declared


def power(territory: Path) -> Power:
    """What is declared of energy; nothing in a territory without `energy.yaml`."""
    path = territory / "finance" / "energy.yaml"
    if not path.exists():
        return Power()
    declared = read(path, Power)
    _refuse_twice(((one.factor, one.start) for one in declared.factors), path.name)
    return declared


def read(path: Path, kind: type[File]) -> File:
    """A declared file; raises InvalidInput broken_yaml, invalid_declaration or missing_file."""
    try:
        value, lines = parse(path.read_text(encoding="utf-8"))
        return kind.model_validate(value)
    except BrokenYaml as error:
        raise InvalidInput(
            "broken_yaml",
            Text("{path}:{line}: {why}.", path=path.name, line=error.line, why=error.sentence),
            "Corrigez la syntaxe du fichier.",
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(
            "missing_file", Text("{path} ne se lit pas.", path=path), "Écrivez ce fichier, en UTF-8."
        ) from error
    except ValidationError as error:
        raise _refused(
            path.name,
            [f"ligne {_line(lines, problem['loc'])}, {_place(problem['loc'])} : {problem['msg']}"
             for problem in error.errors(include_url=False)],
        ) from error  # fmt: skip


def _place(path: tuple[str | int, ...]) -> str:
    return ".".join(str(part) for part in path if part != "[key]")


def _line(lines: dict[tuple[str | int, ...], int], path: tuple[str | int, ...]) -> int:
    return next(lines[path[:depth]] for depth in range(len(path), -1, -1) if path[:depth] in lines or not depth)


def _refuse_twice(keys: Iterable[tuple[str, ...]], name: str) -> None:
    seen: set[tuple[str, ...]] = set()
    for key in keys:
        if key in seen:
            raise _refused(name, [f"« {' '.join(key)} » est déclaré deux fois"])
        seen.add(key)


def _refused(name: str, problems: list[str]) -> InvalidInput:
    return InvalidInput(
        "invalid_declaration",
        Text("{name} est refusé : {why}.", name=name, why=" ; ".join(problems)),
        "Rien n’a été changé ; corrigez ce fichier puis recommencez.",
        facts={"problems": problems},
    )
