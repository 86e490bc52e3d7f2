"""Newer versions of applications: what they bring, and the upgrade, which a fresh proof of a backup must precede."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator.errors import Conflict, InvalidInput, Text
from orchestrator.tables import Flow, Service
from tenants import backups, operations, parameters, reading, stacks, starting
from tenants.tables import Offer

FRESH = timedelta(days=1)  # how old a proof may be


@dataclass(frozen=True)
class Newer:
    """What a service can become: the versions that came since its own, newest first, each with what it brings.

    refused: why not now.
    """

    version: str
    versions: list[dict[str, Any]]
    stack: dict[str, Any]
    rules: list[dict[str, Any]]
    refused: Conflict | None


def newer(session: Session, service: Service, at: datetime) -> Newer | None:
    """What the published offer of a service's application brings over what it runs; None when it is nothing."""
    own = service.specification.get("stack")
    offer = _published(session, service.specification["offer"]) if own else None
    if not own or offer is None or not offer.stack or offer.stack.get("awaits_source"):
        return None
    listed = offer.stack["versions"]
    known = [one["version"] for one in listed]
    since = known.index(own["version"]) if own["version"] in known else 1
    if since == 0:
        return None
    found = Newer(known[0], listed[:since], offer.stack, offer.parameters["rules"], None)
    return replace(found, refused=_refusal(session, service, found, at))


def _published(session: Session, slug: str) -> Offer | None:
    return session.scalar(sa.select(Offer).where(Offer.slug == slug, Offer.state == "published"))


def _refusal(session: Session, service: Service, found: Newer, at: datetime) -> Conflict | None:
    try:
        starting.check_free(session, service)
        if service.state != "active":
            raise starting.not_allowed_now(service)
        _wanted(service, found)
        check_proof(session, service, at)
    except Conflict as refused:
        return refused
    return None


def check_proof(session: Session, service: Service, at: datetime) -> None:
    """Raise Conflict `no_proof` unless a backup of the service was restored for trial of late."""
    proof = backups.last_proof(session, service.id)
    if proof is None or proof.proved_at is None or proof.proved_at < at - FRESH:
        raise Conflict(
            "no_proof",
            Text("Aucun essai de restauration de « {name} » n’a réussi ces dernières 24 heures.", name=service.name),
            "Sauvegardez, restaurez cette sauvegarde à l’essai, puis mettez à jour.",
        )


def upgrade(session: Session, service_id: int, at: datetime, *, most: int) -> Flow:
    """Bring a service's application to the newest version that is offered; it goes back by itself when that fails.

    most: snapshots that a service may have. Raises not_found, Conflict no_upgrade, no_proof, unanswered (the new
    version asks what has no answer) and what `operations.upgrade` raises.
    """
    service = reading.find(session, Service, service_id, lock=True)
    found = newer(session, service, at)
    if found is None:
        raise none_newer(service)
    if found.refused:
        raise found.refused
    name = f"Avant la version {found.version}"
    return operations.upgrade(session, service.id, _wanted(service, found), found.version, name, most=most)


def none_newer(service: Service) -> Conflict:
    """The error for a service that nothing newer is offered for."""
    return Conflict(
        "no_upgrade",
        Text("« {name} » a la version la plus récente qui soit proposée.", name=service.name),
        "Il n’y a rien à faire.",
    )


def _wanted(service: Service, found: Newer) -> dict[str, Any]:
    """What the service's specification has from then on: what was answered stays, what is new has its default.

    Raises Conflict `unanswered` where it has none.
    """
    shared = {rule["name"] for rule in stacks.common()}
    rules = [rule for rule in found.rules if rule["name"] not in shared]
    asked = {rule["name"] for rule in rules}
    answers = {name: answer for name, answer in service.specification["answers"].items() if name in asked}
    try:
        chosen = parameters.read(rules, answers)
    except InvalidInput as error:
        raise Conflict(
            "unanswered",
            Text("La version {version} demande ce qui n’a pas de réponse : {why}", version=found.version,
                 why=error.sentence),
            "Prévenez la DSI : la déclaration de cette version doit donner une valeur par défaut.",
            facts=error.facts,
        ) from error  # fmt: skip
    return stacks.specification(found.stack, chosen)
