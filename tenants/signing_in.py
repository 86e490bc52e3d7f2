"""Signing in by e-mail and password. Whether an address is known can be told neither by the answer nor by its time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from orchestrator.database import door_session
from orchestrator.errors import Unauthenticated
from tenants import accounts, failures
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
        credential = session.get(Credential, account.id) if account else None
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
