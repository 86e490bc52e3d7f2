"""What finance books with, as data: M57 accounts and chapters, whose account is whose, FCTVA rates, the unit of cost,
texts.

`accounting.yaml` beside this module, and the territory's own `finance/accounting.yaml` by the same form. Each entry
holds from a month on and says its source and the day that it was read there; a territory's comes before ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field

from orchestrator.errors import InvalidInput, Text
from tenants import finance
from tenants.finance import Declared, Month, Words

FILE = "accounting.yaml"
Code = Annotated[str, Field(pattern=r"^[1-7][0-9]{1,7}$")]
Kind = Literal["commune", "epci", "syndicat", "public_body", "company"]
Percent = Annotated[Decimal, finance.decimal(r"[0-9]{1,2}(\.[0-9]{1,4})?", "16.404")]
Weight = Annotated[Decimal, finance.decimal(r"[0-9]{1,6}(\.[0-9]{1,8})?", "0.25")]


class Sourced(Declared):
    """source: where it was read, read_on: when."""

    source: Words
    read_on: date


class Dated(Sourced):
    """start: the month from which it holds."""

    start: Month = Field(alias="from")


class Variant(Dated):
    """Which chart the territory keeps."""

    variant: Literal["D", "A"]


class Chart(Sourced):
    """Accounts of an exercise by code: leaves, which take an entry, and groups, which do not."""

    exercise: int
    variant: Literal["D", "A"]
    leaves: dict[Code, Words]
    groups: dict[Code, Words] = Field(default_factory=dict)


class Replaced(Declared):
    """What is to be used instead of an account, and why."""

    by: Code
    why: Words


class Flow(Dated):
    """The accounts of both sides, by the kind of the debtor; None: that side does not keep the M57, or has no such."""

    kind: Kind
    billed: Code
    paid: Code | None = None
    refund: Code
    refunded: Code | None = None
    deducted: Code | None = None
    received: Code | None = None


class Rate(Dated):
    """A rate in percent, by its code."""

    code: finance.Code | Literal["fctva_iaas", "fctva_investment"]
    percent: Percent


class Unit(Dated):
    """What one unit of the unit cost is: so much of each meter during one hour, by the meter's code."""

    label: dict[Literal["fr", "en"], Words]
    meters: Annotated[dict[str, Weight], Field(min_length=1)]


class Chapter(Dated):
    """The budget's chapter of the accounts that begin so; the longest beginning counts. order: without any payment."""

    accounts: Annotated[str, Field(pattern=r"^[1-7][0-9]{0,7}$")]
    code: Annotated[str, Field(pattern=r"^[0-9]{2,3}$")]
    label: Words
    order: Annotated[bool, BeforeValidator(lambda text: text in (True, "true"))] = False


class Function(Dated):
    """The function of the budget that the shared cloud serves."""

    code: Annotated[str, Field(pattern=r"^[0-9]{1,9}$")]
    label: Words


class Said(Dated):
    """A text in both languages."""

    code: str
    text: dict[Literal["fr", "en"], Annotated[str, Field(max_length=1000)]]


def _of_each_year(day: str) -> str:
    date.fromisoformat(f"2026-{day}")  # the 29 February is not
    return day


class Vote(Dated):
    """Before which day of each year the budget is voted: `04-15`."""

    before: Annotated[str, Field(pattern=r"^[01][0-9]-[0-3][0-9]$"), AfterValidator(_of_each_year)]

    def on(self, year: int) -> date:
        """That day of a year."""
        return date.fromisoformat(f"{year}-{self.before}")


class Declaration(Declared):
    """`accounting.yaml`."""

    variants: tuple[Variant, ...] = ()
    charts: tuple[Chart, ...] = ()
    replaced: dict[Code, Replaced] = Field(default_factory=dict)
    flows: tuple[Flow, ...] = ()
    rates: tuple[Rate, ...] = ()
    units: tuple[Unit, ...] = ()
    chapters: tuple[Chapter, ...] = ()
    functions: tuple[Function, ...] = ()
    votes: tuple[Vote, ...] = ()
    texts: tuple[Said, ...] = ()


class _Starting(Protocol):
    @property
    def start(self) -> str: ...


One = TypeVar("One", bound=_Starting)


@dataclass(frozen=True)
class Accounting:
    """What is declared, the territory's entries first."""

    own: Declaration
    ours: Declaration

    def everything(self, name: str) -> list[tuple[Any, bool]]:
        """Each entry of a list (`flows`, `rates`…) and whether the territory said it."""
        return [(one, True) for one in getattr(self.own, name)] + [(one, False) for one in getattr(self.ours, name)]

    def _in_force(self, name: str, month: str, **wanted: str) -> Any:
        for declared in (self.own, self.ours):
            found = _newest(
                (one for one in getattr(declared, name)
                 if all(getattr(one, key) == value for key, value in wanted.items())), month,
            )  # fmt: skip
            if found is not None:
                return found
        return None

    def chart(self, month: str) -> Chart:
        """The chart of accounts of that month: of its exercise, else of the newest before it, else the oldest.

        Likewise its variant: the first that was declared stands for the months before it.
        """
        said = self._in_force("variants", month) or min(
            (*self.own.variants, *self.ours.variants), key=lambda one: one.start
        )
        variant = said.variant
        charts = [one for one in (*self.own.charts, *self.ours.charts) if one.variant == variant]
        # max keeps the first of equals: the territory's.
        held = [one for one in charts if one.exercise <= int(month[:4])]
        return max(held, key=lambda one: one.exercise, default=None) or min(charts, key=lambda one: one.exercise)

    def flow(self, kind: str, month: str) -> Flow:
        """Both sides' accounts for a debtor of that kind. Raises InvalidInput no_flow."""
        found: Flow | None = self._in_force("flows", month, kind=kind)
        if found is None:
            raise InvalidInput(
                "no_flow",
                Text("Aucun compte n’est dit pour un débiteur « {kind} » en {month}.", kind=kind, month=month),
                "Déclarez-le sous « flows » dans finance/accounting.yaml.",
            )
        return found

    def rate(self, code: str, month: str) -> Rate | None:
        """The rate of that month; None before any holds: nothing is assumed."""
        found: Rate | None = self._in_force("rates", month, code=code)
        return found

    def unit(self, month: str) -> Unit:
        """The unit of the unit cost. The first declared stands for the months before it."""
        found: Unit | None = self._in_force("units", month)
        return found or min((*self.own.units, *self.ours.units), key=lambda one: one.start)

    def chapter(self, account: str, month: str) -> Chapter:
        """The chapter of an account. Raises InvalidInput no_chapter."""
        for declared in (self.own, self.ours):
            fitting = [one for one in declared.chapters if account.startswith(one.accounts) and one.start <= month]
            if fitting:
                return max(fitting, key=lambda one: (len(one.accounts), one.start))
        raise InvalidInput(
            "no_chapter",
            Text("Aucun chapitre n’est dit pour le compte {code} en {month}.", code=account[:20], month=month),
            "Déclarez-le sous « chapters » dans finance/accounting.yaml.",
            facts={"account": account},
        )

    def function(self, month: str) -> Function | None:
        """The function of that month; None where none is declared."""
        found: Function | None = self._in_force("functions", month)
        return found

    def vote(self, month: str) -> Vote | None:
        """When that year's budget is voted."""
        found: Vote | None = self._in_force("votes", month)
        return found

    def text(self, code: str, month: str) -> Said | None:
        """The text of that month."""
        found: Said | None = self._in_force("texts", month, code=code)
        return found

    def leaf(self, code: str, month: str) -> str:
        """The label of an account that takes entries that month. Raises InvalidInput wrong_account."""
        chart = self.chart(month)
        if code in chart.leaves:
            return chart.leaves[code]
        told = Text("Le compte {code} n’est pas au plan M57 {chart}.", code=code[:20], chart=_named(chart))
        action: str = "Choisissez un compte de la page des réglages, ou déclarez-le dans finance/accounting.yaml."
        instead = self.own.replaced.get(code) or self.ours.replaced.get(code)
        if instead:
            told = Text("Le compte {code} est refusé : {why}.", code=code, why=instead.why)
            action = Text("Prenez le compte {code}, {label}.", code=instead.by, label=chart.leaves.get(instead.by, "—"))
        elif code in chart.groups:
            told = Text("Le compte {code} a des subdivisions : il ne reçoit pas d’écriture.", code=code)
            below = [leaf for leaf in chart.leaves if leaf.startswith(code)]
            if below:
                action = Text("Prenez l’une d’elles : {codes}.", codes=", ".join(below))
        raise InvalidInput("wrong_account", told, action, facts={"account": code})


def _newest(entries: Iterable[One], month: str) -> One | None:
    return max((one for one in entries if one.start <= month), key=lambda one: one.start, default=None)


def _named(chart: Chart) -> str:
    return f"{chart.variant} {chart.exercise}"


@cache
def _ours() -> Declaration:
    return finance.read(Path(__file__).with_name(FILE), Declaration)


def load(territory: Path) -> Accounting:
    """What holds there. Raises InvalidInput broken_yaml, invalid_declaration (an account of a flow is no leaf)."""
    path = territory / "finance" / FILE
    own = finance.read(path, Declaration) if path.exists() else Declaration()
    declared = Accounting(own, _ours())
    _check_flows(declared, own.flows)
    return declared


def _check_flows(declared: Accounting, flows: Sequence[Flow]) -> None:
    for flow in flows:
        for side in ("billed", "paid", "refund", "refunded", "deducted", "received"):
            if getattr(flow, side) is not None:
                declared.leaf(getattr(flow, side), flow.start)
