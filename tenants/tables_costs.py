"""What each day cost, for pages that must be quick."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

import sqlalchemy as sa
from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from orchestrator.database import Base


class CostDay(Base):
    """What a member's use of a meter cost on a local day, in euros: its services' lines, rounded as statements are.

    until: the instant to which the day was counted; ahead: what the rest of the month would then cost if nothing
    changed, on the last day counted (else zero).
    """

    __tablename__ = "cost_days"
    member_id: Mapped[int] = mapped_column(ForeignKey("members.id"), primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    meter_id: Mapped[int] = mapped_column(ForeignKey("meters.id"), primary_key=True)
    amount: Mapped[Decimal] = mapped_column(sa.Numeric(14, 2))
    ahead: Mapped[Decimal] = mapped_column(sa.Numeric(14, 2), server_default="0")
    until: Mapped[datetime]
    __table_args__ = (Index("ix_cost_days_day", "day"),)


class CostService(Base):
    """What a service costs in the month of `until`, the instant to which it was counted; ahead: as of CostDay."""

    __tablename__ = "cost_services"
    service_id: Mapped[int] = mapped_column(ForeignKey("services.id"), primary_key=True)
    member_id: Mapped[int] = mapped_column(ForeignKey("members.id"))
    amount: Mapped[Decimal] = mapped_column(sa.Numeric(14, 2))
    ahead: Mapped[Decimal] = mapped_column(sa.Numeric(14, 2))
    until: Mapped[datetime]
    __table_args__ = (
        Index("ix_cost_services_member_id", "member_id"),
        {"postgresql_with": {"fillfactor": 50}},  # every row is written again every few minutes: in its own page
    )
