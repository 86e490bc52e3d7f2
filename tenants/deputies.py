"""Deputies: who decides orders while somebody is away. Told in the audit trail; every decision names both."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.orm import Session, aliased

from orchestrator import audit
from orchestrator.errors import Forbidden, InvalidInput, NotFound
from tenants.approvers import Caller
from tenants.tables_approvals import STEP_ROLES, Deputy
from tenants.tables_identity import Account, AccountRole

ROLES = tuple(role for roles in STEP_ROLES.values() for role in roles)


def appoint(
    session: Session, who: Caller, account_id: int, deputy_id: int, role: str, begins: datetime, ends: datetime | None
) -> Deputy:
    """Let `deputy_id` decide in place of `account_id` in a role, from one instant to another, in the house of `who`.

    One appoints one's own deputy; an approver (or a DSI admin) also somebody else's, who may be ill. Both must have a
    role in the house, and the one replaced must hold `role`. Raises Forbidden, InvalidInput invalid_deputy or
    invalid_period.
    """
    house = who.member_id
    if who.account_id != account_id and who.roles.isdisjoint({"approver", "dsi_admin"}):
        raise Forbidden("not_yours", "Vous ne pouvez désigner que votre propre suppléant.", "Adressez-vous à lui.")
    if ends is not None and ends <= begins:
        raise InvalidInput("invalid_period", "La fin doit suivre le début.", "Corrigez les dates.")
    held = _roles(session, account_id, house)
    if role not in ROLES or role not in held or account_id == deputy_id or not _roles(session, deputy_id, house):
        raise InvalidInput(
            "invalid_deputy",
            "On remplace une personne qui a ce rôle, par une autre de la même collectivité.",
            "Choisissez deux personnes d’ici.",
        )
    made = Deputy(
        account_id=account_id, deputy_id=deputy_id, role=role, member_id=house, during=Range(begins, ends),
        made_by=session.info["actor"],
    )  # fmt: skip
    session.add(made)
    session.flush()
    _record(session, "deputy.appoint", made)
    return made


def _roles(session: Session, account_id: int, house: int | None) -> set[str]:
    return set(
        session.scalars(
            sa.select(AccountRole.role)
            .join(Account, Account.id == AccountRole.account_id)
            .where(
                AccountRole.account_id == account_id,
                AccountRole.member_id.is_not_distinct_from(house),
                Account.state == "active",
            )
        )
    )


def end(session: Session, who: Caller, deputy_row_id: int, at: datetime) -> None:
    """End a replacement now; one that was to begin later never begins. Raises not_found or Forbidden."""
    found = session.get(Deputy, min(deputy_row_id, 2**63 - 1), with_for_update=True, populate_existing=True)
    if found is None or found.member_id != who.member_id:
        raise NotFound("not_found", "Cette suppléance n’existe pas, ou n’est pas d’ici.", "Revenez à la liste.")
    if who.account_id not in (found.account_id, found.deputy_id) and who.roles.isdisjoint({"approver", "dsi_admin"}):
        raise Forbidden("not_yours", "Cette suppléance n’est pas la vôtre.", "Adressez-vous aux intéressés.")
    begins, ends = found.during.lower, found.during.upper
    assert begins
    if ends is not None and ends <= at:
        return
    found.during = Range(begins, at) if begins < at else Range(empty=True)
    session.flush()
    _record(session, "deputy.end", found)


def listed(session: Session, member_id: int | None, at: datetime) -> list[dict[str, Any]]:
    """Those of one house that last or are to come: id, account_id, name, deputy_id, deputy, role, begins, ends."""
    principal, deputy = aliased(Account), aliased(Account)
    rows = session.execute(
        sa.select(Deputy, principal.name.label("name"), deputy.name.label("deputy"))
        .join(principal, principal.id == Deputy.account_id)
        .join(deputy, deputy.id == Deputy.deputy_id)
        .where(
            Deputy.member_id.is_not_distinct_from(member_id),
            sa.not_(sa.func.isempty(Deputy.during)),
            sa.func.coalesce(sa.func.upper(Deputy.during) > at, sa.true()),
        )
        .order_by(Deputy.id)
    )
    return [
        {
            **{column: getattr(row.Deputy, column) for column in ("id", "account_id", "deputy_id", "role")},
            "name": row.name,
            "deputy": row.deputy,
            "begins": row.Deputy.during.lower,
            "ends": row.Deputy.during.upper,
        }
        for row in rows
    ]


def _record(session: Session, action: str, row: Deputy) -> None:
    detail = {"account": row.account_id, "deputy": row.deputy_id, "role": row.role}
    audit.record(session, action, f"deputy {row.id}", member_id=row.member_id, detail=detail)
