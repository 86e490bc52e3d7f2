"""The catalogue: offers declared in YAML, published as versions. Orders keep the version they were made from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError
from sqlalchemy.orm import Session

from orchestrator import audit
from orchestrator.errors import Conflict, InvalidInput, Text
from orchestrator.tables_usage import code as meter_code
from tenants import deadlines, parameters, prices, stacks, stacks_sources, trade_meters
from tenants.declarations_yaml import BrokenYaml, load_yaml
from tenants.parameters import Rule
from tenants.parameters import Words as Both
from tenants.stacks import Stack
from tenants.stacks_sources import Sources
from tenants.tables import Offer

OFFERS = Path(__file__).parent / "offers"
# The parameters that make a service, each with its type; others are kept with the order.
NEEDED = {
    "name": "name", "image": "choice", "disk_gib": "integer", "public_address": "boolean", "ssh_keys": "ssh_keys",
}  # fmt: skip


class DeclaredOffer(BaseModel):
    """One size. ram_mib: MiB."""

    model_config = ConfigDict(extra="forbid")
    slug: Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=40)]
    title: Both
    summary: Both
    flavor: str
    vcpus: int = Field(gt=0)
    ram_mib: int = Field(gt=0)
    approval: Literal["none", "dsi"] = "none"
    stack: Stack | None = None


class Family(BaseModel):
    """One file: offers of a kind that ask for the same parameters."""

    model_config = ConfigDict(extra="forbid")
    kind: Literal["vm", "stack"]
    parameters: list[Rule]
    offers: list[DeclaredOffer]

    @model_validator(mode="after")
    def _know_the_stack(self) -> Self:
        """A machine has none; an application's is known, or no flow could make it."""
        if any((offer.stack is None) != (self.kind == "vm") for offer in self.offers):
            raise PydanticCustomError("invalid_offers", "stack : une offre de pile, et elle seule, en a")
        return self

    @model_validator(mode="after")
    def _ask_what_is_needed(self) -> Self:
        """An order reads these answers: an offer that does not ask for them could not be carried out."""
        asked = {rule.name: rule.type for rule in self.parameters}
        missing = [f"{name} ({kind})" for name, kind in NEEDED.items() if self.offers and asked.get(name) != kind]
        if missing or len(asked) < len(self.parameters):
            why = "il manque {names}" if missing else "un nom sert deux fois"
            raise PydanticCustomError("invalid_offers", f"parameters : {why}", {"names": ", ".join(missing)})
        return self


def read(directory: Path = OFFERS) -> list[dict[str, Any]]:
    """The declared offers, as columns of `offers`. Raises `invalid_offers` naming the file."""
    return [offer for path in sorted(directory.glob("*.yaml")) for offer in columns(_family(path))]


def _family(path: Path) -> Family:
    return parse(path.name, path.read_text())


def parse(name: str, text: str) -> Family:
    """The offers that a file declares; `name` is said in the error invalid_offers."""
    try:
        return Family.model_validate(load_yaml(text))
    except BrokenYaml as error:
        raise _broken(name, error.sentence) from error
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_url=False))
        raise _broken(name, wrong) from error


def _broken(name: str, why: str) -> InvalidInput:
    sentence = Text("{name} est refusé : {why}.", name=name, why=why)
    return InvalidInput("invalid_offers", sentence, "Corrigez le fichier ; le catalogue n’a pas changé.")


def columns(family: Family) -> list[dict[str, Any]]:
    """The declared offers as columns of `offers`."""
    shared = {
        "kind": family.kind,
        "parameters": {"rules": [r.model_dump(exclude_none=True) for r in family.parameters]},
    }
    return [{"stack": None, **offer.model_dump(mode="json", exclude_none=True), **shared} for offer in family.offers]


def load(
    session: Session, directory: Path = OFFERS, places: Iterable[Path] = (), sources: Sources = MappingProxyType({})
) -> list[dict[str, Any]]:
    """Publish what `directory` and the stacks of `places` declare; what changed gets a new version, what is gone is
    withdrawn: what runs lives on.

    An offer whose published version was made in the pages is left as it is.
    sources: what the installation's settings say of applications from elsewhere. Returns one row for each change: slug,
    version, change (published, withdrawn, or awaiting: published, and not to be ordered before it has a source).
    Again: no row.
    """
    known = [stacks_sources.sourced(stack, sources) for stack in stacks.read_all(places)]
    applications = [offer for stack in known for offer in stacks.columns(stack)]
    declared = {offer["slug"]: offer for offer in (*read(directory), *applications)}
    current = {offer.slug: offer for offer in published(session)}
    changes = []
    made = {slug for slug, offer in current.items() if offer.origin == "made"}
    for slug in [slug for slug in current if slug not in declared and slug not in made]:
        changes.append(_withdraw(session, current[slug]))
    for slug, wanted in declared.items():
        present = current.get(slug)
        if slug in made:
            continue
        if present is None or any(getattr(present, name) != value for name, value in wanted.items()):
            changes.append(_publish(session, present, wanted))
    return changes


def _withdraw(session: Session, offer: Offer) -> dict[str, Any]:
    offer.state = "withdrawn"
    session.flush()
    audit.record(session, "offer.withdraw", f"offer {offer.slug} v{offer.version}")
    return {"slug": offer.slug, "version": offer.version, "change": "withdrawn"}


def _publish(session: Session, present: Offer | None, wanted: dict[str, Any]) -> dict[str, Any]:
    if present is not None:
        present.state = "withdrawn"
        session.flush()  # at most one version of an offer is published: the old one leaves first
    latest = session.scalar(sa.select(sa.func.max(Offer.version)).where(Offer.slug == wanted["slug"])) or 0
    trade_meters.ensure(session, wanted["stack"])
    session.add(Offer(**wanted, version=latest + 1, state="published"))
    session.flush()
    audit.record(session, "offer.publish", f"offer {wanted['slug']} v{latest + 1}")
    change = "awaiting" if (wanted["stack"] or {}).get("awaits_source") else "published"
    return {"slug": wanted["slug"], "version": latest + 1, "change": change}


def published(session: Session) -> list[Offer]:
    """What can be ordered, smallest first: by a member nothing that is the agglomeration's own."""
    return list(session.scalars(_orderable(session).order_by(Offer.vcpus, Offer.ram_mib, Offer.slug)))


def _orderable(session: Session) -> sa.Select[Offer]:
    query = sa.select(Offer).where(Offer.state == "published")
    if session.info["scope"] == "territory":
        return query
    return query.where(Offer.stack["provides"].as_string().is_(None))


def find(session: Session, slug: str) -> Offer:
    """The published version of an offer; raises `unknown_offer`."""
    offer = session.scalar(_orderable(session).where(Offer.slug == slug))
    if offer is None:
        known = ", ".join(offer.slug for offer in published(session)) or "aucune pour l’instant"
        raise InvalidInput(
            "unknown_offer",
            Text("L’offre « {slug} » n’existe pas.", slug=slug),
            Text("Offres proposées : {known}.", known=known),
        )
    return offer


def validate(offer: Offer, given: Mapping[str, Any], at: datetime | None = None) -> dict[str, Any]:
    """The parameters of an order of `offer`, complete; raises InvalidInput with one fault for each wrong parameter.

    at: when it is ordered; what has ended by then is refused (`day_over`).
    """
    chosen = parameters.read(offer.parameters["rules"], given)
    if at is not None:
        deadlines.check(offer.parameters["rules"], chosen, at)
    return chosen


def components(offer: Offer, disk_gib: int = 0, public_address: bool = False) -> dict[str, Decimal]:
    """What a service of `offer` is billed for while it serves: quantity by meter code, memory and disk in GiB."""
    quantities = {
        "vcpu": Decimal(offer.vcpus),
        "ram": Decimal(offer.ram_mib) / 1024,
        "volume": Decimal(disk_gib),
        "public_address": Decimal(public_address),
    }
    stack = offer.stack or {}
    # What it counts is not known before: its stack says how much to expect.
    quantities |= {meter_code(stack["slug"], one["meter"]): Decimal(one["quantity"]) for one in stack.get("price", [])}
    return {meter: quantity for meter, quantity in quantities.items() if quantity}


def priced(session: Session, at: datetime) -> list[dict[str, Any]]:
    """The published offers with `monthly`, euros a month without options at the prices of `at` (None: no price)."""
    book = prices.in_force(session, at)
    return [
        {
            **{name: getattr(offer, name) for name in ("slug", "version", "kind", "title", "summary", "approval")},
            **{name: getattr(offer, name) for name in ("flavor", "vcpus", "ram_mib", "stack")},
            "parameters": offer.parameters["rules"],
            "monthly": _monthly(book, offer),
        }
        for offer in published(session)
    ]


def _monthly(book: prices.InForce, offer: Offer) -> Decimal | None:
    try:
        return book.service(components(offer)).monthly
    except Conflict:  # missing_price: the catalogue is still worth reading
        return None
