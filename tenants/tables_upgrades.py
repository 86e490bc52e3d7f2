"""When members let their applications be upgraded, and the upgrades that are announced to them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from orchestrator.database import Base
from orchestrator.tables import key, now, one_of

PLAN_STATES = ("planned", "started", "done", "failed", "cancelled")
PLAN_OPEN = ("planned", "started")


class MaintenanceWindow(Base):
    """The weekdays (1 Monday to 7) and the hours of local time from which and for how long a member is upgraded."""

    __tablename__ = "maintenance_windows"
    member_id: Mapped[int] = mapped_column(ForeignKey("members.id"), primary_key=True, autoincrement=False)
    weekdays: Mapped[list[Any]]
    hour: Mapped[int]
    hours: Mapped[int]
    changed_by: Mapped[str]
    changed_at: Mapped[datetime] = now()
    __table_args__ = (
        CheckConstraint("hour BETWEEN 0 AND 23 AND hours BETWEEN 1 AND 12", "hours"),
        CheckConstraint("jsonb_array_length(weekdays) BETWEEN 1 AND 7", "weekdays"),
    )


class PlannedUpgrade(Base):
    """An upgrade of a service to a version, which the DSI planned.

    brings: what the versions since the service's own bring, newest first; not_before: the window begins at this instant
    or later; starts_at, ends_at: that window; told_at: when its member was told; postponed_at, reason: the one time it
    was put off; said: the code of what prevented it last.
    """

    __tablename__ = "planned_upgrades"
    id: Mapped[int] = key()
    member_id: Mapped[int] = mapped_column(ForeignKey("members.id"), index=True)
    service_id: Mapped[int] = mapped_column(ForeignKey("services.id"))
    version: Mapped[str]
    brings: Mapped[list[Any]]
    state: Mapped[str] = mapped_column(default="planned", server_default="planned")
    not_before: Mapped[datetime]
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    told_at: Mapped[datetime | None]
    postponed_at: Mapped[datetime | None]
    reason: Mapped[str | None]
    flow_id: Mapped[int | None] = mapped_column(ForeignKey("flows.id"))
    said: Mapped[str | None]
    planned_by: Mapped[str]
    planned_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    __table_args__ = (
        CheckConstraint(one_of("state", PLAN_STATES), "state"),
        CheckConstraint("ends_at > starts_at AND starts_at >= not_before", "window"),
        CheckConstraint("(postponed_at IS NULL) = (reason IS NULL)", "postponed"),
        CheckConstraint(f"({one_of('state', PLAN_OPEN)}) = (ended_at IS NULL)", "ended"),
        Index("uq_planned_upgrades_open", "service_id", unique=True,
              postgresql_where=sa.text(one_of("state", PLAN_OPEN))),
    )  # fmt: skip
