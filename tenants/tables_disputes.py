"""What members object to in their statements."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import sqlalchemy as sa
from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Index
from sqlalchemy.orm import Mapped, mapped_column

from orchestrator.database import Base
from orchestrator.tables import key, one_of

STATES = ("open", "answered", "settled", "rejected", "withdrawn")
LIVING = STATES[:2]


class Dispute(Base):
    """A member's objection to a line (`position`) of a closed statement, what finance answered and decided.

    amount: euros and cents that settle it, as a line of a later month; quantity: unit-hours that they come from, if
    that is how it was settled.
    """

    __tablename__ = "disputes"
    id: Mapped[int] = key()
    member_id: Mapped[int] = mapped_column(ForeignKey("members.id"))
    statement_id: Mapped[int]
    period_id: Mapped[int]
    position: Mapped[int]
    state: Mapped[str] = mapped_column(server_default="open")
    reason: Mapped[str]
    opened_by: Mapped[str]
    opened_at: Mapped[datetime]
    answer: Mapped[str | None]
    answered_by: Mapped[str | None]
    answered_at: Mapped[datetime | None]
    quantity: Mapped[Decimal | None]
    amount: Mapped[Decimal | None] = mapped_column(sa.Numeric(14, 2))
    decision: Mapped[str | None]
    decided_by: Mapped[str | None]
    decided_at: Mapped[datetime | None]
    __table_args__ = (
        ForeignKeyConstraint(
            ("statement_id", "period_id", "member_id"),
            ("statements.id", "statements.period_id", "statements.member_id"),
        ),
        CheckConstraint(one_of("state", STATES), "state"),
        CheckConstraint(
            f"({one_of('state', LIVING)}) = (decided_at IS NULL) AND (state = 'settled') = (amount IS NOT NULL)"
            " AND (state IN ('settled', 'rejected')) = (decision IS NOT NULL)"
            " AND (quantity IS NULL OR state = 'settled') AND amount <> 0",
            "decided",
        ),
        Index("ix_disputes_member_id", "member_id"),
        Index("ix_disputes_statement_id_position", "statement_id", "position", unique=True,
              postgresql_where=sa.text(one_of("state", LIVING))),
    )  # fmt: skip
