"""The demo's people, of a commune and of the agglomeration, with passwords made for this run."""

from __future__ import annotations

import secrets
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime

from orchestrator.database import connect, door_session, territory_session
from orchestrator.settings import Settings
from tenants import accounts, invitations, reading, roles, tokens
from tenants.passwords import Hasher

ACTOR = "démo"


@dataclass(frozen=True)
class Guest:
    """Somebody who may sign in: who, in which member (None: the territory), with which roles."""

    name: str
    email: str
    member: str | None
    roles: frozenset[str]


def cast(member: str) -> tuple[Guest, ...]:
    """Three people of a commune, the DSI, and the finance of the agglomeration."""
    commune = (("Claire Morel", "requester"), ("Paul Tanguy", "approver"), ("Nadia Ferrand", "finance"))
    agglomeration = (("Yann Le Goff", "dsi_admin"), ("Inès Haddad", "territory_finance"))
    return (
        *(Guest(name, _address(name, member), member, frozenset({role})) for name, role in commune),
        *(Guest(name, _address(name, "vallombre"), None, frozenset({role})) for name, role in agglomeration),
    )


def _address(name: str, house: str) -> str:
    bare = unicodedata.normalize("NFD", name.lower()).encode("ascii", "ignore").decode()
    return f"{bare.replace(' ', '.')}@{house}.example"


def make(settings: Settings, guests: tuple[Guest, ...]) -> list[dict[str, str]]:
    """Invite them and accept in their place; e-mail, password, name and role of each."""
    titles = roles.titles()
    return [
        {
            "name": guest.name,
            "email": guest.email,
            "password": _make(settings, guest),
            "role": ", ".join(titles[role]["fr"] for role in sorted(guest.roles)),
        }
        for guest in guests
    ]


def make_token(settings: Settings, guest: Guest, scopes: tuple[str, ...]) -> str:
    """A token of one of them, for a day: what is done with it, the person does."""
    staff, door = connect(settings, "clocher_staff"), connect(settings, "clocher_door")
    with territory_session(staff, ACTOR) as session:
        member_id = reading.member(session, guest.member).id if guest.member else None
    with door_session(door, ACTOR) as session:
        account = accounts.by_email(session, guest.email)
        assert account
        secret = tokens.make(
            session, ACTOR, 1, datetime.now(UTC), member_id=member_id, scopes=scopes, account_id=account.id
        )[1]
    staff.dispose()
    door.dispose()
    return secret


def _make(settings: Settings, guest: Guest) -> str:
    staff, door, at = connect(settings, "clocher_staff"), connect(settings, "clocher_door"), datetime.now(UTC)
    with territory_session(staff, ACTOR) as session:
        member_id = reading.member(session, guest.member).id if guest.member else None
        invited = invitations.invite(session, guest.email, guest.name, "fr", member_id, set(guest.roles), at)
    with door_session(door, ACTOR) as session:  # who was there in an earlier demo gets a new password
        secret = invited.secret or invitations.link(session, invited.account_id, at)
    password = "-".join(secrets.token_hex(2) for _ in range(4))
    invitations.accept(door, Hasher(settings), secret, password, at)
    staff.dispose()
    door.dispose()
    return password
