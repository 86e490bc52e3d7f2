"""Mailed links by which a person chooses a password: to accept an invitation, or because the old one is forgotten.

A link works once, for a time, and only its digest is kept. Looking at it changes nothing: scanners of mail look first.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from orchestrator import audit
from orchestrator.database import door_session
from orchestrator.errors import InvalidInput, NotFound
from tenants import accounts, failures, passwords, sessions
from tenants.passwords import Hasher
from tenants.tables_identity import LANGUAGES, Account, AccountLink, Credential

INVITED = timedelta(days=7)
FORGOTTEN = timedelta(hours=1)


@dataclass(frozen=True)
class Invited:
    """Who was invited; secret: of the link to mail, None when the person has a way in already."""

    account_id: int
    secret: str | None


def digest(secret: str) -> bytes:
    """What is kept of a link's secret. It has 256 random bits: a slow hash would add nothing."""
    return hashlib.sha256(secret.encode()).digest()


def invite(
    session: Session, email: str, name: str, language: str, member_id: int | None, wanted: set[str], at: datetime
) -> Invited:
    """Give a person, known or not, roles in one house. Raises invalid_email, invalid_name, invalid_role.

    Whether the person was known elsewhere is not told; only a person without a way in gets a link.
    """
    if not 0 < len(name.strip()) <= 100 or not name.isprintable():
        raise InvalidInput("invalid_name", "Le nom doit avoir de 1 à 100 caractères.", "Corrigez-le.")
    if language not in LANGUAGES or not wanted:
        raise InvalidInput("invalid_role", "Choisissez au moins un rôle, et une langue.", "Corrigez l’invitation.")
    secret = secrets.token_urlsafe(32)
    row = session.execute(
        sa.text("SELECT account, linked FROM clocher_invite(:email, :name, :language, :link, :until)"),
        {"email": accounts.normal(email), "name": name.strip(), "language": language, "link": digest(secret),
         "until": at + INVITED},
    ).one()  # fmt: skip
    accounts.set_roles(session, row.account, member_id, wanted, adding=True)
    audit.record(session, "account.invite", f"account {row.account}", member_id=member_id)
    return Invited(row.account, secret if row.linked else None)


def forgotten(session: Session, email: str, at: datetime) -> tuple[Account, str] | None:
    """A new link for whoever has this e-mail address, if anybody has; at the door."""
    account = accounts.by_email(session, email)
    if account is None or account.state not in ("invited", "active"):
        return None
    secret = secrets.token_urlsafe(32)
    fresh = {"digest": digest(secret), "expires_at": at + FORGOTTEN}
    session.execute(
        insert(AccountLink).values(account_id=account.id, **fresh)
        .on_conflict_do_update(index_elements=["account_id"], set_=fresh)
    )  # fmt: skip
    audit.record(session, "account.reset", f"account {account.id}")
    return account, secret


def find(session: Session, secret: str, at: datetime, *, lock: bool = False) -> tuple[AccountLink, Account]:
    """The living link and whose it is; at the door. Raises link_used_up."""
    query = sa.select(AccountLink).where(AccountLink.digest == digest(secret), AccountLink.expires_at > at)
    link = session.scalar(query.with_for_update() if lock else query)
    if link is None:
        raise NotFound(
            "link_used_up", "Ce lien a déjà servi ou a expiré.", "Demandez-en un autre par « Mot de passe oublié »."
        )
    return link, session.get_one(Account, link.account_id)


def accept(door: sa.Engine, hasher: Hasher, secret: str, password: str, at: datetime) -> int:
    """Use a link up: keep the password, open the account, end its sessions; the account's id.

    Raises link_used_up, weak_password. No transaction is open while the password is hashed.
    """
    with door_session(door, "door") as session:
        _, account = find(session, secret, at)
        passwords.check(password, email=account.email, name=account.name)
    hashed = hasher.hash(password)
    with door_session(door, f"account {account.id} ({account.name})") as session:
        link, account = find(session, secret, at, lock=True)
        session.delete(link)
        keep_password(session, account.id, hashed, at)
        if account.state == "invited":
            account.state = "active"
            audit.record(session, "account.accept", f"account {account.id}")
        sessions.end_others(session, account.id, None)
        failures.forgive_person(session, failures.of_person(account.email))
    return account.id


def keep_password(session: Session, account_id: int, hashed: str, at: datetime) -> None:
    """Keep the hash of an account's new password; at the door."""
    fresh = {"password_hash": hashed, "password_set_at": at}
    session.execute(
        insert(Credential).values(account_id=account_id, **fresh)
        .on_conflict_do_update(index_elements=["account_id"], set_=fresh)
    )  # fmt: skip
    audit.record(session, "account.password", f"account {account_id}")
