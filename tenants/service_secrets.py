"""Reading the secrets of an application: those that are to be shown, each once, by the member's own people."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from pydantic import SecretStr
from sqlalchemy.orm import Session

from orchestrator import audit, service_secrets
from orchestrator.errors import Conflict, NotFound, Text
from orchestrator.settings import Settings
from orchestrator.tables import Flow, Service, ServiceSecret
from tenants import operations, reading


def listed(session: Session, service: Service) -> list[dict[str, Any]]:
    """The secrets that people may read: name, label, made_at (None: not yet) and shown_at (None: not read yet)."""
    shown = [secret for secret in service.specification.get("stack", {}).get("secrets", ()) if secret["shown"]]
    if not shown:
        return []
    query = sa.select(ServiceSecret.name, ServiceSecret.made_at, ServiceSecret.shown_at)
    rows = {row.name: row for row in session.execute(query.where(ServiceSecret.service_id == service.id))}
    return [
        {
            "name": secret["name"],
            "label": secret["label"],
            "made_at": getattr(rows.get(secret["name"]), "made_at", None),
            "shown_at": getattr(rows.get(secret["name"]), "shown_at", None),
        }
        for secret in shown
    ]


def show(session: Session, settings: Settings, service_id: int, name: str, at: datetime) -> SecretStr:
    """A secret in clear, once. Raises not_found, Conflict secret_shown or secret_missing."""
    service = reading.find(session, Service, service_id)
    declared = _declared(session, service, name)
    whose = (ServiceSecret.service_id == service.id, ServiceSecret.name == name, ServiceSecret.shown_at.is_(None))
    taken = sa.update(ServiceSecret).where(*whose).values(shown_at=at).returning(ServiceSecret.sealed)
    sealed = session.scalar(taken)
    if sealed is None:
        raise _not_now(declared)
    detail = {"secret": name}
    audit.record(session, "secret.show", f"service {service.id}", member_id=service.member_id, detail=detail)
    return service_secrets.unseal(service_secrets.box(settings), sealed)


def _declared(session: Session, service: Service, name: str) -> dict[str, Any]:
    for secret in listed(session, service):
        if secret["name"] == name:
            return secret
    raise NotFound("not_found", "Cela n’existe pas, ou n’est pas à vous.", "Revenez à la liste.")


def _not_now(secret: dict[str, Any]) -> Conflict:
    if secret["made_at"] is None:
        return Conflict(
            "secret_missing",
            Text("« {label} » n’est pas encore prêt.", label=secret["label"]),
            "Attendez que le service soit en marche.",
        )
    return Conflict(
        "secret_shown",
        Text("« {label} » a déjà été lu : il ne se lit qu’une fois.", label=secret["label"]),
        "Si personne ne l’a gardé, renouvelez-le.",
    )


def renew(session: Session, service_id: int, name: str) -> Flow:
    """Give the application a new secret, to be read once; the former one opens nothing any more.

    Raises not_found and what `starting.check_free` raises.
    """
    service = reading.find(session, Service, service_id)
    _declared(session, service, name)
    return operations.ask_for(session, service_id, "renew_secret", "secret.renew_asked", secret=name)
