"""People: who they are, which roles they hold where, and how they leave."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import idna
import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator import audit
from orchestrator.errors import Conflict, InvalidInput, NotFound, Text
from orchestrator.tables import Member
from tenants.tables_identity import LANGUAGES, MEMBER_ROLES, TERRITORY_ROLES, Account, AccountRole

ADMINS = 0x61646D696E  # advisory lock on who the administrators are
# What a browser takes as an e-mail address (HTML, "valid email address"), with a domain that has a dot.
EMAIL = re.compile(r"[a-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@(?=.{4,250}$)([a-z0-9](-*[a-z0-9]){0,62}\.)+[a-z0-9-]{2,60}")


@dataclass(frozen=True)
class Place:
    """A house where an account holds roles; member_id, slug and name are None for the territory."""

    member_id: int | None
    slug: str | None
    name: str | None
    roles: frozenset[str]


def normal(email: str) -> str:
    """An e-mail address as we keep it: in lower case, a domain with accents in its ASCII form (xn--…).

    Before the @ it is ASCII: browsers' fields and many mail servers take nothing else.
    Raises email_not_ascii, invalid_email.
    """
    found = written(email)
    if not found.rpartition("@")[0].isascii():
        raise InvalidInput(
            "email_not_ascii",
            "Une adresse électronique n’a avant le « @ » ni accent ni autre lettre que a-z.",
            "Donnez une adresse sans accent, que tous les serveurs de messagerie acceptent.",
        )
    if not EMAIL.fullmatch(found):
        raise InvalidInput("invalid_email", "Cette adresse électronique n’est pas valable.", "Vérifiez-la.")
    return found


def written(email: str) -> str:
    """An e-mail address in one writing, however it was typed: in lower case, its domain in ASCII. Not checked."""
    local, _, domain = email.strip().lower().rpartition("@")
    return f"{local}@{_in_ascii(domain)}"


def _in_ascii(domain: str) -> str:
    """A domain as mail servers know it; as it was given when it can't be one."""
    try:
        return domain if domain.isascii() else idna.encode(domain, uts46=True).decode()
    except idna.IDNAError:
        return domain


def find(session: Session, account_id: int, *, lock: bool = False) -> Account:
    """One account that the session may see. Raises not_found."""
    found = session.get(Account, min(account_id, 2**63 - 1), with_for_update=lock, populate_existing=lock)
    if found is None:
        raise NotFound("not_found", "Ce compte n’existe pas, ou n’est pas à vous.", "Revenez à la liste.")
    return found


def by_email(session: Session, email: str) -> Account | None:
    """The account with this e-mail address, if the session may see one; one from before `normal`'s rule too."""
    found = email.strip().lower()
    query = sa.select(Account).where(Account.email.in_((written(email), found))).order_by(Account.email == found)
    return session.scalar(query.limit(1))


def places(session: Session, account_id: int) -> list[Place]:
    """Where an account holds roles: the territory first, then its members by name; closed members are left out."""
    rows = session.execute(
        sa.select(AccountRole.role, AccountRole.member_id, Member.slug, Member.name)
        .outerjoin(Member, Member.id == AccountRole.member_id)
        .where(AccountRole.account_id == account_id, sa.func.coalesce(Member.state, "active") == "active")
        .order_by(Member.name.asc().nulls_first())
    ).all()
    houses = {row.member_id: (row.slug, row.name) for row in rows}
    return [
        Place(member_id, slug, name, frozenset(row.role for row in rows if row.member_id == member_id))
        for member_id, (slug, name) in houses.items()
    ]


def set_roles(
    session: Session, account_id: int, member_id: int | None, wanted: set[str], *, adding: bool = False
) -> None:
    """Give an account exactly `wanted` in one house (adding: besides what it holds there already).

    Without any role left it loses sessions and tokens there at once.

    Raises not_found, invalid_role, account_closed, last_admin.
    """
    if not wanted <= set(MEMBER_ROLES if member_id else TERRITORY_ROLES):
        raise InvalidInput("invalid_role", "Ce rôle n’existe pas ici.", "Choisissez parmi les rôles proposés.")
    account = session.get(Account, account_id)
    if account is not None and account.state == "closed":
        raise Conflict("account_closed", "Ce compte est fermé.", "Invitez la personne à nouveau.")
    here = sa.and_(AccountRole.account_id == account_id, AccountRole.member_id.is_not_distinct_from(member_id))
    held = set(session.scalars(sa.select(AccountRole.role).where(here)))
    wanted = wanted | held if adding else wanted
    if held == wanted:
        return
    if "dsi_admin" in held - wanted:
        _keep_an_admin(session, account_id)
    given = {"account_id": account_id, "member_id": member_id, "granted_by": session.info["actor"]}
    for role in sorted(wanted - held):
        session.execute(sa.insert(AccountRole).values(role=role, **given))
    session.execute(sa.delete(AccountRole).where(here, AccountRole.role.in_(held - wanted)))
    detail = {"given": sorted(wanted - held), "withdrawn": sorted(held - wanted)}
    audit.record(session, "account.roles", f"account {account_id}", member_id=member_id, detail=detail)


def close(session: Session, account_id: int, at: datetime) -> None:
    """The person leaves: roles, sessions, tokens and proofs end at once; what was ordered stays. Territory only."""
    account = find(session, account_id)
    if account.state == "closed":
        return
    _keep_an_admin(session, account_id)
    account.state, account.closed_at = "closed", at  # the database takes the rest away
    session.flush()
    audit.record(session, "account.close", f"account {account_id}")


def _keep_an_admin(session: Session, leaving: int) -> None:
    """An installation that nobody can administer any more would be locked for good."""
    session.execute(sa.select(sa.func.pg_advisory_xact_lock(ADMINS)))  # two that leave at once wait for each other
    admins = set(session.scalars(sa.select(AccountRole.account_id).where(AccountRole.role == "dsi_admin")))
    if leaving in admins and len(admins) == 1:
        raise Conflict(
            "last_admin", "C’est le dernier administrateur de la DSI.", "Donnez d’abord ce rôle à quelqu’un d’autre."
        )


def rename(session: Session, account_id: int, name: str, language: str) -> None:
    """Change how an account is called and in which language it is spoken to. Raises invalid_name, invalid_language."""
    account = find(session, account_id)
    if not 0 < len(name.strip()) <= 100 or not name.isprintable():
        raise InvalidInput("invalid_name", "Le nom doit avoir de 1 à 100 caractères.", "Corrigez-le.")
    if language not in LANGUAGES:
        raise InvalidInput("invalid_language", Text("La langue « {code} » n’existe pas.", code=language), "fr ou en.")
    account.name, account.language = name.strip(), language
    session.flush()
    audit.record(session, "account.rename", f"account {account_id}")


def listed(session: Session, member_id: int | None = None, *, everybody: bool = False) -> list[dict[str, Any]]:
    """People by name, with their roles in one house; everybody: in all houses that the session sees.

    Each row: id, email, name, language, state, siret, created_at, signed_in_at, roles (list of {role, member}).
    """
    query = sa.select(Account).order_by(Account.name, Account.id)
    here = AccountRole.member_id.is_not_distinct_from(member_id)
    if not everybody:
        query = query.where(Account.id.in_(sa.select(AccountRole.account_id).where(here)))
    roles = sa.select(AccountRole.account_id, AccountRole.role, Member.slug).outerjoin(
        Member, Member.id == AccountRole.member_id
    )
    held: dict[int, list[dict[str, Any]]] = {}
    for row in session.execute(roles if everybody else roles.where(here)):
        held.setdefault(row.account_id, []).append({"role": row.role, "member": row.slug})
    columns = ("id", "email", "name", "language", "state", "siret", "created_at", "signed_in_at")
    return [
        {**{name: getattr(one, name) for name in columns}, "roles": held.get(one.id, [])}
        for one in session.scalars(query)
    ]


def pending(session: Session) -> list[dict[str, Any]]:
    """Who signed in through a provider and waits for a role: id, email, name, siret, created_at, and the member's name.

    A member sees those whose SIRET is of its own legal unit.
    """
    columns = (Account.id, Account.email, Account.name, Account.siret, Account.created_at, Member.name.label("member"))
    query = sa.select(*columns).outerjoin(Member, Member.siren == sa.func.left(Account.siret, 9))
    rows = session.execute(query.where(Account.state == "pending").order_by(Account.created_at))
    return list({row["id"]: dict(row) for row in rows.mappings()}.values())
