"""Who must agree to an order, who did, and who stands in for whom."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.dialects.postgresql import TSTZRANGE, Range
from sqlalchemy.orm import Mapped, mapped_column

from orchestrator.database import Base
from orchestrator.tables import key, now, one_of

STEPS = ("approver", "finance", "dsi")
APPROVAL_STATES = ("waiting", "granted", "refused", "skipped", "expired")
POLICY_STATES = ("draft", "adopted", "replaced", "discarded")
# Whose yes a step wants: roles in the member's house, or in the territory's.
STEP_ROLES = {"approver": ("approver",), "finance": ("finance",), "dsi": ("dsi_operator", "dsi_admin")}


class PolicyVersion(Base):
    """A version of the approval rules; `document` as `tenants.policy.Policy` reads it. One is adopted at a time."""

    __tablename__ = "policies"
    id: Mapped[int] = key()
    version: Mapped[int] = mapped_column(unique=True)
    state: Mapped[str] = mapped_column(server_default="draft")
    document: Mapped[dict[str, Any]]
    made_by: Mapped[str]
    made_at: Mapped[datetime]
    decided_by: Mapped[str | None]
    decided_at: Mapped[datetime | None]
    __table_args__ = (
        CheckConstraint(one_of("state", POLICY_STATES), "state"),
        CheckConstraint("(state = 'draft') = (decided_at IS NULL)", "decided"),
        Index("uq_policies_adopted", "state", unique=True, postgresql_where=sa.text("state = 'adopted'")),
    )


class Approval(Base):
    """One step of an order's chain. Present is the one that waits and was opened; it must be decided before `due_at`.

    rules: the step's rules when the order was placed (a later policy changes nothing for it); account_id: who decided;
    instead_of: for whom, when a deputy did.
    """

    __tablename__ = "approvals"
    id: Mapped[int] = key()
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"))
    member_id: Mapped[int] = mapped_column(ForeignKey("members.id"), index=True)
    position: Mapped[int]
    step: Mapped[str]
    state: Mapped[str] = mapped_column(server_default="waiting")
    policy_version: Mapped[int]
    rules: Mapped[dict[str, Any]]
    opened_at: Mapped[datetime | None]
    due_at: Mapped[datetime | None]
    reminded_at: Mapped[datetime | None]
    decided_by: Mapped[str | None]
    account_id: Mapped[int | None] = mapped_column(ForeignKey("accounts.id"))
    instead_of: Mapped[int | None] = mapped_column(ForeignKey("accounts.id"))
    decided_at: Mapped[datetime | None]
    reason: Mapped[str | None]
    engagement_number: Mapped[str | None]
    budget_line: Mapped[str | None]
    __table_args__ = (
        UniqueConstraint("order_id", "position"),
        CheckConstraint(one_of("step", STEPS), "step"),
        CheckConstraint(one_of("state", APPROVAL_STATES), "state"),
        CheckConstraint("(opened_at IS NULL) = (due_at IS NULL)", "opened"),
        CheckConstraint(
            "(state IN ('granted', 'refused')) = (decided_by IS NOT NULL)"
            " AND (state = 'waiting') = (decided_at IS NULL)",
            "decided",
        ),
        CheckConstraint("state <> 'refused' OR reason IS NOT NULL", "reason"),
        Index("uq_approvals_present", "order_id", unique=True,
              postgresql_where=sa.text("state = 'waiting' AND opened_at IS NOT NULL")),
    )  # fmt: skip


class Deputy(Base):
    """While `during` lasts, `deputy_id` may decide what `account_id` may decide in a role; member_id None: the DSI."""

    __tablename__ = "deputies"
    id: Mapped[int] = key()
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"))
    deputy_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"), index=True)
    role: Mapped[str]
    member_id: Mapped[int | None] = mapped_column(ForeignKey("members.id"), index=True)
    during: Mapped[Range[datetime]] = mapped_column(TSTZRANGE)
    made_by: Mapped[str]
    made_at: Mapped[datetime] = now()
    __table_args__ = (
        CheckConstraint(
            "CASE WHEN member_id IS NULL THEN role IN ('dsi_operator', 'dsi_admin')"
            " ELSE role IN ('approver', 'finance') END",
            "role",
        ),
        CheckConstraint("account_id <> deputy_id", "other"),
    )
