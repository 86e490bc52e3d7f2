"""The demo's three kinds of people, with passwords made for this run."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime

from orchestrator.database import connect, door_session, territory_session
from orchestrator.settings import Settings
from tenants import invitations, reading
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
    """The IT contact of a commune, the DSI, and finance."""
    return (
        Guest("Claire Morel", f"claire.morel@{member}.example", member, frozenset({"requester", "approver"})),
        Guest("Yann Le Goff", "yann.le.goff@vallombre.example", None, frozenset({"dsi_admin"})),
        Guest("Inès Haddad", "ines.haddad@vallombre.example", None, frozenset({"territory_finance"})),
    )


def make(settings: Settings, guests: tuple[Guest, ...]) -> list[dict[str, str]]:
    """Invite them and accept in their place; e-mail, password and name of each."""
    return [{"name": guest.name, "email": guest.email, "password": _make(settings, guest)} for guest in guests]


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
