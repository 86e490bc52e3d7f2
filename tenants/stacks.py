"""Stacks: applications of the trade, each a folder with `stack.yml` and plays. Adding one touches no Python.

What is declared becomes offers of kind `stack`, one for each size. `docs/adr/0010-stacks.md` says why it is so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from orchestrator.errors import InvalidInput, Text
from orchestrator.settings import ROOT, Settings
from orchestrator.tables_usage import OLDEST
from tenants import declarations
from tenants.declarations_yaml import BrokenYaml, load_yaml
from tenants.focus_words import OTHER, SUBCATEGORIES
from tenants.parameters import Rule, Words

DECLARED = "stack.yml"
PLAY = "stacks"  # the play of a stack is stacks/<slug>
COMMON = Path(__file__).with_name("stack.yaml")  # the parameters of every stack
SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
Port = Annotated[int, Field(ge=1, le=65535)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Version(_Part):
    """app: what upstream calls it."""

    version: Annotated[str, Field(min_length=1, max_length=40)]
    app: str = ""
    brings: Words


class Disk(_Part):
    """Bounds of the volume that holds all of the application's data, in GiB."""

    minimum: int = Field(1, ge=1)
    maximum: int = Field(500, le=2000)
    default: int = 10

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.minimum <= self.default <= self.maximum:
            raise PydanticCustomError("invalid_stack", "default doit être entre minimum et maximum")
        return self


class Size(_Part):
    """ram_mib: MiB."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9]+$", max_length=12)]
    title: Words
    flavor: str
    vcpus: int = Field(gt=0)
    ram_mib: int = Field(gt=0)


class Web(_Part):
    """Where the application answers people. port: the one that members' security groups let in for the entry."""

    port: Literal[80] = 80
    path: str = "/"
    title_contains: str | None = None


class Check(_Part):
    """What must be answered for the application to be well."""

    port: Port
    path: str = "/"
    status: int = 200
    contains: str | None = None


class Secret(_Part):
    """Made once, kept sealed; `shown`: its people may read it, once."""

    name: Name
    length: int = Field(24, ge=16, le=200)
    shown: bool = False
    label: Words


class Meter(_Part):
    """Something of the trade that the play `usage` counts.

    steady: counted again, the same data give the same number; not so what counts the last days, or measures a disk.
    """

    code: Name
    label: Words
    unit: Words
    steady: bool = True


class Component(_Part):
    """A meter of the stack that is billed, besides what the machine uses, by what was counted of it.

    quantity: how much of it an estimate expects.
    """

    meter: Name
    quantity: Decimal = Field(gt=0)


class Focus(_Part):
    """FOCUS 1.2's words for what it is."""

    category: str
    subcategory: str | None = None


class Register(_Part):
    """What the register of processing says of it (RGPD, article 30)."""

    purpose: Words
    persons: Words
    data: Words
    retention: Words
    recipients: Words


class Retention(_Part):
    """Days for which the application keeps data. answer: the parameter that says how many; `usage` then tells how old
    the oldest is (`oldest_days`).
    """

    answer: Name | None = None
    default_days: int | None = Field(None, ge=1)
    maximum_days: int | None = Field(None, ge=1)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.default_days and self.maximum_days and self.default_days > self.maximum_days:
            raise PydanticCustomError("invalid_stack", "default_days doit être au plus maximum_days")
        return self


class Keep(_Part):
    """How many backups are kept."""

    daily: int = Field(7, ge=1)
    weekly: int = Field(4, ge=0)
    monthly: int = Field(6, ge=0)


class Backup(_Part):
    """When it is backed up, and what is kept."""

    schedule: Literal["daily"] = "daily"
    keep: Keep = Field(default_factory=Keep)


class Stack(_Part):
    """What is known of a stack beside what an offer says of itself; kept with each version of its offers.

    public_ports: let everybody in, beside the web's; provides: what it is to the services of all members, if anything:
    such a one is the agglomeration's own; backup: None, when there is nothing to keep; awaits_source: nobody can order
    it yet (`stacks_sources`).
    """

    slug: Annotated[str, Field(max_length=27)]
    licence: Annotated[str, Field(min_length=1)]
    sources: list[Literal["debian", "pypi", "npm", "external"]] = Field(min_length=1)
    versions: list[Version] = Field(min_length=1)
    provides: Literal["entry", "vault"] | None = None
    ports: list[Port] = []
    public_ports: list[Port] = []
    web: Web | None = None
    health: list[Check] = []
    secrets: list[Secret] = []
    meters: list[Meter] = []
    price: list[Component] = []
    data_class: Literal["standard", "sensitive", "health", "video"]
    focus: Focus
    m57: Annotated[str, Field(pattern=r"^\d{3,10}$")]
    # `register` is a word of Python's own data model here, so the field has another name inside.
    register_: Register = Field(alias="register")
    retention: Retention = Field(default_factory=Retention)
    card: Words | None = None
    backup: Backup | None = Field(default_factory=Backup)
    awaits_source: Literal[True] | None = None

    model_config = ConfigDict(extra="forbid", populate_by_name=True, serialize_by_alias=True)


class Declared(Stack):
    """A whole stack.yml. offered: whether members can order it; what they have of it lives on in any case."""

    title: Words
    summary: Words
    parameters: list[Rule] = []
    disk: Disk = Field(default_factory=Disk)
    sizes: list[Size] = Field(min_length=1)
    approval: Literal["none", "dsi"] = "none"
    offered: bool = True

    @model_validator(mode="after")
    def _fit(self) -> Self:
        asked = [rule["name"] for rule in common()] + [rule.name for rule in self.parameters]
        for what, names in (
            ("parameters", asked), ("sizes", [size.name for size in self.sizes]),
            ("secrets", [secret.name for secret in self.secrets]), ("meters", [meter.code for meter in self.meters]),
            ("versions", [version.version for version in self.versions]),
        ):  # fmt: skip
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise PydanticCustomError(
                    "invalid_stack", "{what} : {names} sert deux fois", {"what": what, "names": ", ".join(twice)}
                )
        unknown = {component.meter for component in self.price} - {meter.code for meter in self.meters}
        if unknown:
            raise PydanticCustomError(
                "invalid_stack", "price : {names} ne se compte pas", {"names": ", ".join(sorted(unknown))}
            )
        if OLDEST in (meter.code for meter in self.meters):
            raise PydanticCustomError("invalid_stack", "meters : {name} est réservé à retention", {"name": OLDEST})
        days = {rule.name for rule in self.parameters if rule.type == "integer"}
        if self.retention.answer and self.retention.answer not in days:
            raise PydanticCustomError("invalid_stack", "retention : answer doit être un paramètre de type integer")
        used = [check.port for check in self.health] + ([self.web.port] if self.web else [])
        closed = set(used) - set(self.ports)
        if closed:
            raise PydanticCustomError(
                "invalid_stack", "ports : il manque {ports}", {"ports": ", ".join(map(str, sorted(closed)))}
            )
        return self

    @model_validator(mode="after")
    def _speak_focus(self) -> Self:
        """What FOCUS 1.2 does not know would be `Other` on every statement, and nobody would know why."""
        known = SUBCATEGORIES.get(self.focus.category)
        if known is None:
            raise PydanticCustomError(
                "invalid_stack", "focus.category : choisissez parmi {known}", {"known": ", ".join(SUBCATEGORIES)}
            )
        words = (*known, f"{OTHER} ({self.focus.category})")
        if self.focus.subcategory is not None and self.focus.subcategory not in words:
            raise PydanticCustomError(
                "invalid_stack", "focus.subcategory : choisissez parmi {known}", {"known": ", ".join(words)}
            )
        return self

    @property
    def rules(self) -> list[dict[str, Any]]:
        """What an order of it is asked: what all are, with the bounds of its disk, then its own."""
        # What serves the whole territory is reached from everywhere, unless its order says otherwise.
        own = {"disk_gib": self.disk.model_dump(), "public_address": {"default": self.provides is not None}}
        shared = [rule | own.get(rule["name"], {}) for rule in common()]
        return [*shared, *(rule.model_dump(exclude_none=True) for rule in self.parameters)]


def common() -> list[dict[str, Any]]:
    """The parameters of every stack."""
    rules: list[dict[str, Any]] = yaml.safe_load(COMMON.read_text())
    return rules


def folders(settings: Settings) -> tuple[Path, ...]:
    """Where stacks are looked for: ours, then those that the installation names."""
    return (ROOT / "playbooks" / "stacks", *settings.stacks_dirs)


def read_all(places: Iterable[Path]) -> list[Declared]:
    """The stacks that are declared in folders of stacks. Raises `invalid_stack`, naming file and fields."""
    found: dict[str, Declared] = {}
    for path in (path for place in places for path in sorted(place.glob(f"*/{DECLARED}"))):
        stack = read(path.parent)
        if stack.slug in found:
            raise _broken(path, [("", Text("une autre pile a déjà ce nom"))])
        found[stack.slug] = stack
    return list(found.values())


def read(folder: Path) -> Declared:
    """The stack that a folder declares; its slug is the folder's name. Raises `invalid_stack`."""
    path, slug = folder / DECLARED, folder.resolve().name
    if not SLUG.fullmatch(slug):
        raise _broken(path, [("", Text("le nom du dossier n’a que a-z, 0-9 et des tirets"))])
    try:
        written = load_yaml(path.read_text())
    except (OSError, UnicodeDecodeError, BrokenYaml) as error:
        raise _broken(path, [("", " ".join(str(error).split()))]) from error
    if not isinstance(written, dict):
        raise _broken(path, [("", Text("ce n’est pas une liste de champs"))])
    try:
        return Declared.model_validate({**written, "slug": slug})
    except ValidationError as error:
        faults = [
            (".".join(map(str, fault["loc"])), declarations.said(fault)) for fault in error.errors(include_url=False)
        ]
        raise _broken(path, faults) from error


def _broken(path: Path, faults: Sequence[tuple[str, str]]) -> InvalidInput:
    name = f"{path.parent.name}/{path.name}"
    why = " ; ".join(f"{field} : {said}" if field else said for field, said in faults)
    return InvalidInput(
        "invalid_stack",
        Text("{name} est refusé : {why}.", name=name, why=why),
        "Corrigez le fichier ; le catalogue n’a pas changé.",
        facts={"file": name, "errors": [{"parameter": field, "sentence": said} for field, said in faults]},
    )


def columns(stack: Declared) -> list[dict[str, Any]]:
    """Its offers, one for each size, as columns of `offers`; none when it is not offered."""
    if not stack.offered:
        return []
    several = len(stack.sizes) > 1
    kept = set(Stack.model_fields)
    shared = {
        "kind": "stack",
        "summary": stack.summary.model_dump(),
        "parameters": {"rules": stack.rules},
        "approval": stack.approval,
        "stack": stack.model_dump(mode="json", include=kept, exclude_none=True),
    }
    return [
        {
            **shared,
            **size.model_dump(include={"flavor", "vcpus", "ram_mib"}),
            "slug": f"{stack.slug}-{size.name}" if several else stack.slug,
            "title": _titled(stack.title, size.title) if several else stack.title.model_dump(),
        }
        for size in stack.sizes
    ]


def _titled(stack: Words, size: Words) -> dict[str, str]:
    return {"fr": f"{stack.fr}, {size.fr}", "en": f"{stack.en}, {size.en}"}


def specification(stack: dict[str, Any], chosen: dict[str, Any]) -> dict[str, Any]:
    """What flows need to know of a service that runs a stack: its play, version, doors, secrets and answers."""
    own = {rule["name"] for rule in common()}
    return {
        "play": f"{PLAY}/{stack['slug']}",
        "stack": {
            "slug": stack["slug"],
            "version": stack["versions"][0]["version"],
            **{name: stack[name] for name in ("ports", "health", "secrets")},
            "web": stack.get("web"),
            "moving": [meter["code"] for meter in stack["meters"] if not meter.get("steady", True)],
            **{name: stack[name] for name in ("backup", "provides", "public_ports") if stack.get(name)},
        },
        "answers": {name: value for name, value in chosen.items() if name not in own},
    }
