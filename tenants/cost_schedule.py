"""When a cost counts: an amount spread evenly over months, to the cent.

What has counted by an instant is rounded once (half up); a month's part is the difference of two such sums, so the
parts sum to the amount whatever it is. With a pro rata temporis a life begins on its day: the first month counts the
days that are left of it, and the last one the days before that day. That is the M57's rule; without it depreciation
begins on 1 January of the year after, the usual exception for goods of low value. Neither was verified in an official
text: finance chooses, by the assembly's deliberation.
"""

from __future__ import annotations

from calendar import monthrange
from datetime import date
from decimal import Decimal
from fractions import Fraction


def begins(kind: str, dated: date, prorata: bool) -> date:
    """The day from which a cost counts: of depreciation its day, or the next 1 January; of others the month's first."""
    if kind != "depreciation":
        return dated.replace(day=1)
    return dated if prorata else date(dated.year + 1, 1, 1)


def part(amount: Decimal, starts: date, months: int, month: str, ends: date | None = None) -> Decimal | None:
    """Euros of `month` (2026-10); None when nothing of it counts then. ends: no month from this day on gets a part."""
    first = date.fromisoformat(f"{month}-01")
    before = (first.year - starts.year) * 12 + first.month - starts.month
    late = Fraction(starts.day - 1, monthrange(starts.year, starts.month)[1])
    if before < 0 or before - late >= months or (ends and first >= ends):
        return None
    return _by(amount, months, before + 1 - late) - _by(amount, months, before - late)


def _by(amount: Decimal, months: int, elapsed: Fraction) -> Decimal:
    """What counted by so many months, half a cent up (away from zero)."""
    share = min(max(elapsed, Fraction(0)), Fraction(months)) / months
    cents = abs(Fraction(amount)) * 100 * share
    return Decimal(int(cents + Fraction(1, 2)) * (1 if amount >= 0 else -1)).scaleb(-2)


def last_month(starts: date, months: int) -> str:
    """The last month that gets a part."""
    number = starts.year * 12 + starts.month - 1 + months - (starts.day == 1)
    return f"{number // 12:04}-{number % 12 + 1:02}"
