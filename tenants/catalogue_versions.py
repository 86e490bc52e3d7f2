"""Versions of the offers, made in the pages: draft → published → withdrawn. Orders keep the version they began with.

A draft is a copy of a version, or comes from YAML; only drafts change.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
import yaml
from pydantic import ValidationError
from sqlalchemy.orm import Session

from orchestrator import audit
from orchestrator.errors import Conflict, InvalidInput, NotFound, Text
from tenants import catalogue
from tenants.catalogue import Family
from tenants.tables import Offer, Order

COPIED = ("slug", "kind", "title", "summary", "flavor", "vcpus", "ram_mib", "parameters", "approval", "stack")
WHOLE = re.compile(r"-?[0-9]{1,18}")


def listed(session: Session, state: str = "", slug: str = "") -> list[tuple[Offer, int]]:
    """Every version with the number of orders made from it: by slug, newest version first."""
    orders = sa.select(sa.func.count(Order.id)).where(Order.offer_id == Offer.id).scalar_subquery()
    query = sa.select(Offer, orders).order_by(Offer.slug, Offer.version.desc())
    if state:
        query = query.where(Offer.state == state)
    if slug:
        query = query.where(Offer.slug == slug)
    return [(offer, count) for offer, count in session.execute(query)]


def find(session: Session, offer_id: int, *, lock: bool = False) -> Offer:
    """One version; NotFound `not_found`."""
    found = session.get(Offer, offer_id, with_for_update=lock, populate_existing=lock)
    if found is None:
        raise NotFound("not_found", "Cela n’existe pas, ou n’est pas à vous.", "Revenez à la liste.")
    return found


def copy(session: Session, offer_id: int) -> Offer:
    """A draft that begins as this version. Raises Conflict draft_exists (facts: offer, the draft's id)."""
    source = find(session, offer_id)
    return _draft(session, {name: getattr(source, name) for name in COPIED})


def as_yaml(offer: Offer) -> str:
    """A version as a file of the catalogue declares it: what `read` takes."""
    names = ("slug", "title", "summary", "flavor", "vcpus", "ram_mib", "approval")
    declared = {"kind": offer.kind, "parameters": offer.parameters["rules"]}
    said = {name: getattr(offer, name) for name in (*names, *(["stack"] if offer.stack else []))}
    document = {**declared, "offers": [said]}
    return str(yaml.safe_dump(document, allow_unicode=True, sort_keys=False, width=120))


def read(session: Session, text: str) -> list[Offer]:
    """Drafts of what a YAML text declares, as the files of the catalogue do; what is published as it is needs none.

    Raises InvalidInput invalid_offers, Conflict draft_exists.
    """
    published = {offer.slug: offer for offer in catalogue.published(session)}
    made = []
    for wanted in catalogue.columns(catalogue.parse("YAML", text)):
        present = published.get(wanted["slug"])
        if present is None or any(getattr(present, name) != value for name, value in wanted.items()):
            made.append(_draft(session, wanted))
    return made


def _draft(session: Session, wanted: Mapping[str, Any]) -> Offer:
    slug = wanted["slug"]
    session.execute(sa.text("LOCK TABLE offers IN SHARE ROW EXCLUSIVE MODE"))  # numbers of versions follow each other
    other = session.scalar(sa.select(Offer.id).where(Offer.slug == slug, Offer.state == "draft"))
    if other is not None:
        raise Conflict(
            "draft_exists",
            Text("« {slug} » a déjà un brouillon.", slug=slug),
            "Publiez-le ou abandonnez-le d’abord.",
            facts={"offer": other},
        )
    latest = session.scalar(sa.select(sa.func.max(Offer.version)).where(Offer.slug == slug)) or 0
    offer = Offer(**{**wanted}, version=latest + 1, state="draft", origin="made")
    session.add(offer)
    session.flush()
    audit.record(session, "offer.draft", _subject(offer))
    return offer


def _subject(offer: Offer) -> str:
    return f"offer {offer.slug} v{offer.version}"


def edit(session: Session, offer_id: int, typed: Mapping[str, Any]) -> Offer:
    """Change a draft. typed: title, summary ({fr, en}), flavor, vcpus, ram_mib, approval, and `limits`:
    by parameter its minimum, maximum and default (texts).

    Raises Conflict not_draft, InvalidInput invalid_offers (faults by field).
    """
    offer = _draft_of(session, offer_id)
    rules = [_limited(rule, typed.get("limits", {}).get(rule["name"], {})) for rule in offer.parameters["rules"]]
    names = ("title", "summary", "flavor", "vcpus", "ram_mib", "approval")
    wanted = {"slug": offer.slug, "stack": offer.stack, **{name: typed[name] for name in names}}
    try:
        family = Family.model_validate({"kind": offer.kind, "parameters": rules, "offers": [wanted]})
    except ValidationError as error:
        raise _refused([_fault(detail["loc"]) for detail in error.errors(include_url=False)], rules) from error
    _check_bounds(rules)
    [columns] = catalogue.columns(family)
    for name, value in columns.items():
        setattr(offer, name, value)
    session.flush()
    audit.record(session, "offer.draft", _subject(offer))
    return offer


def _limited(rule: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, Any]:
    """The rule with what was typed; what is no whole number stays a text, which the schema refuses."""
    typed = {name: int(text) if WHOLE.fullmatch(text) else text for name, text in given.items()}
    return {**rule, **typed}


def _check_bounds(rules: list[dict[str, Any]]) -> None:
    for rule in rules:
        if rule["type"] == "integer" and not rule["minimum"] <= rule["default"] <= rule["maximum"]:
            sentence = Text("la valeur par défaut doit être entre le minimum et le maximum")
            raise _refused(
                [{"parameter": f"{rule['name']}.default", "code": "invalid_offers", "sentence": sentence}], []
            )


def _fault(path: tuple[int | str, ...]) -> dict[str, Any]:
    # ("offers", 0, "title", "fr") → title.fr; ("parameters", 2, "integer", "minimum") → (2, minimum); () → the whole
    if not path:
        sentence = Text("les champs du formulaire de commande ne suffisent pas : déclarez l’offre en YAML")
        return {"parameter": "parameters", "code": "invalid_offers", "sentence": sentence}
    field = ".".join(map(str, path[2:])) if path[0] == "offers" else (path[1], path[-1])
    return {"parameter": field, "code": "invalid_offers", "sentence": Text("valeur manquante ou mal formée")}


def _refused(faults: list[dict[str, Any]], rules: list[dict[str, Any]]) -> InvalidInput:
    for fault in faults:
        if isinstance(fault["parameter"], tuple):
            position, name = fault["parameter"]
            fault["parameter"] = f"{rules[position]['name']}.{name}"
    return InvalidInput(
        "invalid_offers", "Cette version est à corriger.", "Voyez les champs signalés.", facts={"errors": faults}
    )


def _draft_of(session: Session, offer_id: int) -> Offer:
    offer = find(session, offer_id, lock=True)
    if offer.state != "draft":
        raise Conflict("not_draft", "Cette version n’est plus un brouillon : elle ne change pas.", "Copiez-la.")
    return offer


def publish(session: Session, offer_id: int) -> Offer:
    """Let members order a draft; the version published before is withdrawn. Raises Conflict not_draft."""
    offer = _draft_of(session, offer_id)
    before = session.scalar(sa.select(Offer).where(Offer.slug == offer.slug, Offer.state == "published"))
    if before is not None:
        _withdraw(session, before, "offer.withdraw")  # at most one version is published: the old one leaves first
    offer.state = "published"
    session.flush()
    audit.record(session, "offer.publish", _subject(offer))
    return offer


def withdraw(session: Session, offer_id: int) -> Offer:
    """Take a published version out of the catalogue, or give a draft up. Services and orders keep theirs.

    A version that a file declares comes back at the next `clocher catalogue apply`. Raises Conflict offer_withdrawn.
    """
    offer = find(session, offer_id, lock=True)
    if offer.state == "withdrawn":
        raise Conflict("offer_withdrawn", "Cette version est déjà retirée.", "Relisez le catalogue.")
    _withdraw(session, offer, "offer.withdraw" if offer.state == "published" else "offer.discard")
    return offer


def _withdraw(session: Session, offer: Offer, action: str) -> None:
    offer.state = "withdrawn"
    session.flush()
    audit.record(session, action, _subject(offer))
