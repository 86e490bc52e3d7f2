"""What a FOCUS file says of the installation itself: `focus.yaml` in the territory's folder `finance/`.

Its entries have a month from which they hold, so that the file of a closed month stays as it was. Without the file, or
before its first entry, the territory's declared name and SIRET stand for everything.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field
from stdnum.fr import siret as sirets

from orchestrator.errors import InvalidInput
from tenants import declarations_yaml, finance
from tenants.finance import Month, Words

FILE = "focus.yaml"


class Region(finance.Declared):
    """Where the machines run."""

    id: Words
    name: Words


class Identity(finance.Declared):
    """name: of the billing account; whoever is not named is the territory itself. host: whose machines they are."""

    start: Month = Field("2000-01", alias="from")
    name: Words
    siret: Annotated[str, Field(pattern=r"^[0-9]{14}$")]
    account_type: Words = "Territoire"
    provider: Words | None = None
    publisher: Words | None = None
    invoice_issuer: Words | None = None
    host: Words | None = None
    region: Region | None = None


class Identities(finance.Declared):
    """`focus.yaml`."""

    identities: Annotated[tuple[Identity, ...], Field(min_length=1)]


def in_force(territory: Path, month: str) -> Identity:
    """What holds in that month. Raises InvalidInput broken_yaml, invalid_declaration or no_issuer."""
    path = territory / "finance" / FILE
    declared = finance.read(path, Identities).identities if path.exists() else ()
    held = [identity for identity in declared if identity.start <= month]
    return max(held, key=lambda identity: identity.start, default=None) or _territory(territory)


def _territory(folder: Path) -> Identity:
    path = folder / "territory.yaml"
    said = declarations_yaml.load_yaml(path.read_text(encoding="utf-8")) if path.exists() else {}
    if not isinstance(said, dict) or not said.get("name") or not sirets.is_valid(str(said.get("siret", ""))):
        raise InvalidInput(
            "no_issuer",
            "Rien ne dit qui émet les relevés de ce mois.",
            "Déclarez le territoire dans territory.yaml, ou « identities » dans finance/focus.yaml.",
        )
    return Identity(name=str(said["name"]), siret=str(said["siret"]))
