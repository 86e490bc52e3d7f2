"""The yearly cycle (CGCT, art. D.5211-16): what is told to members of a year, their forecast units, what is asked for.

Rows are only ever added. Units are hours of the declared unit of the unit cost; money is NUMERIC, in euros.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from orchestrator.database import Base
from orchestrator.tables import key, now, one_of

FREQUENCIES = {"monthly": 1, "quarterly": 3, "yearly": 12}  # months of a call
SUBJECTS = ("offer", "meter")
DUES = ("call", "settlement")


class YearTerms(Base):
    """The unit cost of a year as members were told it, and how often it is called; the newest of a year counts.

    costs, units: of the closed year `base_year` (None: none was); `…_change`: what the voted budget changes of them.
    """

    __tablename__ = "year_terms"
    id: Mapped[int] = key()
    year: Mapped[int]
    unit: Mapped[dict[str, Any]]
    base_year: Mapped[int | None]
    costs: Mapped[Decimal] = mapped_column(sa.Numeric(14, 2))
    units: Mapped[Decimal] = mapped_column(sa.Numeric(20, 6))
    costs_change: Mapped[Decimal] = mapped_column(sa.Numeric(14, 2))
    units_change: Mapped[Decimal] = mapped_column(sa.Numeric(20, 6))
    unit_cost: Mapped[Decimal] = mapped_column(sa.Numeric(18, 6))
    frequency: Mapped[str]
    told_on: Mapped[date]
    source: Mapped[str]
    made_by: Mapped[str]
    made_at: Mapped[datetime] = now()
    __table_args__ = (
        CheckConstraint(one_of("frequency", tuple(FREQUENCIES)), "frequency"),
        CheckConstraint("unit_cost >= 0 AND units + units_change > 0", "positive"),
        # Half up to the millionth, said without a division.
        CheckConstraint(
            "abs(unit_cost * (units + units_change) - (costs + costs_change)) <= (units + units_change) * 0.0000005",
            "unit_cost",
        ),
        CheckConstraint("(base_year IS NULL) = (costs = 0 AND units = 0) AND base_year < year", "base"),
        Index("ix_year_terms_year", "year"),
    )


class Forecast(Base):
    """Units that a member's convention foresees of an offer or meter, from one month of the year to another.

    The newest of a member, year and subject counts; zero units: none are foreseen any more.
    """

    __tablename__ = "forecasts"
    id: Mapped[int] = key()
    member_id: Mapped[int] = mapped_column(ForeignKey("members.id"))
    year: Mapped[int]
    kind: Mapped[str]
    subject: Mapped[str]
    units: Mapped[Decimal] = mapped_column(sa.Numeric(18, 6))
    first: Mapped[int]
    last: Mapped[int]
    reference: Mapped[str]
    made_by: Mapped[str]
    made_at: Mapped[datetime] = now()
    __table_args__ = (
        CheckConstraint(one_of("kind", SUBJECTS), "kind"),
        CheckConstraint("units >= 0 AND first BETWEEN 1 AND last AND last <= 12", "span"),
        Index("ix_forecasts_member_id_year", "member_id", "year"),
    )


class Due(Base):
    """What a member is asked for: a call on account, or a year's settlement, whose document is the yearly statement.

    Sealed as it is written: `document` is canonical JSON, `hash` its SHA-256, `previous_hash` the member's due before.
    """

    __tablename__ = "dues"
    id: Mapped[int] = key()
    member_id: Mapped[int] = mapped_column(ForeignKey("members.id"))
    year: Mapped[int]
    kind: Mapped[str]
    number: Mapped[int]
    dated: Mapped[date]
    amount: Mapped[Decimal] = mapped_column(sa.Numeric(14, 2))
    document: Mapped[str]
    previous_hash: Mapped[str]
    hash: Mapped[str] = mapped_column(unique=True)
    made_by: Mapped[str]
    made_at: Mapped[datetime] = now()
    __table_args__ = (
        CheckConstraint(one_of("kind", DUES), "kind"),
        CheckConstraint("(kind = 'call') = (number > 0) AND number BETWEEN 0 AND 99", "number"),
        CheckConstraint("kind = 'settlement' OR amount > 0", "call"),
        CheckConstraint("hash = encode(sha256(convert_to(document, 'UTF8')), 'hex')", "hash"),
        Index("uq_dues_number", "member_id", "year", "number", unique=True),
        # A chain has one first link and no forks.
        Index("uq_dues_chain", "member_id", "previous_hash", unique=True),
    )
