"""Keys to the API. The secret is shown once; only its SHA-256 is kept.

A token is an account's: it may what the account may, and dies with it. Or a machine's: then it has roles of its own.
Either way its scopes narrow it.
"""

from __future__ import annotations

import hashlib
import secrets
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator import audit
from orchestrator.errors import InvalidInput, NotFound, Text
from orchestrator.tables import Member
from tenants.tables_identity import MEMBER_ROLES, SCOPES, TERRITORY_ROLES, Account, AccountRole, Token

PREFIX = "clo_"  # lets a scanner of leaked secrets know what it found
LONGEST = 365  # days
NOTED = timedelta(minutes=1)  # the last use is written at most so often


@dataclass(frozen=True)
class Holder:
    """Whom a living token speaks for; member_id None: the territory; account_id None: a machine."""

    token_id: int
    account_id: int | None
    member_id: int | None
    name: str
    language: str
    roles: frozenset[str]
    scopes: frozenset[str]

    @property
    def actor(self) -> str:
        """How the audit trail names it."""
        if self.account_id is None:
            return f"token {self.token_id} ({self.name})"
        return f"account {self.account_id} ({self.name}) by token {self.token_id}"


def mint() -> str:
    """A new secret: prefix, 256 random bits, and a checksum by which a scanner knows a real one."""
    body = secrets.token_urlsafe(32)
    return f"{PREFIX}{body}{_checksum(body)}"


def looks_real(secret: str) -> bool:
    """Whether this can be one of our tokens at all."""
    body = secret.removeprefix(PREFIX)
    return secret.startswith(PREFIX) and body.isascii() and body[-8:] == _checksum(body[:-8])


def _checksum(body: str) -> str:
    return f"{zlib.crc32(body.encode()):08x}"


def digest(secret: str) -> bytes:
    """What is kept of a secret. It has 256 random bits: a slow hash would add nothing."""
    return hashlib.sha256(secret.encode()).digest()


def make(
    session: Session,
    label: str,
    days: int,
    at: datetime,
    *,
    member_id: int | None,
    scopes: Collection[str],
    roles: Collection[str] | None = None,
    account_id: int | None = None,
) -> tuple[Token, str]:
    """A new token and its secret, which nobody can show again: of the account, or of a machine with `roles`.

    member_id: for whom it speaks, None: the territory.
    Raises invalid_label, invalid_expiry, invalid_scope, invalid_role.
    """
    _check(label, days, scopes, roles, MEMBER_ROLES if member_id else TERRITORY_ROLES)
    secret = mint()
    token = Token(
        member_id=member_id,
        account_id=account_id,
        label=label.strip(),
        digest=digest(secret),
        roles=sorted(set(roles)) if roles is not None else None,
        scopes=sorted(set(scopes)),
        expires_at=at + timedelta(days=days),
    )
    session.add(token)
    session.flush()
    detail = {"label": token.label, "scopes": token.scopes, "roles": token.roles, "account": account_id}
    audit.record(session, "token.make", f"token {token.id}", member_id=member_id, detail=detail)
    return token, secret


def _check(
    label: str, days: int, scopes: Collection[str], roles: Collection[str] | None, possible: Collection[str]
) -> None:
    if not label.strip() or not label.isprintable() or len(label) > 80:
        raise InvalidInput("invalid_label", "Le libellé doit tenir en 80 caractères.", "Donnez-en un.")
    if not 0 < days <= LONGEST:
        raise InvalidInput(
            "invalid_expiry", Text("La durée doit être de 1 à {days} jours.", days=LONGEST), "Choisissez-en une."
        )
    if not scopes or not set(scopes) <= set(SCOPES):
        raise InvalidInput("invalid_scope", "Choisissez au moins une portée, parmi celles proposées.", " ".join(SCOPES))
    if roles is not None and (not roles or not set(roles) <= set(possible)):
        raise InvalidInput("invalid_role", "Ce rôle n’existe pas ici.", " ".join(possible))


def holder(session: Session, secret: str, at: datetime) -> Holder | None:
    """Whom a token speaks for, unless it is unknown, expired, revoked, or its account or member is closed."""
    if not looks_real(secret):
        return None
    held = (
        sa.select(sa.func.array_agg(AccountRole.role))
        .where(AccountRole.account_id == Token.account_id, AccountRole.member_id.is_not_distinct_from(Token.member_id))
        .scalar_subquery()
    )
    row = session.execute(
        sa.select(Token.id, Token.account_id, Token.member_id, Token.scopes, Token.used_at,
                  sa.func.coalesce(Account.name, Token.label).label("name"),
                  sa.func.coalesce(Account.language, "fr").label("language"),
                  sa.case((Token.account_id.is_(None), Token.roles), else_=held).label("roles"))
        .outerjoin(Account, Account.id == Token.account_id)
        .outerjoin(Member, Member.id == Token.member_id)
        .where(Token.digest == digest(secret), Token.revoked_at.is_(None), Token.expires_at > at,
               sa.func.coalesce(Account.state, "active") == "active",
               sa.func.coalesce(Member.state, "active") == "active")
    ).one_or_none()  # fmt: skip
    if row is None:
        return None
    if row.used_at is None or row.used_at < at - NOTED:
        session.execute(sa.update(Token).where(Token.id == row.id).values(used_at=at))
    return Holder(
        row.id, row.account_id, row.member_id, row.name, row.language, frozenset(row.roles or ()), frozenset(row.scopes)
    )


def listed(session: Session, *, account_id: int | None = None) -> list[dict[str, Any]]:
    """Every token that the session sees, newest first, without any secret; only those of one account if named."""
    columns = (Token.id, Member.slug.label("member"), Token.label, Account.name.label("holder"), Token.account_id,
               Token.roles, Token.scopes, Token.created_at, Token.expires_at, Token.revoked_at,
               Token.used_at)  # fmt: skip
    query = sa.select(*columns).outerjoin(Member, Member.id == Token.member_id).outerjoin(Account)
    query = query.order_by(Token.id.desc())
    if account_id is not None:
        query = query.where(Token.account_id == account_id)
    return [dict(row) for row in session.execute(query).mappings()]


def see(session: Session, token_id: int) -> None:
    """Raises unknown_token unless the session may see the token."""
    if session.scalar(sa.select(Token.id).where(Token.id == min(token_id, 2**63 - 1))) is None:
        raise _unknown(token_id)


def _unknown(token_id: int) -> NotFound:
    return NotFound("unknown_token", Text("Le jeton {id} n’existe pas.", id=token_id), "Voyez la liste des jetons.")


def revoke(session: Session, token_id: int, at: datetime, *, account_id: int | None = None) -> Token:
    """End a token now; again: no change. Only one of the account's own, if it is named. Raises unknown_token."""
    token = session.get(Token, min(token_id, 2**63 - 1), with_for_update=True)
    if token is None or (account_id is not None and token.account_id != account_id):
        raise _unknown(token_id)
    if token.revoked_at is None:
        token.revoked_at = at
        audit.record(session, "token.revoke", f"token {token.id}", member_id=token.member_id)
    return token
