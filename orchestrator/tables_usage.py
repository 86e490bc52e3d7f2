"""What applications count of their trade."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import sqlalchemy as sa
from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from orchestrator.database import Base
from orchestrator.tables import key

OLDEST = "oldest_days"  # for every stack the same: how old, in days, the oldest is that it keeps for a limited time


def code(slug: str, meter: str) -> str:
    """What a stack's meter is called among all: `library_records`."""
    return f"{slug.replace('-', '_')}_{meter}"


class MeterSample(Base):
    """A count at an instant, as the play `usage` gave it back; it holds until the next one. Append-only.

    meter: the whole code, with the stack's name before it (`library_records`).
    """

    __tablename__ = "meter_samples"
    id: Mapped[int] = key()
    member_id: Mapped[int] = mapped_column(ForeignKey("members.id"), index=True)
    service_id: Mapped[int] = mapped_column(ForeignKey("services.id"))
    meter: Mapped[str]
    quantity: Mapped[Decimal] = mapped_column(sa.Numeric())
    at: Mapped[datetime]
    flow_id: Mapped[int | None] = mapped_column(ForeignKey("flows.id"))
    __table_args__ = (
        UniqueConstraint("service_id", "meter", "at"),
        CheckConstraint("quantity >= 0", "positive"),
        Index("ix_meter_samples_at", "at"),
    )
