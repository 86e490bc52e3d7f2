"""The secrets of a service: made once, kept sealed under a key of the installation, opened only for its plays.

A copy of the database alone opens nothing. Who may read one, and how often, `tenants.service_secrets` says.
"""

from __future__ import annotations

import secrets
import string
from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa
from cryptography.fernet import Fernet, InvalidToken
from pydantic import SecretStr
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from orchestrator import audit, sealing
from orchestrator.errors import ClocherError, Text
from orchestrator.events import Owner
from orchestrator.settings import Settings
from orchestrator.tables import ServiceSecret

PURPOSE = "service secrets"
LETTERS = string.ascii_letters + string.digits  # what no shell, file or form takes for anything else


def box(settings: Settings) -> Fernet:
    """What seals and opens them."""
    return sealing.box(settings, PURPOSE)


def invent(length: int) -> str:
    """A new secret."""
    return "".join(secrets.choice(LETTERS) for _ in range(length))


def make(session: Session, settings: Settings, owner: Owner, declared: Iterable[Mapping[str, Any]]) -> None:
    """Make those that the service does not have yet. declared: name and length of each."""
    for secret in declared:
        sealed = box(settings).encrypt(invent(secret["length"]).encode()).decode()
        row = {"service_id": owner.service_id, "member_id": owner.member_id, "name": secret["name"], "sealed": sealed}
        session.execute(insert(ServiceSecret).values(**row).on_conflict_do_nothing())


def opened(session: Session, settings: Settings, service_id: int, *, renewed: str = "") -> dict[str, SecretStr]:
    """The service's secrets by name, for its plays; `renewed`: of that one what is to take its place."""
    rows = session.scalars(sa.select(ServiceSecret).where(ServiceSecret.service_id == service_id))
    return {row.name: unseal(box(settings), (row.next if row.name == renewed else None) or row.sealed) for row in rows}


def unseal(sealer: Fernet, sealed: str) -> SecretStr:
    """A secret in clear. Raises `secret_unreadable` when it was sealed under another key."""
    try:
        return SecretStr(sealer.decrypt(sealed.encode()).decode())
    except InvalidToken as error:
        raise ClocherError(
            "secret_unreadable",
            "Un secret de ce service ne s’ouvre pas avec la clé de cette installation.",
            "Prévenez la DSI : CLOCHER_SECRET_KEY a changé. Renouveler le secret en fait un nouveau.",
        ) from error


def propose(session: Session, settings: Settings, service_id: int, name: str, length: int) -> None:
    """Make what is to take the place of a secret, unless that was done."""
    sealed = box(settings).encrypt(invent(length).encode()).decode()
    _set(session, service_id, name, ServiceSecret.next.is_(None), next=sealed)


def withdraw(session: Session, service_id: int, name: str) -> None:
    """The secret stays as it is."""
    _set(session, service_id, name, next=None)


def adopt(session: Session, owner: Owner, name: str) -> None:
    """What was proposed takes the secret's place and may be read, once."""
    made = {"sealed": ServiceSecret.next, "next": None, "made_at": sa.func.now(), "shown_at": None}
    _set(session, owner.service_id, name, ServiceSecret.next.is_not(None), **made)
    detail = {"secret": name, "flow": owner.flow_id}
    audit.record(session, "secret.renew", f"service {owner.service_id}", member_id=owner.member_id, detail=detail)


def forget(session: Session, service_id: int) -> None:
    """Nothing is left that they open."""
    session.execute(sa.delete(ServiceSecret).where(ServiceSecret.service_id == service_id))


def _set(session: Session, service_id: int, name: str, *where: sa.ColumnElement[bool], **values: Any) -> None:
    whose = (ServiceSecret.service_id == service_id, ServiceSecret.name == name)
    session.execute(sa.update(ServiceSecret).where(*whose, *where).values(**values))


def length_of(specification: Mapping[str, Any], name: str) -> int:
    """How long a secret of a stack is. Raises when the stack has none of this name."""
    for secret in specification.get("stack", {}).get("secrets", ()):
        if secret["name"] == name:
            return int(secret["length"])
    raise ClocherError("unknown_secret", Text("Ce service n’a pas de secret « {name} ».", name=name), "Voyez sa page.")
