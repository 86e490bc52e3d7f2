"""Who is signed in. The browser holds a random id, we its digest: a copy of the table opens nothing."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.orm import Session

from orchestrator import audit
from orchestrator.errors import NotFound
from orchestrator.tables import Member
from tenants import accounts
from tenants.tables_identity import Account, AccountRole, SignedIn

NOTED = timedelta(minutes=1)  # "last seen" is written at most so often


@dataclass(frozen=True)
class Known:
    """Whom a living session belongs to and what it acts for; member_id None: the territory, if there are roles.

    houses: (member_id, name) of all that it could act for, the territory as (None, None).
    """

    session_id: int
    account_id: int
    name: str
    language: str
    csrf: str
    member_id: int | None
    roles: frozenset[str]
    houses: tuple[tuple[int | None, str | None], ...]


def digest(secret: str) -> bytes:
    """What is kept of a session's id. It has 256 random bits: a slow hash would add nothing."""
    return hashlib.sha256(secret.encode()).digest()


def start(
    session: Session,
    account: Account,
    at: datetime,
    hours: int,
    *,
    address: str,
    device: str,
    issuer: str | None = None,
    id_token: str | None = None,
) -> str:
    """Begin a session that ends after `hours` at the latest; the secret that the browser keeps.

    issuer, id_token: of the OpenID provider that vouched, needed to sign out there too.
    """
    secret = secrets.token_urlsafe(32)
    places = accounts.places(session, account.id)
    session.execute(sa.delete(SignedIn).where(SignedIn.expires_at < at))
    session.add(
        SignedIn(
            digest=digest(secret), account_id=account.id, member_id=places[0].member_id if places else None,
            csrf=secrets.token_urlsafe(24), seen_at=at, expires_at=at + timedelta(hours=hours), address=address[:45],
            device=device[:300], issuer=issuer, id_token=id_token,
        )
    )  # fmt: skip
    account.signed_in_at = at
    audit.record(session, "account.sign_in", f"account {account.id}", detail={"address": address})
    return secret


def find(session: Session, secret: str, at: datetime, idle: timedelta, *, active: bool = True) -> Known | None:
    """Whose session `secret` is, unless it is unknown, ended, idle for too long, or of a closed account.

    active: the request was a person's, not a page's that polls by itself; only a person keeps a session alive.
    """
    row = session.execute(FIND, {"digest": digest(secret), "at": at, "awake": at - idle}).one_or_none()
    if row is None:
        return None
    if active and row.seen_at < at - NOTED:
        session.execute(sa.update(SignedIn).where(SignedIn.id == row.id).values(seen_at=at))
    held = row.held or []
    return Known(
        session_id=row.id,
        account_id=row.account_id,
        name=row.name,
        language=row.language,
        csrf=row.csrf,
        member_id=row.member_id,
        roles=frozenset(role for role, member_id, _ in held if member_id == row.member_id),
        houses=tuple(dict.fromkeys((member_id, name) for _, member_id, name in held)),
    )


def _held() -> sa.ScalarSelect[Any]:
    """[role, member's id, member's name] of everything that the session's account holds; nothing in closed members."""
    return (
        sa.select(
            sa.func.jsonb_agg(
                aggregate_order_by(
                    sa.func.jsonb_build_array(AccountRole.role, AccountRole.member_id, Member.name),
                    Member.name.asc().nulls_first(),
                )
            )
        )
        .select_from(AccountRole)
        .outerjoin(Member, Member.id == AccountRole.member_id)
        .where(AccountRole.account_id == SignedIn.account_id, sa.func.coalesce(Member.state, "active") == "active")
        .scalar_subquery()
    )


# Built once: every page asks.
AT = sa.bindparam("at", type_=sa.TIMESTAMP(timezone=True))
FIND = (
    sa.select(
        SignedIn.id, SignedIn.account_id, SignedIn.member_id, SignedIn.csrf, SignedIn.seen_at, Account.name,
        Account.language, _held().label("held"),
    )
    .join(Account, Account.id == SignedIn.account_id)
    .where(
        SignedIn.digest == sa.bindparam("digest"),
        SignedIn.expires_at > AT,
        SignedIn.seen_at > sa.bindparam("awake", type_=sa.TIMESTAMP(timezone=True)),
        Account.state.in_(("active", "pending")),
    )
)  # fmt: skip


def act_for(session: Session, known: Known, member_id: int | None) -> str:
    """Act for another house from now on; the session's new secret. Raises not_found where the account has no role."""
    if member_id not in {house for house, _ in known.houses}:
        raise NotFound("not_found", "Cela n’existe pas, ou n’est pas à vous.", "Choisissez l’une de vos collectivités.")
    session.execute(sa.update(SignedIn).where(SignedIn.id == known.session_id).values(member_id=member_id))
    audit.record(session, "account.act_for", f"account {known.account_id}", member_id=member_id)
    return renew(session, known.session_id)


def renew(session: Session, session_id: int) -> str:
    """Give a session a new secret and a new form word: whoever knew the old ones knows nothing any more."""
    secret = secrets.token_urlsafe(32)
    fresh = {"digest": digest(secret), "csrf": secrets.token_urlsafe(24)}
    session.execute(sa.update(SignedIn).where(SignedIn.id == session_id).values(**fresh))
    return secret


def listed(session: Session, account_id: int, at: datetime, idle: timedelta) -> list[dict[str, Any]]:
    """An account's living sessions, last seen first: id, since when, last seen, from which address and device."""
    columns = (SignedIn.id, SignedIn.created_at, SignedIn.seen_at, SignedIn.expires_at, SignedIn.address,
               SignedIn.device)  # fmt: skip
    query = sa.select(*columns).where(
        SignedIn.account_id == account_id, SignedIn.expires_at > at, SignedIn.seen_at > at - idle
    )
    return [dict(row) for row in session.execute(query.order_by(SignedIn.seen_at.desc())).mappings()]


def end(session: Session, account_id: int, session_id: int) -> SignedIn:
    """End one session of an account; as it was. Raises not_found."""
    found = session.scalar(
        sa.select(SignedIn).where(SignedIn.id == min(session_id, 2**63 - 1), SignedIn.account_id == account_id)
    )
    if found is None:
        raise NotFound("not_found", "Cette session n’existe pas, ou n’est pas à vous.", "Revenez à votre compte.")
    session.delete(found)
    audit.record(session, "account.sign_out", f"account {account_id}", detail={"session": session_id})
    return found


def end_others(session: Session, account_id: int, keep: int | None) -> None:
    """End every session of an account, but `keep` if one is named."""
    query = sa.delete(SignedIn).where(SignedIn.account_id == account_id)
    session.execute(query if keep is None else query.where(SignedIn.id != keep))
