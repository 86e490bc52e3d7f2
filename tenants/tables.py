"""What was offered, ordered, used, priced, shared and stated. Money is NUMERIC, in euros."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, UniqueConstraint
from sqlalchemy.dialects.postgresql import DATERANGE, JSONB, TSTZRANGE, ExcludeConstraint, Range
from sqlalchemy.orm import Mapped, mapped_column

from orchestrator.database import Base
from orchestrator.tables import MEMBER_KINDS, key, now, one_of

# Orders of a new service: from the catalogue, with another one's data for trial, or as another member had it.
MAKING = ("create", "clone", "move")
ORDER_KINDS = (*MAKING, "resize", "volume", "address", "parameters")
BILLING = ("title", "calls", "deduction", "information")
ORDER_STATES = ("waiting", "approved", "rejected", "cancelled", "expired")
REGIMES = ("out_of_scope", "exempt", "normal")


def same(column: str) -> sa.TextClause:
    """Equality of an integer column in an exclusion constraint, without the btree_gist extension."""
    return sa.text(f"int8range({column}, {column}, '[]')")


class Quota(Base):
    """How much a member may hold at once. ram_mib: MiB; disk_gib: GiB of volumes."""

    __tablename__ = "quotas"
    member_id: Mapped[int] = mapped_column(ForeignKey("members.id"), primary_key=True)
    servers: Mapped[int]
    vcpus: Mapped[int]
    ram_mib: Mapped[int]
    volumes: Mapped[int]
    disk_gib: Mapped[int]
    public_addresses: Mapped[int]
    __table_args__ = (
        CheckConstraint("least(servers, vcpus, ram_mib, volumes, disk_gib, public_addresses) >= 0", "positive"),
    )


class Budget(Base):
    """What a member may spend in a year, in euros; a twelfth of it bounds the monthly commitment."""

    __tablename__ = "budgets"
    member_id: Mapped[int] = mapped_column(ForeignKey("members.id"), primary_key=True)
    year: Mapped[int] = mapped_column(primary_key=True)
    amount: Mapped[Decimal]
    __table_args__ = (CheckConstraint("amount >= 0", "positive"), CheckConstraint("year BETWEEN 2000 AND 2099", "year"))


class Offer(Base):
    """Something in the catalogue; a change makes a new version, orders keep the one they were made from.

    stack: what `tenants.stacks.Stack` holds, for an application.
    """

    __tablename__ = "offers"
    id: Mapped[int] = key()
    slug: Mapped[str]
    version: Mapped[int]
    kind: Mapped[str]
    state: Mapped[str] = mapped_column(server_default="published")
    title: Mapped[dict[str, Any]]
    summary: Mapped[dict[str, Any]]
    flavor: Mapped[str]
    vcpus: Mapped[int]
    ram_mib: Mapped[int]
    parameters: Mapped[dict[str, Any]]
    approval: Mapped[str] = mapped_column(server_default="none")
    stack: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    origin: Mapped[str] = mapped_column(server_default="declared")
    created_at: Mapped[datetime] = now()
    __table_args__ = (
        UniqueConstraint("slug", "version"),
        CheckConstraint(one_of("kind", ("vm", "stack")), "kind"),
        CheckConstraint("(kind = 'stack') = (stack IS NOT NULL)", "stack"),
        CheckConstraint(one_of("state", ("draft", "published", "withdrawn")), "state"),
        CheckConstraint(one_of("approval", ("none", "dsi")), "approval"),
        CheckConstraint("vcpus > 0 AND ram_mib > 0", "size"),
        CheckConstraint(one_of("origin", ("declared", "made")), "origin"),
        Index("uq_offers_draft", "slug", unique=True, postgresql_where=sa.text("state = 'draft'")),
        Index("uq_offers_published", "slug", unique=True, postgresql_where=sa.text("state = 'published'")),
    )


class Order(Base):
    """A member's request: what, at which frozen price, and who decided. While it lives it holds quota and budget.

    Counts, estimate and monthly are of the whole service as the order makes it; difference: euros a month that it adds.
    """

    __tablename__ = "orders"
    id: Mapped[int] = key()
    member_id: Mapped[int] = mapped_column(ForeignKey("members.id"))
    kind: Mapped[str]
    request_key: Mapped[str]
    offer_id: Mapped[int] = mapped_column(ForeignKey("offers.id"))
    service_id: Mapped[int | None] = mapped_column(ForeignKey("services.id"), index=True)
    flow_id: Mapped[int | None] = mapped_column(ForeignKey("flows.id"))
    parameters: Mapped[dict[str, Any]]
    state: Mapped[str]
    estimate: Mapped[dict[str, Any]]
    monthly: Mapped[Decimal]
    difference: Mapped[Decimal] = mapped_column(server_default="0")
    servers: Mapped[int] = mapped_column(server_default="0")
    vcpus: Mapped[int] = mapped_column(server_default="0")
    ram_mib: Mapped[int] = mapped_column(server_default="0")
    volumes: Mapped[int] = mapped_column(server_default="0")
    disk_gib: Mapped[int] = mapped_column(server_default="0")
    public_addresses: Mapped[int] = mapped_column(server_default="0")
    placed_by: Mapped[str]
    placed_at: Mapped[datetime] = now()
    decided_by: Mapped[str | None]
    decided_at: Mapped[datetime | None]
    reason: Mapped[str | None]
    __table_args__ = (
        UniqueConstraint("member_id", "request_key"),
        CheckConstraint(one_of("kind", ORDER_KINDS), "kind"),
        CheckConstraint(one_of("state", ORDER_STATES), "state"),
        CheckConstraint("monthly >= 0", "monthly"),
        # What creates has a service once it is approved; what changes has one from the beginning.
        CheckConstraint(
            f"CASE WHEN {one_of('kind', MAKING)} THEN (state = 'approved') = (service_id IS NOT NULL)"
            " ELSE service_id IS NOT NULL END",
            "service",
        ),
        Index("ix_orders_member_id_id", "member_id", "id"),
        Index("ix_orders_waiting", "member_id", "id", postgresql_where=sa.text("state = 'waiting'")),
        Index("uq_orders_waiting_change", "service_id", unique=True,
              postgresql_where=sa.text(f"state = 'waiting' AND NOT ({one_of('kind', MAKING)})")),
    )  # fmt: skip


class Meter(Base):
    """What is counted, and the SKU that prices it. A meter without SKU is for comparison, never billed.

    basis: what its price is for: one unit's hour, a month (a minimum), or once (a fee).
    """

    __tablename__ = "meters"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    code: Mapped[str] = mapped_column(unique=True)
    unit: Mapped[str]
    sku: Mapped[str | None] = mapped_column(unique=True)
    label: Mapped[dict[str, Any]]
    basis: Mapped[str] = mapped_column(server_default="hour")
    __table_args__ = (CheckConstraint(one_of("basis", ("hour", "month", "once")), "basis"),)


class Price(Base):
    """Euros for one unit of a meter during one hour (or a month, or once: its basis), while `during` lasts.

    member_kind: for whom, before the general price; None, for everybody. steps: [{above, hourly}], from which quantity
    of a member on which price holds; `hourly` is then that of the first step that is not free. told_on: when members
    were told. Two prices of a meter for the same members never overlap.
    """

    __tablename__ = "prices"
    id: Mapped[int] = key()
    meter_id: Mapped[int] = mapped_column(ForeignKey("meters.id"))
    during: Mapped[Range[datetime]] = mapped_column(TSTZRANGE)
    hourly: Mapped[Decimal] = mapped_column(sa.Numeric(18, 8))
    book: Mapped[str]
    origin: Mapped[str] = mapped_column(server_default="declared")
    member_kind: Mapped[str | None]
    steps: Mapped[list[Any] | None] = mapped_column(JSONB(none_as_null=True))
    told_on: Mapped[date | None]
    __table_args__ = (
        CheckConstraint(one_of("origin", ("declared", "made")), "origin"),
        CheckConstraint(one_of("member_kind", MEMBER_KINDS), "member_kind"),
        CheckConstraint("jsonb_array_length(steps) >= 1 AND steps -> 0 ->> 'above' = '0'", "steps"),
        ExcludeConstraint(
            (sa.text("clocher_price_box(meter_id, member_kind)"), "&&"),
            ("during", "&&"),
            name="prices_apart",
            using="gist",
        ),
        UniqueConstraint("id", "meter_id", name="uq_prices_id_meter_id"),
        CheckConstraint("hourly >= 0", "positive"),
        CheckConstraint("NOT isempty(during)", "during"),
    )


class Period(Base):
    """A billing month, [starts, ends) at local midnight. Closed, it is sealed.

    sealed_from: when closing began, by the database's clock; facts that were told later may be missing in it.
    energy: the factors in force when it was drafted last, by code (`tenants.energy`); null when none was declared.
    """

    __tablename__ = "periods"
    id: Mapped[int] = key()
    label: Mapped[str] = mapped_column(unique=True)
    during: Mapped[Range[datetime]] = mapped_column(TSTZRANGE)
    state: Mapped[str] = mapped_column(server_default="open")
    sample: Mapped[bool] = mapped_column(server_default=sa.false())
    metered_until: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
    closed_by: Mapped[str | None]
    sealed_from: Mapped[datetime | None]
    energy: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    __table_args__ = (
        ExcludeConstraint(("during", "&&"), name="periods_apart", using="gist"),
        CheckConstraint("(state = 'closed') = (sealed_from IS NOT NULL)", "sealed_from"),
        CheckConstraint(one_of("state", ("open", "draft", "checked", "closed")), "state"),
        CheckConstraint("(state = 'closed') = (closed_at IS NOT NULL)", "closed"),
        CheckConstraint("label ~ '^[0-9]{4}-[0-9]{2}$'", "label"),
    )


class UsageInterval(Base):
    """`quantity` of a meter held by a resource from one instant to another, within one period.

    A trigger keeps those of a resource and a meter apart, inside their period, of meters that exist and of their own
    member's resources: a month is written by one statement, and what looks at each of a million rows alone takes longer
    than all the rest.
    """

    __tablename__ = "usage_intervals"
    id: Mapped[int] = key()
    period_id: Mapped[int]
    resource_id: Mapped[int]
    member_id: Mapped[int]
    meter_id: Mapped[int]
    quantity: Mapped[Decimal]
    during: Mapped[Range[datetime]] = mapped_column(TSTZRANGE)
    __table_args__ = (
        Index("ix_usage_intervals_period_id_member_id", "period_id", "member_id"),
        CheckConstraint("quantity > 0 AND lower_inc(during) AND NOT (upper_inc(during) OR upper_inf(during))", "sound"),
    )


class UsageCorrection(Base):
    """Of a resource and a meter in a closed month (`corrects_id`): what was `counted` from one instant to another, and
    the `quantity` that is known now. Belongs to the later month (`period_id`) whose adjustment lines it makes.
    """

    __tablename__ = "usage_corrections"
    id: Mapped[int] = key()
    period_id: Mapped[int] = mapped_column(ForeignKey("periods.id"))
    corrects_id: Mapped[int] = mapped_column(ForeignKey("periods.id"))
    resource_id: Mapped[int]
    member_id: Mapped[int]
    meter_id: Mapped[int] = mapped_column(ForeignKey("meters.id"))
    counted: Mapped[Decimal]
    quantity: Mapped[Decimal]
    during: Mapped[Range[datetime]] = mapped_column(TSTZRANGE)
    __table_args__ = (
        UniqueConstraint("period_id", "resource_id", "meter_id", "during"),
        Index("ix_usage_corrections_corrects_id_member_id", "corrects_id", "member_id"),
        ForeignKeyConstraint(("resource_id", "member_id"), ("resources.id", "resources.member_id")),
        CheckConstraint(
            "counted >= 0 AND quantity >= 0 AND counted <> quantity AND period_id <> corrects_id"
            " AND lower_inc(during) AND NOT (upper_inc(during) OR upper_inf(during))",
            "sound",
        ),
    )


class AllocationKey(Base):
    """The voted rule that shares a pool: weights of criteria (population, usage, equal) that sum to 1."""

    __tablename__ = "allocation_keys"
    id: Mapped[int] = key()
    code: Mapped[str]
    version: Mapped[int]
    weights: Mapped[dict[str, Any]]
    deliberation: Mapped[str]
    during: Mapped[Range[date]] = mapped_column(DATERANGE)
    __table_args__ = (UniqueConstraint("code", "version"),)


class CostPool(Base):
    """What the platform really costs in a period, in euros, and the key that shares it.

    declared: what of it pools.yaml says; the rest are its parts (`CostPart`).
    """

    __tablename__ = "cost_pools"
    id: Mapped[int] = key()
    period_id: Mapped[int] = mapped_column(ForeignKey("periods.id"), index=True)
    code: Mapped[str]
    label: Mapped[dict[str, Any]]
    section: Mapped[str] = mapped_column(server_default="fonctionnement")
    amount: Mapped[Decimal] = mapped_column(sa.Numeric(14, 2))
    declared: Mapped[Decimal] = mapped_column(sa.Numeric(14, 2), server_default="0")
    key_id: Mapped[int] = mapped_column(ForeignKey("allocation_keys.id"))
    __table_args__ = (
        UniqueConstraint("period_id", "code"),
        CheckConstraint(one_of("section", ("fonctionnement", "investissement")), "section"),
    )


class Statement(Base):
    """A member's account for a period. Closed, its document is kept as text and its hash follows the one before.

    weighs: whether it bears common costs: not that of a member who left, and is only corrected something. population:
    the inhabitants that its shares were worked out from; vat: euros, at vat_rate percent of the total; billing,
    withheld: as of `BillingMode`, None where it was closed before modes were told.
    """

    __tablename__ = "statements"
    id: Mapped[int] = key()
    period_id: Mapped[int] = mapped_column(ForeignKey("periods.id"))
    member_id: Mapped[int] = mapped_column(ForeignKey("members.id"), index=True)
    total: Mapped[Decimal] = mapped_column(sa.Numeric(14, 2))
    population: Mapped[int | None]
    weighs: Mapped[bool] = mapped_column(server_default=sa.true())
    vat_regime: Mapped[str | None]
    vat_rate: Mapped[Decimal | None] = mapped_column(sa.Numeric(5, 2))
    vat: Mapped[Decimal | None] = mapped_column(sa.Numeric(14, 2))
    document: Mapped[str | None]
    previous_hash: Mapped[str | None]
    hash: Mapped[str | None]
    billing: Mapped[str | None]
    withheld: Mapped[Decimal | None] = mapped_column(sa.Numeric(14, 2))
    __table_args__ = (
        CheckConstraint(
            f"{one_of('billing', BILLING)} AND (billing = 'deduction') = (withheld IS NOT NULL)", "billing"
        ),
        UniqueConstraint("period_id", "member_id"),
        UniqueConstraint("id", "period_id", "member_id", name="uq_statements_id_period_id_member_id"),
        CheckConstraint("num_nonnulls(document, previous_hash, hash) IN (0, 3)", "sealed"),
        CheckConstraint("population >= 0", "population"),
        CheckConstraint(one_of("vat_regime", REGIMES), "vat_regime"),
        CheckConstraint(
            "CASE vat_regime WHEN 'normal' THEN num_nonnulls(vat_rate, vat) = 2"
            " ELSE vat_rate IS NULL AND coalesce(vat, 0) = 0 END",
            "vat",
        ),
    )


class StatementLine(Base):
    """One line: usage of a meter by a service at one price, a fee, what lacks to a minimum, or what such a line of a
    closed month lacked, or a share of a cost pool, or what settled a dispute.

    unit_seconds: exact quantity × seconds of the usage; step: which step of the price it is in, from 1, where it has
    steps; share: exact euros before rounding; amount: euros and cents.
    Of an adjustment they are differences. corrects_id: the closed month; corrects_position: the line's place in the
    member's statement of that month, null when it had no such line.
    """

    __tablename__ = "statement_lines"
    id: Mapped[int] = key()
    statement_id: Mapped[int]
    period_id: Mapped[int] = mapped_column(index=True)
    member_id: Mapped[int]
    position: Mapped[int]
    kind: Mapped[str]
    service_id: Mapped[int | None]
    meter_id: Mapped[int | None]
    price_id: Mapped[int | None]
    pool_id: Mapped[int | None] = mapped_column(ForeignKey("cost_pools.id"))
    unit_seconds: Mapped[Decimal | None]
    step: Mapped[int | None]
    share: Mapped[Decimal | None] = mapped_column(sa.Numeric())
    amount: Mapped[Decimal] = mapped_column(sa.Numeric(14, 2))
    corrects_id: Mapped[int | None] = mapped_column(ForeignKey("periods.id"))
    corrects_position: Mapped[int | None]
    dispute_id: Mapped[int | None] = mapped_column(ForeignKey("disputes.id"))
    __table_args__ = (
        UniqueConstraint("statement_id", "position"),
        Index("ix_statement_lines_corrects_id", "corrects_id", postgresql_where=sa.text("corrects_id IS NOT NULL")),
        # A line is of its statement's period and member; by a trigger, of a service, and at a price of its meter.
        ForeignKeyConstraint(
            ("statement_id", "period_id", "member_id"),
            ("statements.id", "statements.period_id", "statements.member_id"),
            ondelete="CASCADE",
        ),
        Index("ix_statement_lines_dispute_id", "dispute_id", postgresql_where=sa.text("dispute_id IS NOT NULL")),
        CheckConstraint(one_of("kind", ("usage", "fee", "minimum", "share", "adjustment", "settlement")), "kind"),
        CheckConstraint(
            "(kind IN ('usage', 'adjustment', 'fee', 'minimum')) = (meter_id IS NOT NULL AND price_id IS NOT NULL)"
            " AND (kind = 'adjustment' OR (kind = 'usage') = (unit_seconds IS NOT NULL))"
            " AND (kind = 'share') = (pool_id IS NOT NULL AND share IS NOT NULL)"
            " AND (kind IN ('adjustment', 'settlement')) = (corrects_id IS NOT NULL)"
            " AND (kind = 'settlement') = (dispute_id IS NOT NULL)"
            " AND (corrects_position IS NULL OR kind IN ('adjustment', 'settlement'))"
            " AND (step IS NULL OR (kind IN ('usage', 'adjustment') AND step > 0))",
            "shape",
        ),
    )
