"""What a site of a public body must say of itself: who publishes it, how accessible it is, whose data it keeps.

Declared beside the members, in `<territory>/legal.yaml`; each text in French and English. Nothing is assumed: without a
declaration the site says that it does not conform and that nobody is named.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from orchestrator.errors import InvalidInput, Text
from tenants.declarations_yaml import BrokenYaml, load_yaml

FILE = Path("legal") / "legal.yaml"


class Declared(BaseModel):
    """A part of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Both(Declared):
    """A text in both languages."""

    fr: str
    en: str


class Contact(Declared):
    """Somebody to write to."""

    name: Both | None = None
    email: str | None = None
    phone: str | None = None
    address: str | None = None


class Accessibility(Declared):
    """The declaration of accessibility, by the model of the RGAA.

    state: none, partial or full conformity, by the audit; audited_on, rate (percent): of that audit, None when none was
    made; tools: what was checked with; barriers: what does not conform; exempted: what the law leaves out;
    burden: what would be out of proportion; plan: where the scheme of several years is published.
    """

    state: Literal["none", "partial", "full"] = "none"
    drawn_on: date | None = None
    audited_on: date | None = None
    auditor: str | None = None
    rate: int | None = None
    tools: tuple[str, ...] = ()
    technologies: tuple[str, ...] = ("HTML5", "CSS", "SVG", "JavaScript")
    barriers: tuple[Both, ...] = ()
    exempted: tuple[Both, ...] = ()
    burden: tuple[Both, ...] = ()
    plan: str | None = None
    contact: Contact = Contact()

    @model_validator(mode="after")
    def _audited(self) -> Accessibility:
        if self.state != "none" and (self.audited_on is None or self.rate is None):
            raise ValueError("conformity, even partial, is said only after an audit: give audited_on and rate")
        return self


class Processing(Declared):
    """One purpose for which the portal keeps personal data."""

    purpose: Both
    basis: Both
    data: Both
    kept: Both


class Legal(Declared):
    """The whole file."""

    publisher: Contact = Contact()
    director: str | None = None
    host: Contact = Contact()
    data_officer: Contact = Contact()
    processing: tuple[Processing, ...] = ()
    accessibility: Accessibility = Accessibility()


def load(territory: Path) -> Legal:
    """What is declared in the folder of a territory; raises `invalid_legal`."""
    path = territory / FILE
    if not path.is_file():
        return Legal()
    try:
        return Legal.model_validate(load_yaml(path.read_text()) or {})
    except (ValidationError, BrokenYaml) as error:
        why = str(error).splitlines()[0]
        raise InvalidInput(
            "invalid_legal",
            Text("{path} est refusé : {why}", path=str(path), why=why),
            "Corrigez ce fichier.",
            detail=str(error),
        ) from error
