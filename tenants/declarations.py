"""The members as the territory declares them: one YAML file each, `territory.yaml` for the agglomeration itself.

All mistakes of all files are told at once: file, line, field, what to do.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError
from stdnum.exceptions import ValidationError as InvalidNumber
from stdnum.fr import siren, siret

from orchestrator.errors import N_, InvalidInput, NotFound, Number, Text
from tenants.declarations_yaml import BrokenYaml, parse

TERRITORY_FILE = "territory.yaml"


def _whole(value: Any) -> int:
    if not isinstance(value, str) or not re.fullmatch(r"[0-9]{1,9}", value):
        raise PydanticCustomError("invalid_declaration", "un nombre entier, zéro ou plus, est attendu")
    return int(value)


def _euros(value: Any) -> Decimal:
    if not isinstance(value, str) or not re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,2})?", value):
        raise PydanticCustomError("invalid_declaration", "un montant en euros est attendu, comme 24000 ou 24000.50")
    return Decimal(value)


def _siren(value: str) -> str:
    try:
        siren.validate(value)
    except InvalidNumber:
        raise PydanticCustomError("invalid_siren", "« {value} » n’est pas un SIREN", {"value": value}) from None
    return value


def _siret(value: str) -> str:
    # The rule of La Poste, whose establishments don't follow Luhn, is in the library.
    try:
        siret.validate(value)
    except InvalidNumber:
        raise PydanticCustomError("invalid_siret", "« {value} » n’est pas un SIRET", {"value": value}) from None
    return value


def _network(value: str) -> str:
    try:
        network = ipaddress.IPv4Network(value)
    except ValueError:
        raise PydanticCustomError("invalid_declaration", "un réseau IPv4 est attendu, comme 192.0.2.0/24") from None
    if network.prefixlen < 8:
        raise PydanticCustomError("invalid_declaration", "ce réseau est trop large : nommez ceux du membre")
    return str(network)


Kind = Literal["commune", "epci", "syndicat", "public_body", "company"]
KINDS: tuple[str, ...] = get_args(Kind)
Line = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^\S(.*\S)?$")]
Count = Annotated[int, BeforeValidator(_whole)]
Year = Annotated[Count, Field(ge=2000, le=2099)]
Euros = Annotated[Decimal, BeforeValidator(_euros)]
Network = Annotated[str, AfterValidator(_network)]


class Declared(BaseModel):
    """What all parts of a declaration share: no unknown key, no change after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Contact(Declared):
    """Somebody to write to."""

    name: Line
    role: Line
    email: Annotated[str, Field(pattern=r"^[!-?A-~]+@[^@\s]+\.[^@\s]+$", max_length=254)]  # ASCII before the @


class Quotas(Declared):
    """How much a member may hold at once; GiB for memory and volumes."""

    servers: Count
    vcpus: Count
    ram_gib: Count
    volumes: Count
    disk_gib: Count
    public_addresses: Count


class Declaration(Declared):
    """One member. admin_networks: where its administrators may open SSH from; subnet: chosen by us when absent."""

    slug: Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=40)]
    name: Line
    kind: Kind
    siren: Annotated[str, Field(pattern=r"^[0-9]{9}$"), AfterValidator(_siren)]
    siret: Annotated[str, Field(pattern=r"^[0-9]{14}$"), AfterValidator(_siret)]
    # COG: five characters, 2A and 2B in Corsica.
    insee_code: Annotated[str, Field(pattern=r"^([0-9]{2}|2[AB])[0-9]{3}$")] | None = None
    population: Count | None = None
    contacts: Annotated[tuple[Contact, ...], Field(min_length=1)]
    quotas: Quotas
    budgets: dict[Year, Euros] = Field(default_factory=dict)
    admin_networks: tuple[Network, ...] = ()
    subnet: Network | None = None

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if not self.siret.startswith(self.siren):
            raise PydanticCustomError("invalid_siret", "le SIRET doit commencer par le SIREN du membre")
        if self.kind == "commune" and (self.insee_code is None or self.population is None):
            raise PydanticCustomError("invalid_declaration", "une commune a un insee_code et une population")
        return self


@dataclass(frozen=True)
class Problem:
    """One mistake: where, what, and what to do. `line` counts from 1."""

    code: str
    file: str
    line: int
    field: str
    sentence: str
    action: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}: {self.field + ' : ' if self.field else ''}"
        return f"{where}{self.sentence}. {self.action} [{self.code}]"


def load(directory: Path) -> tuple[Declaration, ...]:
    """The members declared in `directory`, the agglomeration first, then by slug.

    Raises InvalidInput with every problem (facts["problems"]), NotFound when there is no such territory.
    """
    if not directory.is_dir():
        raise NotFound(
            "unknown_territory",
            Text("Aucun territoire n’est déclaré dans {directory}.", directory=directory),
            "Créez ce dossier avec territory.yaml, ou choisissez un autre territoire (CLOCHER_TERRITORY).",
        )
    declared, problems = read(directory)
    if problems:
        codes = {problem.code for problem in problems}
        raise InvalidInput(
            codes.pop() if len(codes) == 1 else "invalid_declaration",
            "Déclarations refusées :\n" + "\n".join(map(str, problems)) + "\n",
            "Rien n’a été changé ; corrigez ces fichiers puis recommencez.",
            facts={"problems": [asdict(problem) for problem in problems]},
        )
    return tuple(sorted(declared, key=lambda member: (member.kind != "epci", member.slug)))


def read(directory: Path) -> tuple[list[Declaration], list[Problem]]:
    """What could be read, and what is wrong."""
    found: list[tuple[str, dict[tuple[str | int, ...], int], Declaration]] = []
    problems: list[Problem] = []
    files = [path for path in directory.iterdir() if path.suffix in {".yaml", ".yml"}]
    files.sort(key=lambda path: (path.name != TERRITORY_FILE, path.name))
    for file in files:
        try:
            value, lines = parse(file.read_text(encoding="utf-8"))
            found.append((file.name, lines, Declaration.model_validate(value)))
        except BrokenYaml as error:
            problems.append(_broken(file.name, error.line, error.sentence))
        except UnicodeDecodeError:
            problems.append(_broken(file.name, 1, "le fichier n’est pas en UTF-8"))
        except OSError as error:
            problems.append(_broken(file.name, 1, f"le fichier ne se lit pas ({error.strerror})"))
        except ValidationError as error:
            problems += [explain(file.name, lines, detail) for detail in error.errors(include_url=False)]
    problems += _agglomeration([path.name for path in files], [(file, member) for file, _, member in found])
    for field in ("slug", "siret", "insee_code"):
        problems += _duplicates(field, ((file, lines.get((field,), 1), getattr(m, field)) for file, lines, m in found))
    problems += _overlaps((file, lines.get(("subnet",), 1), member.subnet) for file, lines, member in found)
    return [member for _, _, member in found], problems


def _broken(file: str, line: int, sentence: str) -> Problem:
    return Problem("broken_yaml", file, line, "", sentence, "Corrigez la syntaxe du fichier.")


FRENCH = {
    "missing": (Text("la clé manque"), Text("Ajoutez-la.")),
    "extra_forbidden": (Text("clé inconnue"), Text("Retirez-la ou corrigez son nom.")),
    "model_type": (Text("un ensemble de clés est attendu"), Text("Voyez un autre membre pour la forme.")),
    "dict_type": (Text("un ensemble de clés est attendu"), Text("Voyez un autre membre pour la forme.")),
    "tuple_type": (Text("une liste est attendue"), Text("Écrivez un tiret devant chaque élément.")),
    "string_type": (Text("un texte est attendu"), Text("Écrivez une seule valeur.")),
    "too_short": (Text("au moins un élément est attendu"), Text("Ajoutez-en un.")),
    "string_too_short": (Text("un texte est attendu"), Text("Écrivez une valeur.")),
    "string_too_long": (Text("texte trop long"), Text("Raccourcissez-le.")),
    "int_type": (Text("un nombre entier est attendu"), Text("Écrivez un nombre entier.")),
    "int_parsing": (Text("un nombre entier est attendu"), Text("Écrivez un nombre entier.")),
    "bool_type": (Text("true ou false est attendu"), Text("Écrivez true ou false.")),
    "list_type": (Text("une liste est attendue"), Text("Écrivez un tiret devant chaque élément.")),
    "union_tag_not_found": (Text("le type manque"), Text("Ajoutez la clé type.")),
}
# By kind of error: how pydantic names the bound, and what is said of it.
BOUNDS = {
    "greater_than": ("gt", N_("plus de {bound} est attendu")),
    "greater_than_equal": ("ge", N_("au moins {bound} est attendu")),
    "less_than_equal": ("le", N_("au plus {bound} est attendu")),
}
FORMS = {
    "slug": Text("des minuscules, chiffres et tirets sont attendus, comme saint-martin"),
    "siren": Text("neuf chiffres sont attendus"),
    "siret": Text("quatorze chiffres sont attendus"),
    "insee_code": Text("cinq caractères sont attendus, comme 00123 ou 2A004"),
    "email": Text("une adresse électronique est attendue, sans accent avant le @"),
}
# A pattern that is not met has the code of what the field holds.
CODES = {"siren": "invalid_siren", "siret": "invalid_siret"}


def explain(file: str, lines: dict[tuple[str | int, ...], int], detail: ErrorDetails) -> Problem:
    """What the schema refused, as a person reads it."""
    path = tuple(part for part in detail["loc"] if part != "[key]")
    line = next((lines[path[:depth]] for depth in range(len(path), -1, -1) if path[:depth] in lines), 1)
    name, kind = str(path[-1]) if path else "", detail["type"]
    code = kind if kind.startswith("invalid_") else "invalid_declaration"
    if kind == "string_pattern_mismatch":
        code = CODES.get(name, code)
    action = FRENCH[kind][1] if kind in FRENCH else Text("Corrigez cette valeur.")
    years = kind in {"greater_than_equal", "less_than_equal"}
    sentence = Text("une année entre 2000 et 2099 est attendue") if years else said(detail)
    return Problem(code, file, line, ".".join(map(str, path)), sentence, action)


def said(detail: ErrorDetails) -> Text:
    """What a schema refused, in words."""
    kind, known = detail["type"], detail.get("ctx", {})
    if kind in FRENCH:
        return FRENCH[kind][0]
    if kind == "string_pattern_mismatch":
        return FORMS.get(str(detail["loc"][-1]), Text("texte mal formé"))
    if kind in {"literal_error", "union_tag_invalid"}:
        among = str(known.get("expected") or known["expected_tags"]).replace(" or ", ", ")
        return Text("valeur inconnue ; choisissez parmi {known}", known=among)
    if kind in BOUNDS:
        name, template = BOUNDS[kind]
        bound = known[name]
        return Text(template, bound=Number(bound) if isinstance(bound, int | Decimal) else bound)
    return Text("{message}", message=detail["msg"])


def _agglomeration(files: list[str], found: list[tuple[str, Declaration]]) -> Iterator[Problem]:
    if TERRITORY_FILE not in files:
        yield Problem("missing_territory", TERRITORY_FILE, 1, "", "le fichier manque", "Déclarez-y l’agglomération.")
    for file, member in found:
        if (member.kind == "epci") != (file == TERRITORY_FILE):
            yield Problem(
                "invalid_declaration", file, 1, "kind",
                f"{TERRITORY_FILE} déclare l’agglomération (kind: epci), et lui seul", "Corrigez kind.",
            )  # fmt: skip


def _duplicates(field: str, values: Iterable[tuple[str, int, str | None]]) -> Iterator[Problem]:
    first: dict[str, str] = {}
    for file, line, value in values:
        if value is not None and first.setdefault(value, file) != file:
            yield Problem(
                "duplicate_member", file, line, field,
                f"« {value} » est déjà celui de {first[value]}", "Chaque membre a le sien.",
            )  # fmt: skip


def _overlaps(subnets: Iterable[tuple[str, int, str | None]]) -> Iterator[Problem]:
    before: list[tuple[str, ipaddress.IPv4Network]] = []
    for file, line, value in subnets:
        if value is None:
            continue
        network = ipaddress.IPv4Network(value)
        for other, taken in before:
            if network.overlaps(taken):
                yield Problem(
                    "overlapping_subnet", file, line, "subnet",
                    f"{network} recouvre {taken} de {other}", "Choisissez un autre réseau.",
                )  # fmt: skip
        before.append((file, network))
