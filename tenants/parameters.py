"""What an offer asks of the one who orders: typed rules kept as data with the offer, and the reading of answers."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from orchestrator.errors import N_, InvalidInput, Number, Text, joined
from tenants import accounts, ssh_keys

NAME = re.compile(r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?")  # a host name; the services table checks the same
MOST_KEYS = 20


class Words(BaseModel):
    """Words in the portal's languages."""

    model_config = ConfigDict(extra="forbid")
    fr: str = Field(min_length=1)
    en: str = Field(min_length=1)


class _Rule(BaseModel):
    """changeable: a running application takes another answer by its play, without being made anew."""

    model_config = ConfigDict(extra="forbid", strict=True)
    name: Annotated[str, Field(pattern=r"^[a-z_]{1,40}$")]
    label: Words
    help: Words
    changeable: bool | None = None  # None, not False: catalogues that are published say nothing of it


class NameRule(_Rule):
    """The service's name; it becomes the guest's host name."""

    type: Literal["name"]


class ChoiceRule(_Rule):
    """One of the choices."""

    type: Literal["choice"]
    choices: list[str] = Field(min_length=1)
    default: str

    @model_validator(mode="after")
    def _choose(self) -> Self:
        if self.default not in self.choices:
            raise PydanticCustomError("invalid_offers", "default doit être parmi choices")
        return self


class IntegerRule(_Rule):
    """A whole number between two bounds, both allowed."""

    type: Literal["integer"]
    minimum: int
    maximum: int
    default: int


class BooleanRule(_Rule):
    """Yes or no."""

    type: Literal["boolean"]
    default: bool


class KeysRule(_Rule):
    """At least `minimum` OpenSSH public keys."""

    type: Literal["ssh_keys"]
    minimum: int = 1
    default: list[str] | None = Field(None, max_length=0)


class _WrittenRule(_Rule):
    """What is written in one line. A default of "" lets it be left empty; `example` shows what is expected."""

    default: str | None = None
    example: str | None = None

    @model_validator(mode="after")
    def _fit(self) -> Self:
        for name in ("default", "example"):
            value = getattr(self, name)
            if value is None or (name == "default" and value == ""):
                continue
            try:
                READERS[self.type](self.model_dump(exclude_none=True), value)  # type: ignore[attr-defined]
            except InvalidInput as error:
                raise PydanticCustomError(
                    "invalid_offers", "{name} : {why}", {"name": name, "why": error.sentence}
                ) from error
        return self


class TextRule(_WrittenRule):
    """From `minimum` to `maximum` characters that match `pattern` as a whole, if there is one."""

    type: Literal["text"]
    pattern: str | None = None
    minimum: int = Field(1, ge=0)
    maximum: int = Field(200, ge=1, le=1000)

    @field_validator("pattern")
    @classmethod
    def _compile(cls, value: str | None) -> str | None:
        try:
            re.compile(value or "")
        except re.error as error:
            raise PydanticCustomError("invalid_offers", "pattern : {why}", {"why": str(error)}) from error
        return value


class EmailRule(_WrittenRule):
    """An e-mail address, kept in the form that accounts have."""

    type: Literal["email"]


class DateRule(_WrittenRule):
    """A day: 2027-01-31. warn_days: it is the last day of something, told of so many days before (`deadlines`)."""

    type: Literal["date"]
    warn_days: int | None = Field(None, ge=1, le=366)


Rule = Annotated[
    NameRule | ChoiceRule | IntegerRule | BooleanRule | KeysRule | TextRule | EmailRule | DateRule,
    Field(discriminator="type"),
]


def read(rules: list[dict[str, Any]], given: Mapping[str, Any]) -> dict[str, Any]:
    """The answers, complete with defaults. Raises InvalidInput whose `facts["errors"]` has one entry a parameter."""
    known = {rule["name"] for rule in rules}
    errors = [
        _fault(
            name,
            _refusal("unknown_parameter", Text("Le paramètre « {name} » n’existe pas pour cette offre.", name=name)),
        )
        for name in given
        if name not in known
    ]
    answers: dict[str, Any] = {}
    for rule in rules:
        try:
            answers[rule["name"]] = _answer(rule, given)
        except InvalidInput as error:
            errors.append(_fault(rule["name"], error))
    if errors:
        sentence = joined(fault["sentence"] for fault in errors)
        raise InvalidInput(errors[0]["code"], sentence, errors[0]["action"], facts={"errors": errors})
    return answers


def legible(rules: list[dict[str, Any]], given: Mapping[str, Any]) -> dict[str, Any]:
    """Of answers that are still being typed, those that are right; else the default, where there is one."""
    answers: dict[str, Any] = {}
    for rule in rules:
        try:
            answers[rule["name"]] = _answer(rule, given)
        except InvalidInput:
            if "default" in rule:
                answers[rule["name"]] = rule["default"]
    return answers


def from_text(rule: dict[str, Any], text: str) -> Any:
    """An answer that was typed, as its rule's type; what can't be read stays a text, for the rule to refuse."""
    if rule["type"] == "boolean":
        return {"oui": True, "yes": True, "true": True, "1": True, "non": False, "no": False, "false": False}.get(
            text.lower(), text
        )
    if rule["type"] == "ssh_keys":
        return [line.strip() for line in text.splitlines() if line.strip()]
    return int(text) if rule["type"] == "integer" and text.isdecimal() and len(text) < 19 else text


def from_texts(rules: list[dict[str, Any]], texts: Mapping[str, str]) -> dict[str, Any]:
    """Answers that were typed, by the name of their parameter; unknown ones stay, to be refused."""
    known = {rule["name"]: rule for rule in rules}
    return {name: from_text(known[name], text) if name in known else text for name, text in texts.items()}


def _answer(rule: dict[str, Any], given: Mapping[str, Any]) -> Any:
    if rule["name"] in given:
        return READERS[rule["type"]](rule, given[rule["name"]])
    if "default" in rule:
        return rule["default"]
    raise _invalid(rule, N_("« {label} » est à remplir."))


def _fault(name: str, error: InvalidInput) -> dict[str, str]:
    return {"parameter": name, "code": error.code, "sentence": error.sentence, "action": error.action}


def _refusal(code: str, sentence: str) -> InvalidInput:
    return InvalidInput(code, sentence, "Corrigez la demande ; rien n’a été commandé.")


def _invalid(rule: dict[str, Any], template: str, **values: Any) -> InvalidInput:
    return _refusal("invalid_parameter", Text(template, label=rule["label"], **values))


def _read_name(rule: dict[str, Any], value: Any) -> str:
    if not isinstance(value, str) or not NAME.fullmatch(value):
        raise _invalid(
            rule, N_("« {label} » doit commencer par une lettre et n’avoir que a-z, 0-9 et des tirets (40 au plus).")
        )
    return value


def _read_choice(rule: dict[str, Any], value: Any) -> str:
    if not isinstance(value, str) or value not in rule["choices"]:
        raise _invalid(rule, N_("« {label} » doit être parmi : {choices}."), choices=", ".join(rule["choices"]))
    return value


def _read_integer(rule: dict[str, Any], value: Any) -> int:
    # bool is an int in Python; here it is a mistake.
    if type(value) is not int or not rule["minimum"] <= value <= rule["maximum"]:
        raise _invalid(
            rule,
            N_("« {label} » doit être un entier de {least} à {most}."),
            least=Number(rule["minimum"]),
            most=Number(rule["maximum"]),
        )
    return value


def _read_boolean(rule: dict[str, Any], value: Any) -> bool:
    if not isinstance(value, bool):
        raise _invalid(rule, N_("« {label} » doit être vrai ou faux."))
    return value


def _read_keys(rule: dict[str, Any], value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(line, str) for line in value):
        raise _invalid(rule, N_("« {label} » doit être une liste de clés publiques."))
    if not rule["minimum"] <= len(value) <= MOST_KEYS:
        raise _invalid(
            rule, N_("« {label} » demande de {least} à {most} clés publiques."), least=rule["minimum"], most=MOST_KEYS
        )
    return list(dict.fromkeys(ssh_keys.read(line) for line in value))


def _line(rule: dict[str, Any], value: Any) -> str:
    """A text in one line, without spaces around it."""
    if not isinstance(value, str) or not value.isprintable():
        raise _invalid(rule, N_("« {label} » doit être un texte d’une ligne."))
    return value.strip()


def _optional(rule: dict[str, Any], value: str) -> bool:
    return value == "" == rule.get("default")


def _read_text(rule: dict[str, Any], value: Any) -> str:
    text = _line(rule, value)
    if _optional(rule, text):
        return text
    if not rule["minimum"] <= len(text) <= rule["maximum"]:
        raise _invalid(
            rule,
            N_("« {label} » doit avoir de {least} à {most} caractères."),
            least=Number(rule["minimum"]),
            most=Number(rule["maximum"]),
        )
    if not re.fullmatch(rule.get("pattern") or ".*", text):
        raise _invalid(rule, N_("« {label} » n’a pas la forme attendue : {help}"), help=rule["help"])
    return text


def _read_email(rule: dict[str, Any], value: Any) -> str:
    text = _line(rule, value)
    return text if _optional(rule, text) else accounts.normal(text)


def _read_date(rule: dict[str, Any], value: Any) -> str:
    text = _line(rule, value)
    if _optional(rule, text):
        return text
    try:
        return datetime.strptime(text, "%Y-%m-%d").date().isoformat()  # noqa: DTZ007  (a day, in no zone)
    except ValueError as error:
        raise _invalid(rule, N_("« {label} » doit être un jour : 2027-01-31.")) from error


READERS: dict[str, Callable[[dict[str, Any], Any], Any]] = {
    "name": _read_name,
    "choice": _read_choice,
    "integer": _read_integer,
    "boolean": _read_boolean,
    "ssh_keys": _read_keys,
    "text": _read_text,
    "email": _read_email,
    "date": _read_date,
}
