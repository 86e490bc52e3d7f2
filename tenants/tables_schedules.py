"""Scheduled snapshots."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from orchestrator.database import Base
from orchestrator.tables import key, now


class SnapshotSchedule(Base):
    """When a service is snapshotted, in local time, and how many of these snapshots are kept.

    weekdays: 1 (Monday) to 7; handled_until: the last due instant that was seen to, whether or not it could be kept.
    """

    __tablename__ = "snapshot_schedules"
    service_id: Mapped[int] = mapped_column(ForeignKey("services.id"), primary_key=True, autoincrement=False)
    member_id: Mapped[int] = mapped_column(ForeignKey("members.id"), index=True)
    hour: Mapped[int]
    weekdays: Mapped[list[Any]]
    daily: Mapped[int]
    weekly: Mapped[int]
    monthly: Mapped[int]
    handled_until: Mapped[datetime]
    changed_by: Mapped[str]
    changed_at: Mapped[datetime] = now()
    __table_args__ = (
        CheckConstraint("hour BETWEEN 0 AND 23", "hour"),
        CheckConstraint("jsonb_array_length(weekdays) BETWEEN 1 AND 7", "weekdays"),
        CheckConstraint("least(daily, weekly, monthly) >= 0 AND daily + weekly + monthly > 0", "kept"),
    )


class ScheduledSnapshot(Base):
    """A snapshot that a schedule asked for: one for each service and due instant, whatever happens."""

    __tablename__ = "scheduled_snapshots"
    id: Mapped[int] = key()
    member_id: Mapped[int] = mapped_column(ForeignKey("members.id"), index=True)
    service_id: Mapped[int] = mapped_column(ForeignKey("services.id"))
    due_at: Mapped[datetime]
    snapshot_id: Mapped[int] = mapped_column(ForeignKey("snapshots.id"), unique=True)
    __table_args__ = (UniqueConstraint("service_id", "due_at"),)
