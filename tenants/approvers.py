"""Who may decide a step of an order: those who hold its role, their deputies, and the DSI when nobody else can."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator.errors import Forbidden
from tenants.tables import Order
from tenants.tables_approvals import STEP_ROLES, Approval, Deputy
from tenants.tables_identity import Account, AccountRole

PERSON = re.compile(r"account (\d+) \(")  # how the audit trail names a person, with or without a token


class Caller(Protocol):
    """Who asks: `api.auth.Caller`, or Desk. member_id None: for the territory; account_id None: a machine."""

    @property
    def actor(self) -> str: ...
    @property
    def account_id(self) -> int | None: ...
    @property
    def member_id(self) -> int | None: ...
    @property
    def roles(self) -> frozenset[str]: ...


@dataclass(frozen=True)
class Desk:
    """Whoever sits at the command line of the installation: the DSI."""

    actor: str
    account_id: int | None = None
    member_id: int | None = None
    roles: frozenset[str] = frozenset(STEP_ROLES["dsi"])


@dataclass(frozen=True)
class Person:
    """A living account, and where to write to it."""

    id: int
    name: str
    email: str
    language: str


@dataclass(frozen=True)
class Right:
    """By what right somebody decides: his own role, in place of a person, or because nobody holds the role."""

    instead_of: Person | None = None
    escalated: bool = False


def _person(account: Account) -> Person:
    return Person(account.id, account.name, account.email, account.language)


def account_of(actor: str) -> int | None:
    """The account behind a name in the audit trail; None for a machine."""
    found = PERSON.match(actor)
    return int(found[1]) if found else None


@dataclass(frozen=True)
class Directory:
    """Who holds which role in which house (role, member's id or None) at an instant, and who stands in for whom."""

    holders: dict[tuple[str, int | None], tuple[Person, ...]]
    deputies: tuple[tuple[int, int | None, str, Person], ...]  # principal's id, member, role, deputy

    @classmethod
    def read(cls, session: Session, member_ids: Collection[int], at: datetime) -> Directory:
        """Of these members and the territory, as far as the session sees them. Two queries."""
        held: dict[tuple[str, int | None], list[Person]] = {}
        for row in session.execute(
            sa.select(AccountRole.role, AccountRole.member_id, Account)
            .join(Account, Account.id == AccountRole.account_id)
            .where(Account.state == "active", AccountRole.member_id.in_(member_ids) | AccountRole.member_id.is_(None))
            .order_by(Account.name, Account.id)
        ):
            held.setdefault((row.role, row.member_id), []).append(_person(row.Account))
        standing = session.execute(
            sa.select(Deputy.account_id, Deputy.member_id, Deputy.role, Account)
            .join(Account, Account.id == Deputy.deputy_id)
            .where(
                Account.state == "active",
                Deputy.member_id.in_(member_ids) | Deputy.member_id.is_(None),
                Deputy.during.contains(at),
            )
            .order_by(Account.name, Account.id)
        )
        return cls(
            {key: tuple(people) for key, people in held.items()},
            tuple((row.account_id, row.member_id, row.role, _person(row.Account)) for row in standing),
        )

    def may(self, who: Caller, approval: Approval, order: Order) -> Right:
        """By what right `who` decides. Raises Forbidden own_order or not_yours."""
        if is_own(who, order) and not approval.rules["own"]:
            raise Forbidden("own_order", "Vous ne pouvez pas valider votre propre commande.", "Un autre doit le faire.")
        house = None if approval.step == "dsi" else order.member_id
        if who.member_id == house and not who.roles.isdisjoint(STEP_ROLES[approval.step]):
            return Right()
        principal = self._stands_in_for(who, approval, house)
        if principal is not None:
            return Right(instead_of=principal)
        escalated = who.member_id is None and not self.able(approval, order)
        if escalated and not who.roles.isdisjoint(STEP_ROLES["dsi"]):
            return Right(escalated=True)
        raise Forbidden(
            "not_yours", "Cette étape n’est pas à vous : une autre personne en décide.", "Voyez qui sur la commande."
        )

    def _stands_in_for(self, who: Caller, approval: Approval, house: int | None) -> Person | None:
        if who.account_id is None or who.member_id != house or not approval.rules["deputies"]:
            return None
        for principal, member_id, role, deputy in self.deputies:
            if deputy.id == who.account_id and member_id == house and role in STEP_ROLES[approval.step]:
                # Nobody hands on what he does not hold any more.
                for person in self.holders.get((role, house), ()):
                    if person.id == principal:
                        return person
        return None

    def able(self, approval: Approval, order: Order) -> list[Person]:
        """Those who can decide the step by their role or as deputies; empty: it goes to the DSI."""
        house = None if approval.step == "dsi" else order.member_id
        roles = STEP_ROLES[approval.step]
        principals = [person for role in roles for person in self.holders.get((role, house), ())]
        held = {person.id for person in principals}
        standing = [
            deputy
            for principal, member_id, role, deputy in self.deputies
            if approval.rules["deputies"] and member_id == house and role in roles and principal in held
        ]
        own = None if approval.rules["own"] else account_of(order.placed_by)
        return [person for person in _once([*principals, *standing]) if person.id != own]

    def deciders(self, approval: Approval, order: Order) -> list[Person]:
        """Those to tell that a step waits: who can decide it, else the DSI."""
        return self.able(approval, order) or _once(
            person for role in STEP_ROLES["dsi"] for person in self.holders.get((role, None), ())
        )


def _once(people: Iterable[Person]) -> list[Person]:
    return list({person.id: person for person in people}.values())


def is_own(who: Caller, order: Order) -> bool:
    """Whether `who` placed the order. The installation's desk and the DSI's machines speak for many: never."""
    if who.account_id is not None:
        return account_of(order.placed_by) == who.account_id
    return who.member_id is not None and who.actor == order.placed_by
