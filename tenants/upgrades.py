"""Newer versions of applications: what they bring, and the upgrade, which a fresh proof of a backup must precede."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator.errors import Conflict, Text
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
    if not own or offer is None or not offer.stack:
        return None
    listed = offer.stack["versions"]
    known = [one["version"] for one in listed]
    since = known.index(own["version"]) if own["version"] in known else 1
    if since == 0:
        return None
    rules = offer.parameters["rules"]
    return Newer(known[0], listed[:since], offer.stack, rules, _refusal(session, service, at))


def _published(session: Session, slug: str) -> Offer | None:
    return session.scalar(sa.select(Offer).where(Offer.slug == slug, Offer.state == "published"))


def _refusal(session: Session, service: Service, at: datetime) -> Conflict | None:
    try:
        starting.check_free(session, service)
        if service.state != "active":
            raise starting.not_allowed_now(service)
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
            Text(
                "Aucun essai de restauration de « {name} » n’a réussi ces dernières 24 heures.",
                name=service.name,
            ),
            "Sauvegardez, restaurez cette sauvegarde à l’essai, puis mettez à jour.",
        )


def upgrade(session: Session, service_id: int, at: datetime, *, most: int) -> Flow:
    """Bring a service's application to the newest version that is offered; it goes back by itself when that fails.

    most: snapshots that a service may have. Raises not_found, Conflict no_upgrade, no_proof, InvalidInput when the new
    version asks what was never answered, and what `operations.upgrade` raises.
    """
    service = reading.find(session, Service, service_id, lock=True)
    found = newer(session, service, at)
    if found is None:
        raise none_newer(service)
    if found.refused:
        raise found.refused
    wanted = _wanted(found, service.specification["answers"])
    name = f"Avant la version {found.version}"
    return operations.upgrade(session, service.id, wanted, found.version, name, most=most)


def none_newer(service: Service) -> Conflict:
    """The error for a service that nothing newer is offered for."""
    return Conflict(
        "no_upgrade",
        Text("« {name} » a la version la plus récente qui soit proposée.", name=service.name),
        "Il n’y a rien à faire.",
    )


def _wanted(found: Newer, answers: dict[str, Any]) -> dict[str, Any]:
    """What the service's specification has from then on: what was answered stays, what is new has its default."""
    shared = {rule["name"] for rule in stacks.common()}
    rules = [rule for rule in found.rules if rule["name"] not in shared]
    asked = {rule["name"] for rule in rules}
    chosen = parameters.read(rules, {name: answer for name, answer in answers.items() if name in asked})
    return stacks.specification(found.stack, chosen)
