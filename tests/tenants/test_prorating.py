"""Prices that change at local midnight, in the months of both clock changes: each part of a use at its own price."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.database import territory_session
from tenants import checks, periods, statements
from tenants.finance import Sharing
from tests.tenants.ledger import BOOK, PARIS, Ledger, at

AFTER = at("2026-12-01")
DAY = 24 * 3600 * 10**6  # microseconds


def midnight(month: int, day: int) -> datetime:
    return datetime(2026, month, day, tzinfo=ZoneInfo(PARIS)).astimezone(UTC)


@pytest.mark.slow
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    month=st.sampled_from([3, 10]),  # of 743 and of 745 hours
    days=st.lists(st.sampled_from([2, 9, 15, 24, 25, 26, 28, 29, 30, 31]), unique=True, max_size=5),
    begun=st.integers(-3 * DAY, 31 * DAY),
    held=st.integers(1, 34 * DAY),
    gib=st.integers(1, 4000),
)
def test_each_part_is_at_its_own_price(
    staff: sa.Engine, month: int, days: list[int], begun: int, held: int, gib: int
) -> None:
    begins, ends = midnight(month, 1), midnight(month + 1, 1)
    created = begins + timedelta(microseconds=begun)
    deleted = created + timedelta(microseconds=held)
    tariffs = {day: f"0.000{place}7" for place, day in enumerate([1, *sorted(days)], 1)}
    expected = []
    for (day, hourly), until in zip(
        tariffs.items(), [*(midnight(month, day) for day in list(tariffs)[1:]), ends], strict=True
    ):
        part = min(until, deleted) - max(midnight(month, day), created)
        if part > timedelta(0):
            seconds = Fraction(part // timedelta(microseconds=1), 10**6)
            cents = int(seconds * gib * Fraction(hourly) / 3600 * 100 + Fraction(1, 2))
            expected.append((Fraction(hourly), seconds * gib, Fraction(cents, 100)))
    with territory_session(staff, "test") as session:
        ledger = Ledger(session)
        ledger.member("a", 1, 10)
        ledger.prices(
            ("2026-01-01", BOOK), *((f"2026-{month:02}-{day:02}", {"volume": rate}) for day, rate in tariffs.items())
        )
        instants = (f"{instant:%Y-%m-%d %H:%M:%S.%f}" for instant in (created, deleted))
        ledger.volume(ledger.service("a", "web"), ("created", next(instants), gib), ("deleted", next(instants), gib))
        period = periods.draft(session, f"2026-{month:02}", Sharing(), AFTER, PARIS)
        assert checks.differences(session, period, AFTER) == []
        [document] = statements.documents(session, period)
        session.rollback()
    found = [
        (Fraction(one["hourly"]), Fraction(one["unit_seconds"]), Fraction(one["amount"])) for one in document["lines"]
    ]
    assert found == expected
    assert sum(seconds for _, seconds, _ in found) == gib * max(
        Fraction((min(ends, deleted) - max(begins, created)) // timedelta(microseconds=1), 10**6), 0
    )
    assert all(earlier[0] < later[0] for earlier, later in pairwise(found))
