"""How guests compare with their plays."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from orchestrator.database import Base
from orchestrator.tables import one_of

DRIFT_STATES = ("same", "differs", "unknown")


class Drift(Base):
    """A guest and its play, as they were last compared. Only `orchestrator.drift` writes it.

    state: `unknown` as long as no comparison went well. differences: what the play would change, as
    `orchestrator.differences.Difference` has it; since: when the first of these was first seen. compared_at: when that
    was found out; tried_at: when it was last to be found out, later than that when it did not go well.
    """

    __tablename__ = "drifts"
    service_id: Mapped[int] = mapped_column(ForeignKey("services.id"), primary_key=True, autoincrement=False)
    member_id: Mapped[int] = mapped_column(ForeignKey("members.id"))
    state: Mapped[str]
    differences: Mapped[list[Any]]
    since: Mapped[datetime | None]
    compared_at: Mapped[datetime | None]
    tried_at: Mapped[datetime]
    __table_args__ = (
        CheckConstraint(one_of("state", DRIFT_STATES), "state"),
        CheckConstraint("(state = 'differs') = (jsonb_array_length(differences) > 0)", "differences"),
        CheckConstraint("(state = 'differs') = (since IS NOT NULL)", "since"),
        CheckConstraint("(state = 'unknown') = (compared_at IS NULL)", "compared"),
        Index("ix_drifts_member_id", "member_id"),
    )
