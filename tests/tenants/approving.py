"""What tests of approvals begin with: people with roles, a policy, orders that wait."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from orchestrator.database import member_session, territory_session
from tenants import orders, policy
from tenants.tables import Order
from tenants.tables_identity import Account, AccountRole
from tests.tenants.ordering import NOW, wish

ALL = {"fr": "Tout", "en": "All"}


@dataclass(frozen=True)
class Caller:
    """A person who asks, as the doors describe one."""

    account_id: int
    name: str
    member_id: int | None
    roles: frozenset[str]

    @property
    def actor(self) -> str:
        return f"account {self.account_id} ({self.name})"


def person(owner: sa.Engine, name: str, member_id: int | None, *roles: str, language: str = "fr") -> Caller:
    """An active account with roles in one house."""
    with territory_session(owner, "tests") as session:
        account = Account(email=f"{name}@vallombre.example", name=name.title(), state="active", language=language)
        session.add(account)
        session.flush()
        for role in roles:
            session.add(AccountRole(account_id=account.id, role=role, member_id=member_id, granted_by="tests"))
    return Caller(account.id, account.name, member_id, frozenset(roles))


def adopt(owner: sa.Engine, *steps: str, **rules: Any) -> None:
    """Put in force that every order needs these steps; `rules`: step → what differs from the default."""
    document = {"rules": [{"name": ALL, "steps": list(steps)}], "steps": rules}
    with territory_session(owner, "tests") as session:
        policy.adopt(session, policy.draft(session, document, NOW).version, NOW)


def place(web: sa.Engine, who: Caller, name: str = "web", offer: str = "vm-small") -> Order:
    """Order something as a person of a member."""
    assert who.member_id is not None
    with member_session(web, who.member_id, who.actor) as session:
        return orders.place(session, who.member_id, offer, wish(name), str(uuid.uuid4()), NOW)
