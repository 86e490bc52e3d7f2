"""What VAT follows from: contracts with members, rates, the words of the law, unit costs. Rows are only ever added."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from orchestrator.database import Base
from orchestrator.tables import key, now, one_of
from tenants.tables import REGIMES

TEXTS = (*REGIMES, "terms", "late", "recovery", "discount")


class Contract(Base):
    """What is agreed with a member from the first day of a month on; the newest of a month counts.

    reference: the convention or contract; service_code, engagement: how Chorus Pro routes an invoice, and whether the
    payer insists on them; the address is the member's own, of the territory too.
    """

    __tablename__ = "contracts"
    id: Mapped[int] = key()
    member_id: Mapped[int] = mapped_column(ForeignKey("members.id"))
    since: Mapped[date]
    regime: Mapped[str]
    reference: Mapped[str | None]
    vat_number: Mapped[str | None]
    street: Mapped[str | None]
    postcode: Mapped[str | None]
    city: Mapped[str | None]
    service_code: Mapped[str | None]
    engagement: Mapped[str | None]
    service_required: Mapped[bool] = mapped_column(server_default=sa.false())
    engagement_required: Mapped[bool] = mapped_column(server_default=sa.false())
    made_by: Mapped[str]
    made_at: Mapped[datetime] = now()
    __table_args__ = (
        CheckConstraint(one_of("regime", REGIMES), "regime"),
        CheckConstraint("extract(day FROM since) = 1", "since"),
        CheckConstraint(
            "(service_code IS NOT NULL OR NOT service_required)"
            " AND (engagement IS NOT NULL OR NOT engagement_required)",
            "required",
        ),
        Index("ix_contracts_member_id_since", "member_id", "since"),
    )


class VatRate(Base):
    """The standard rate of VAT, in percent, from a day on. checked_on: when somebody read it in its source."""

    __tablename__ = "vat_rates"
    id: Mapped[int] = key()
    since: Mapped[date]
    rate: Mapped[Decimal] = mapped_column(sa.Numeric(5, 2))
    source: Mapped[str]
    checked_on: Mapped[date | None]
    made_by: Mapped[str]
    made_at: Mapped[datetime] = now()
    __table_args__ = (CheckConstraint("rate > 0 AND rate < 100", "rate"),)


class LegalText(Base):
    """What an account must say from a day on, in French and English: of each regime, and of payment."""

    __tablename__ = "legal_texts"
    id: Mapped[int] = key()
    code: Mapped[str]
    since: Mapped[date]
    text: Mapped[dict[str, Any]]
    source: Mapped[str]
    checked_on: Mapped[date | None]
    made_by: Mapped[str]
    made_at: Mapped[datetime] = now()
    __table_args__ = (CheckConstraint(one_of("code", TEXTS), "code"),)


class UnitCost(Base):
    """What a unit of a meter really costs during one hour, in euros, from the first day of a month on."""

    __tablename__ = "unit_costs"
    id: Mapped[int] = key()
    meter_id: Mapped[int] = mapped_column(ForeignKey("meters.id"))
    since: Mapped[date]
    hourly: Mapped[Decimal] = mapped_column(sa.Numeric(18, 8))
    source: Mapped[str]
    made_by: Mapped[str]
    made_at: Mapped[datetime] = now()
    __table_args__ = (
        CheckConstraint("hourly >= 0", "hourly"),
        CheckConstraint("extract(day FROM since) = 1", "since"),
    )
