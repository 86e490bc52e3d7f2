"""Passwords: which are good enough, and how they are kept.

Length instead of composition rules, and no forced renewal (ANSSI, « Recommandations relatives à l’authentification
multifacteur et aux mots de passe », 2021; CNIL, délibération 2022-100).
"""

from __future__ import annotations

import secrets
import unicodedata
from datetime import datetime
from functools import cache
from pathlib import Path

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from orchestrator import audit
from orchestrator.errors import InvalidInput, Text
from orchestrator.settings import Settings
from tenants.tables_identity import Credential

SHORTEST, LONGEST = 12, 256  # characters
COMMON = Path(__file__).parent / "passwords_common.txt"


def check(password: str, *, email: str, name: str) -> None:
    """Refuse a password that is easily guessed; raises weak_password."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise InvalidInput(
            "weak_password",
            Text("Le mot de passe doit avoir de {least} à {most} caractères.", least=SHORTEST, most=LONGEST),
            "Quatre mots sans lien entre eux font un bon mot de passe.",
        )
    plain = _plain(password)
    own = [_plain(word) for word in (email.split("@")[0], *name.split()) if len(word) >= 4]
    if any(word in plain for word in own):
        raise InvalidInput(
            "weak_password", "Le mot de passe contient votre nom ou votre adresse.", "Choisissez-en un sans eux."
        )
    # The commonest with something before or after it, or the same few characters again and again.
    if len(set(plain)) < 5 or any(len(common) * 2 > len(plain) and common in plain for common in _common()):
        raise InvalidInput(
            "weak_password",
            "Ce mot de passe est parmi les plus courants.",
            "Quatre mots sans lien entre eux font un bon mot de passe.",
        )


def _plain(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(character for character in decomposed if character.isalnum())


@cache
def _common() -> tuple[str, ...]:
    return tuple(_plain(line) for line in COMMON.read_text().split())


def keep(session: Session, account_id: int, hashed: str, at: datetime) -> None:
    """Keep the hash of an account's new password; at the door."""
    fresh = {"password_hash": hashed, "password_set_at": at}
    session.execute(
        insert(Credential).values(account_id=account_id, **fresh)
        .on_conflict_do_update(index_elements=["account_id"], set_=fresh)
    )  # fmt: skip
    audit.record(session, "account.password", f"account {account_id}")


class Hasher:
    """argon2id with the settings' parameters. Takes a tenth of a second on purpose: call it outside transactions."""

    def __init__(self, settings: Settings) -> None:
        self._hasher = PasswordHasher(
            time_cost=settings.password_passes,
            memory_cost=settings.password_memory_kib,
            parallelism=settings.password_lanes,
        )
        self._nobodys = self._hasher.hash(secrets.token_urlsafe(32))

    def hash(self, password: str) -> str:
        """What to keep of a password."""
        return self._hasher.hash(_typed(password))

    def matches(self, kept: str | None, password: str) -> bool:
        """Whether `password` is the one that was kept; without one it takes as long, and is False."""
        try:
            self._hasher.verify(kept or self._nobodys, _typed(password[: LONGEST + 1]))
        except (VerificationError, InvalidHashError):
            return False
        return kept is not None

    def is_dated(self, kept: str) -> bool:
        """Whether it was hashed with other parameters than those of today."""
        return self._hasher.check_needs_rehash(kept)


def _typed(password: str) -> str:
    # The same letters typed on another keyboard are the same password (NIST SP 800-63B, 3.1.1.2).
    return unicodedata.normalize("NFKC", password)
