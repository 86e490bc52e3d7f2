"""Keys to the API. The secret is shown once; only its SHA-256 is kept. Without a member, a token is the territory's."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator import audit
from orchestrator.errors import InvalidInput, NotFound
from orchestrator.tables import Member
from tenants import reading
from tenants.tables import Token

PREFIX = "clo_"  # lets a scanner of leaked secrets know what it found
LONGEST = timedelta(days=730)


@dataclass(frozen=True)
class Holder:
    """Whom a living token speaks for; member_id None: the territory."""

    token_id: int
    member_id: int | None
    label: str

    @property
    def actor(self) -> str:
        """How the audit trail names it."""
        return f"token {self.token_id} ({self.label})"


def make(session: Session, label: str, member: str | None, days: int, at: datetime) -> tuple[Token, str]:
    """A new token for the member of that slug, or for the territory, and its secret, which nobody can show again."""
    if not label.strip() or not label.isprintable() or len(label) > 80:
        raise InvalidInput("invalid_label", "Le libellé doit tenir en 80 caractères.", "Donnez-en un.")
    if not 0 < days <= LONGEST.days:
        raise InvalidInput("invalid_expiry", f"La durée doit être de 1 à {LONGEST.days} jours.", "Choisissez-en une.")
    secret = PREFIX + secrets.token_urlsafe(32)
    token = Token(
        member_id=reading.member(session, member).id if member else None,
        label=label.strip(),
        digest=digest(secret),
        expires_at=at + timedelta(days=days),
    )
    session.add(token)
    session.flush()
    audit.record(session, "token.make", f"token {token.id}", member_id=token.member_id, detail={"label": label})
    return token, secret


def digest(secret: str) -> bytes:
    """What is kept of a secret. It has 256 random bits: a slow hash would add nothing."""
    return hashlib.sha256(secret.encode()).digest()


def holder(session: Session, kept: bytes) -> Holder | None:
    """Whom the token with this digest speaks for, unless it is unknown, expired, revoked, or its member is closed."""
    row = session.execute(
        sa.text("SELECT id, member_id, label FROM clocher_token(:kept)"), {"kept": kept}
    ).one_or_none()
    return Holder(row.id, row.member_id, row.label) if row else None


def listed(session: Session) -> list[dict[str, Any]]:
    """Every token, newest first, without any secret."""
    columns = (Token.id, Member.slug.label("member"), Token.label, Token.created_at, Token.expires_at, Token.revoked_at)
    query = sa.select(*columns).outerjoin(Member, Member.id == Token.member_id).order_by(Token.id.desc())
    return [dict(row) for row in session.execute(query).mappings()]


def revoke(session: Session, token_id: int, at: datetime) -> Token:
    """End a token now; again: no change."""
    token = session.get(Token, token_id, with_for_update=True)
    if token is None:
        raise NotFound("unknown_token", f"Le jeton {token_id} n’existe pas.", "Voyez : clocher tokens list")
    if token.revoked_at is None:
        token.revoked_at = at
        audit.record(session, "token.revoke", f"token {token.id}", member_id=token.member_id)
    return token
