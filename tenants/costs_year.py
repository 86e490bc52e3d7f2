"""How much of a year's budget is used: what was stated, what is not yet, this month so far, and by its end."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.orm import Session

from tenants.costs import Costs


@dataclass(frozen=True)
class BudgetUse:
    """Euros of a year. budget: None when none was declared; stated: closed statements, shares of common costs included;
    unstated: the use of past months whose statement is not closed; so_far, ahead: the present month.
    """

    year: int
    budget: Decimal | None
    stated: Decimal
    unstated: Decimal
    so_far: Decimal
    ahead: Decimal

    @property
    def used(self) -> Decimal:
        return self.stated + self.unstated + self.so_far

    @property
    def forecast(self) -> Decimal:
        """At the end of the present month."""
        return self.used + self.ahead

    @property
    def share(self) -> Decimal | None:
        """Which part of the budget is used (0.25: a quarter); None without a budget."""
        return (self.used / self.budget).quantize(Decimal("0.0001")) if self.budget else None

    @property
    def forecast_share(self) -> Decimal | None:
        return (self.forecast / self.budget).quantize(Decimal("0.0001")) if self.budget else None


USE = """
SELECT (SELECT amount FROM budgets WHERE member_id = :member AND year = :year) AS budget, (
    SELECT coalesce(sum(s.total), 0.00) FROM statements s JOIN periods p ON p.id = s.period_id
    WHERE s.member_id = :member AND p.state = 'closed' AND NOT p.sample AND p.label BETWEEN :first AND :last
) AS stated, (
    SELECT coalesce(sum(c.amount), 0.00) FROM cost_days c
    WHERE c.member_id = :member AND c.day >= :january AND c.day < :month AND NOT EXISTS (
        SELECT FROM periods p WHERE p.label = to_char(c.day, 'YYYY-MM') AND p.state = 'closed' AND NOT p.sample)
) AS unstated
"""


def budget_use(session: Session, member_id: int, at: datetime, timezone: str, present: Costs) -> BudgetUse:
    """A member's year until `at`; `present`: what its present month costs (`costs.so_far`). One query."""
    today = at.astimezone(ZoneInfo(timezone)).date()
    year = {"year": today.year, "first": f"{today.year}-01", "last": f"{today.year}-12"}
    past = {"january": date(today.year, 1, 1), "month": today.replace(day=1)}
    used = session.execute(sa.text(USE), {"member": member_id} | year | past).one()
    return BudgetUse(
        year=today.year,
        budget=used.budget,
        stated=used.stated,
        unstated=used.unstated,
        so_far=present.amount,
        ahead=present.ahead,
    )
