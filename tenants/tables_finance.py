"""What the platform really costs, entry by entry, and how each member pays. Money is NUMERIC, in euros."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

import sqlalchemy as sa
from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.dialects.postgresql import DATERANGE, ExcludeConstraint, Range
from sqlalchemy.orm import Mapped, mapped_column

from orchestrator.database import Base
from orchestrator.tables import key, now, one_of
from tenants.tables import BILLING, same

KINDS = ("supplier", "depreciation", "energy", "staff")
MODELS = ("iaas", "paas", "saas")


class CostEntry(Base):
    """One cost as finance books it: `amount` euros in all, spread evenly over `months` months from `starts` on.

    pool: the code of the common cost that it is part of; None: covered by prices. dated: of the invoice, or of the
    commissioning; ends: the first day from which no month gets a part any more.
    """

    __tablename__ = "cost_entries"
    id: Mapped[int] = key()
    kind: Mapped[str]
    pool: Mapped[str | None]
    label: Mapped[str]
    account: Mapped[str]
    section: Mapped[str]
    dated: Mapped[date]
    starts: Mapped[date]
    months: Mapped[int]
    amount: Mapped[Decimal] = mapped_column(sa.Numeric(14, 2))
    prorata: Mapped[bool] = mapped_column(server_default=sa.false())
    supplier: Mapped[str | None]
    reference: Mapped[str | None]
    service_model: Mapped[str | None]
    kwh: Mapped[Decimal | None]
    kwh_price: Mapped[Decimal | None]
    pue: Mapped[Decimal | None]
    annual: Mapped[Decimal | None]
    part: Mapped[Decimal | None]
    ends: Mapped[date | None]
    made_by: Mapped[str]
    made_at: Mapped[datetime] = now()
    __table_args__ = (
        CheckConstraint(one_of("kind", KINDS), "kind"),
        CheckConstraint(one_of("section", ("fonctionnement", "investissement")), "section"),
        CheckConstraint("(kind = 'depreciation') = (section = 'investissement')", "capital"),
        CheckConstraint("months BETWEEN 1 AND 600 AND (kind = 'supplier' OR amount >= 0)", "spread"),
        CheckConstraint(f"service_model IS NULL OR kind = 'supplier' AND {one_of('service_model', MODELS)}", "model"),
        CheckConstraint(
            "(kind = 'energy') = (num_nonnulls(kwh, kwh_price, pue) = 3)"
            " AND (kind <> 'energy' OR amount = round(kwh * kwh_price * pue, 2) AND pue >= 1)",
            "energy",
        ),
        CheckConstraint(
            "(kind = 'staff') = (num_nonnulls(annual, part) = 2)"
            " AND (kind <> 'staff' OR amount = round(annual * part * months / 12, 2) AND part BETWEEN 0 AND 1)",
            "staff",
        ),
        Index("uq_cost_entries_reference", "supplier", "reference", unique=True,
              postgresql_where=sa.text("reference IS NOT NULL AND (ends IS NULL OR ends > starts)")),
    )  # fmt: skip


class CostPart(Base):
    """What an entry adds to a period, within a pool or (None) covered by prices. Sealed with its period."""

    __tablename__ = "cost_parts"
    period_id: Mapped[int] = mapped_column(ForeignKey("periods.id"), primary_key=True)
    entry_id: Mapped[int] = mapped_column(ForeignKey("cost_entries.id"), primary_key=True)
    pool_id: Mapped[int | None] = mapped_column(ForeignKey("cost_pools.id"))
    amount: Mapped[Decimal] = mapped_column(sa.Numeric(14, 2))
    __table_args__ = (Index("ix_cost_parts_pool_id", "pool_id"),)


class BillingMode(Base):
    """How a member pays from a month on. withheld: euros a month taken from its attribution de compensation."""

    __tablename__ = "billing_modes"
    id: Mapped[int] = key()
    member_id: Mapped[int] = mapped_column(ForeignKey("members.id"))
    during: Mapped[Range[date]] = mapped_column(DATERANGE)
    mode: Mapped[str]
    withheld: Mapped[Decimal | None] = mapped_column(sa.Numeric(14, 2))
    reference: Mapped[str]
    made_by: Mapped[str]
    made_at: Mapped[datetime] = now()
    __table_args__ = (
        ExcludeConstraint((same("member_id"), "&&"), ("during", "&&"), name="billing_modes_apart", using="gist"),
        CheckConstraint(one_of("mode", BILLING), "mode"),
        CheckConstraint("(mode = 'deduction') = (withheld IS NOT NULL) AND withheld >= 0", "withheld"),
        CheckConstraint("NOT isempty(during)", "during"),
    )
