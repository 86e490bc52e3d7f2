"""Signing in by e-mail and password. Whether an address is known can be told neither by the answer nor by its time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from orchestrator.database import door_session
from orchestrator.errors import Unauthenticated
from orchestrator.settings import Settings
from tenants import accounts, failures, passwords, second_factor, sessions
from tenants.passwords import Hasher
from tenants.tables_identity import Credential

ACTOR = "door"
PERSON, ADDRESS = 5, 30  # failures before one waits; a town hall's many people share one address


@dataclass(frozen=True)
class Proved:
    """Who gave the right password, and whether a second factor is still to come."""

    account_id: int
    second_factor: bool


def by_password(door: sa.Engine, hasher: Hasher, email: str, password: str, address: str, at: datetime) -> Proved:
    """Judge e-mail and password. Raises wrong_password, or too_many_tries.

    No transaction is open while the password is hashed.
    """
    person, source = failures.of_person(email), failures.of_address(address)
    with door_session(door, ACTOR) as session:
        failures.count(session, {person: PERSON, source: ADDRESS}, at)
        account = accounts.by_email(session, email)
        credential = session.get(Credential, account.id if account else 0)  # looked for in any case, for its time
    kept = credential.password_hash if credential else None
    if not hasher.matches(kept, password) or account is None or credential is None or account.state == "closed":
        raise Unauthenticated(
            "wrong_password", "Adresse ou mot de passe inexact.", "Vérifiez-les, ou choisissez « Mot de passe oublié »."
        )
    with door_session(door, ACTOR) as session:
        failures.forgive(session, person, source)
        if kept and hasher.is_dated(kept):
            session.get_one(Credential, account.id).password_hash = hasher.hash(password)
    return Proved(account.id, credential.totp_since is not None)


def by_code(door: sa.Engine, settings: Settings, account_id: int, code: str, address: str, at: datetime) -> None:
    """Judge the second factor of somebody who gave the right password. Raises wrong_code, too_many_tries."""
    person, source = f"code {account_id}", failures.of_address(address)
    with door_session(door, ACTOR) as session:
        failures.count(session, {person: PERSON, source: ADDRESS}, at)
    with door_session(door, ACTOR) as session:
        second_factor.check(session, account_id, code, at, settings)
        failures.forgive(session, person, source)


def change_password(
    door: sa.Engine, hasher: Hasher, account_id: int, session_id: int | None, present: str, wanted: str, at: datetime
) -> str:
    """Replace a password by whoever knows it; every session but `session_id` ends; that one's new secret, or nothing.

    Who has none yet (a provider vouches for him) needs a mailed link. Raises wrong_password, weak_password,
    too_many_tries.
    """
    with door_session(door, ACTOR) as session:
        account = accounts.find(session, account_id)
        failures.count(session, {failures.of_person(account.email): PERSON}, at)
        credential = session.get(Credential, account.id)
    if not hasher.matches(credential.password_hash if credential else None, present):
        raise Unauthenticated("wrong_password", "Votre mot de passe actuel est inexact.", "Vérifiez-le.")
    passwords.check(wanted, email=account.email, name=account.name)
    hashed = hasher.hash(wanted)
    with door_session(door, f"account {account.id} ({account.name})") as session:
        failures.forgive_person(session, failures.of_person(account.email))
        passwords.keep(session, account.id, hashed, at)
        sessions.end_others(session, account.id, session_id)
        return sessions.renew(session, session_id) if session_id else ""
