"""Who people are, what they may, and what proves them. A secret is kept only hashed or sealed."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from orchestrator.database import Base
from orchestrator.tables import key, now, one_of

MEMBER_ROLES = ("requester", "approver", "finance")
TERRITORY_ROLES = ("dsi_operator", "dsi_admin", "territory_finance", "auditor")
SCOPES = ("read", "order", "operate", "approve", "finance", "admin")
ACCOUNT_STATES = ("invited", "pending", "active", "closed")
LANGUAGES = ("fr", "en")


class Account(Base):
    """A person. invited: has no way in yet; pending: known by a provider, but of no house that we know."""

    __tablename__ = "accounts"
    id: Mapped[int] = key()
    email: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    language: Mapped[str] = mapped_column(server_default="fr")
    state: Mapped[str] = mapped_column(server_default="invited")
    siret: Mapped[str | None]
    created_at: Mapped[datetime] = now()
    signed_in_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
    __table_args__ = (
        CheckConstraint("email = lower(email) AND email ~ '^[^@[:space:]]+@[^@[:space:]]+$'", "email"),
        CheckConstraint("length(name) BETWEEN 1 AND 100", "name"),
        CheckConstraint(one_of("language", LANGUAGES), "language"),
        CheckConstraint(one_of("state", ACCOUNT_STATES), "state"),
        CheckConstraint("(state = 'closed') = (closed_at IS NOT NULL)", "closed"),
    )


class AccountRole(Base):
    """A role of an account in one house: a member, or (member_id None) the territory."""

    __tablename__ = "account_roles"
    id: Mapped[int] = key()
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"))
    role: Mapped[str]
    member_id: Mapped[int | None] = mapped_column(ForeignKey("members.id"), index=True)
    granted_by: Mapped[str]
    granted_at: Mapped[datetime] = now()
    __table_args__ = (
        UniqueConstraint("account_id", "role", "member_id", postgresql_nulls_not_distinct=True),
        CheckConstraint(
            f"CASE WHEN member_id IS NULL THEN {one_of('role', TERRITORY_ROLES)}"
            f" ELSE {one_of('role', MEMBER_ROLES)} END",
            "role",
        ),
    )


class Credential(Base):
    """What proves an account: an argon2id hash, a sealed TOTP secret and the last time step that was used."""

    __tablename__ = "credentials"
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"), primary_key=True, autoincrement=False)
    password_hash: Mapped[str | None]
    password_set_at: Mapped[datetime | None]
    totp_secret: Mapped[bytes | None]
    totp_since: Mapped[datetime | None]
    totp_step: Mapped[int | None]


class RecoveryCode(Base):
    """Stands in once for a lost TOTP device."""

    __tablename__ = "recovery_codes"
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"), primary_key=True, autoincrement=False)
    digest: Mapped[bytes] = mapped_column(primary_key=True)


class Identity(Base):
    """Who an account is at an OpenID provider."""

    __tablename__ = "identities"
    issuer: Mapped[str] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"), index=True)
    linked_at: Mapped[datetime] = now()


class AccountLink(Base):
    """A mailed link that sets a password once; a newer one takes its place."""

    __tablename__ = "account_links"
    id: Mapped[int] = key()
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"), unique=True)
    digest: Mapped[bytes] = mapped_column(unique=True)
    expires_at: Mapped[datetime]


class Failure(Base):
    """Failed proofs by source: an e-mail address (known or not), or a client's address."""

    __tablename__ = "failures"
    source: Mapped[str] = mapped_column(primary_key=True)
    count: Mapped[int]
    last_at: Mapped[datetime]
    locked_until: Mapped[datetime | None]


class Request(Base):
    """Requests to the API in one minute (since 1970) by who asks: a token's digest, or a client's address."""

    __tablename__ = "requests"
    source: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)  # read, change
    minute: Mapped[int] = mapped_column(index=True)
    count: Mapped[int]


class SignedIn(Base):
    """A session: the cookie holds a random id, we keep its digest. member_id None: it acts for the territory."""

    __tablename__ = "sessions"
    id: Mapped[int] = key()
    digest: Mapped[bytes] = mapped_column(unique=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"), index=True)
    member_id: Mapped[int | None] = mapped_column(ForeignKey("members.id"), index=True)
    csrf: Mapped[str]
    created_at: Mapped[datetime] = now()
    seen_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    address: Mapped[str]
    device: Mapped[str]
    issuer: Mapped[str | None]
    id_token: Mapped[str | None]


class Token(Base):
    """A key to the API: only its SHA-256 is kept. Of an account, or of a machine that has roles of its own.

    member_id None: it speaks for the territory.
    """

    __tablename__ = "tokens"
    id: Mapped[int] = key()
    member_id: Mapped[int | None] = mapped_column(ForeignKey("members.id"), index=True)
    account_id: Mapped[int | None] = mapped_column(ForeignKey("accounts.id"), index=True)
    label: Mapped[str]
    digest: Mapped[bytes] = mapped_column(unique=True)
    roles: Mapped[list[str] | None] = mapped_column(ARRAY(sa.Text))
    scopes: Mapped[list[str]] = mapped_column(ARRAY(sa.Text), server_default="{}")
    created_at: Mapped[datetime] = now()
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    used_at: Mapped[datetime | None]
    __table_args__ = (
        CheckConstraint("(account_id IS NULL) = (roles IS NOT NULL)", "holder"),
        CheckConstraint(f"scopes <@ '{{{','.join(SCOPES)}}}'::text[]", "scopes"),
    )
