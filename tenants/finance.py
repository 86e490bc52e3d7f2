"""What finance declares in the territory's folder `finance/`: prices in `prices.yaml`, costs and keys in `pools.yaml`.

Amounts are read as they are written, never through a float.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from orchestrator.errors import InvalidInput, Text
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
WEIGHT = r"(0(\.[0-9]{1,6})?|1(\.0{1,6})?)"
Weight = Annotated[Decimal, decimal(WEIGHT, "0.5")]
# A pool may be negative: a subsidy, or what was shared too much before.
Amount = Annotated[Decimal, decimal(r"-?[0-9]{1,11}(\.[0-9]{1,2})?", "1840.00")]


class Declared(BaseModel):
    """No unknown key, no change after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Tariff(Declared):
    """Prices from a day on, local midnight: euros for one unit of a meter during one hour, by the meter's code."""

    start: date = Field(alias="from")
    book: Words
    hourly: Annotated[dict[str, Hourly], Field(min_length=1)]


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


class PriceBook(Declared):
    """`prices.yaml`."""

    tariffs: Annotated[tuple[Tariff, ...], Field(min_length=1)]


class Sharing(Declared):
    """`pools.yaml`."""

    keys: tuple[Key, ...] = ()
    pools: tuple[Pool, ...] = ()


File = TypeVar("File", bound=Declared)


def price_book(territory: Path) -> PriceBook:
    """The declared price book; raises InvalidInput broken_yaml, invalid_declaration or missing_file."""
    book = read(territory / "finance" / "prices.yaml", PriceBook)
    _refuse_twice(((tariff.start.isoformat(),) for tariff in book.tariffs), "prices.yaml")
    return book


def sharing(territory: Path) -> Sharing:
    """The declared keys and pools; a territory without `pools.yaml` shares nothing."""
    path = territory / "finance" / "pools.yaml"
    if not path.exists():
        return Sharing()
    declared = read(path, Sharing)
    _refuse_twice(((key.code, str(key.version)) for key in declared.keys), path.name)
    _refuse_twice(((key.code, key.start.isoformat()) for key in declared.keys), path.name)
    _refuse_twice(((pool.code,) for pool in declared.pools), path.name)
    for pool in declared.pools:
        if pool.key not in {key.code for key in declared.keys}:
            raise _refused(path.name, [f"{pool.code} : la clé « {pool.key} » n’est pas déclarée"])
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
