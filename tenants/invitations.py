"""Mailed links by which a person chooses a password: to accept an invitation, or because the old one is forgotten.

A link works once, for a time, and only its digest is kept. Looking at it changes nothing: scanners of mail look first.
"""

from __future__ import annotations

import hashlib
import secrets
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from orchestrator import audit
from orchestrator.database import door_session
from orchestrator.errors import Conflict, InvalidInput, NotFound, TooMany
from orchestrator.tables import Member
from tenants import accounts, failures, mails, passwords, sessions
from tenants.passwords import Hasher
from tenants.tables_identity import LANGUAGES, Account, AccountLink

INVITED = timedelta(days=7)
FORGOTTEN = timedelta(hours=1)
ASKED, ASKED_FROM = 3, 20  # links for one person, and from one client, before one waits


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
    invited = _invite(session, accounts.normal(email), name.strip(), language, at)
    accounts.set_roles(session, invited.account_id, member_id, wanted, adding=True)
    _tell_invited(session, invited, member_id)
    return invited


def _tell_invited(session: Session, invited: Invited, member_id: int | None) -> None:
    account = accounts.find(session, invited.account_id)
    house = session.get_one(Member, member_id).name if member_id else None
    audit.record(session, "account.invite", f"account {account.id}", member_id=member_id)
    _tell(session, account, "invitation", invited.secret, member=house)


def _tell(session: Session, account: Account, template: str, secret: str | None, **facts: str | None) -> None:
    """Queue the mail with the link; who has a way in already is led to the sign-in."""
    path = f"/password/{secret}" if secret else "/sign-in"
    shown = {"name": account.name, "path": path, "choose": secret is not None, **facts}
    mails.queue(session, to=account.email, template=template, language=account.language, facts=shown)


def invite_again(session: Session, account_id: int, member_id: int | None, at: datetime) -> Invited:
    """Mail a fresh link to who was invited and has not answered; the old one ends. Raises not_found, not_invited."""
    account = accounts.find(session, account_id)
    if account.state != "invited":
        raise Conflict("not_invited", "Cette personne a déjà un accès.", "Elle peut choisir « Mot de passe oublié ».")
    invited = _invite(session, account.email, account.name, account.language, at)
    _tell_invited(session, invited, member_id)
    return invited


def _invite(session: Session, email: str, name: str, language: str, at: datetime) -> Invited:
    secret = secrets.token_urlsafe(32)
    row = session.execute(
        sa.text("SELECT account, linked FROM clocher_invite(:email, :name, :language, :link, :until)"),
        {"email": email, "name": name, "language": language, "link": digest(secret), "until": at + INVITED},
    ).one()
    return Invited(row.account, secret if row.linked else None)


def forgotten(session: Session, email: str, at: datetime) -> tuple[Account, str] | None:
    """A new link for whoever has this e-mail address, if anybody has; at the door."""
    account = accounts.by_email(session, email)
    if account is None or account.state not in ("invited", "active"):
        _pretend(session, at)
        return None
    return account, _mail_link(session, account, at)


def _mail_link(session: Session, account: Account, at: datetime) -> str:
    secret = link(session, account.id, at)
    audit.record(session, "account.reset", f"account {account.id}")
    _tell(session, account, "reset", secret)
    return secret


def _pretend(session: Session, at: datetime) -> None:
    """The same work for nobody, and undone: how long it takes may not tell who has an account."""
    with session.begin_nested() as undone:
        nobody = Account(email=f"{secrets.token_hex(16)}@nobody.invalid", name="nobody", state="pending")
        session.add(nobody)
        session.flush()
        _mail_link(session, nobody, at)
        undone.rollback()


def link(session: Session, account_id: int, at: datetime) -> str:
    """The secret of a new link for an account, in the place of an older one; at the door."""
    secret = secrets.token_urlsafe(32)
    fresh = {"digest": digest(secret), "expires_at": at + FORGOTTEN}
    session.execute(
        insert(AccountLink)
        .values(account_id=account_id, **fresh)
        .on_conflict_do_update(index_elements=["account_id"], set_=fresh)
    )
    return secret


def ask_again(door: sa.Engine, email: str, address: str, at: datetime) -> None:
    """Mail a link to whoever has this address. Silent in every case: the answer may not tell who has an account."""
    asked = {f"link {failures.of_person(email)}": ASKED, f"link {failures.of_address(address)}": ASKED_FROM}
    with suppress(TooMany), door_session(door, "door") as session:
        failures.count(session, asked, at)
        forgotten(session, email, at)


def find(session: Session, secret: str, at: datetime, *, lock: bool = False) -> tuple[AccountLink, Account]:
    """The living link and whose it is; at the door. Raises link_used_up."""
    query = sa.select(AccountLink).where(AccountLink.digest == digest(secret), AccountLink.expires_at > at)
    found = session.scalar(query.with_for_update() if lock else query)
    if found is None:
        raise NotFound(
            "link_used_up", "Ce lien a déjà servi ou a expiré.", "Demandez-en un autre par « Mot de passe oublié »."
        )
    return found, session.get_one(Account, found.account_id)


def accept(door: sa.Engine, hasher: Hasher, secret: str, password: str, at: datetime) -> int:
    """Use a link up: keep the password, open the account, end its sessions; the account's id.

    Raises link_used_up, weak_password. No transaction is open while the password is hashed.
    """
    with door_session(door, "door") as session:
        _, account = find(session, secret, at)
        passwords.check(password, email=account.email, name=account.name)
    hashed = hasher.hash(password)
    with door_session(door, f"account {account.id} ({account.name})") as session:
        used, account = find(session, secret, at, lock=True)
        session.delete(used)
        passwords.keep(session, account.id, hashed, at)
        if account.state == "invited":
            account.state = "active"
            audit.record(session, "account.accept", f"account {account.id}")
        sessions.end_others(session, account.id, None)
        failures.forgive_person(session, failures.of_person(account.email))
    return account.id
