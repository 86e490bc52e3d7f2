"""How often each source may ask."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from orchestrator import database
from orchestrator.database import door_session
from orchestrator.settings import Settings
from tenants.allowances import Allowance, spend
from tenants.tables_identity import Request

NOW = datetime(2026, 11, 23, 12, 0, 42, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def processes(settings: Settings) -> Iterator[list[sa.Engine]]:
    engines = [database.connect(settings, "clocher_door") for _ in range(3)]
    yield engines
    for engine in engines:
        engine.dispose()


def ask(engine: sa.Engine, source: str, at: datetime = NOW, kind: str = "read") -> Allowance:
    with door_session(engine, "tests") as session:
        return spend(session, source, kind, 5, at)


def test_all_processes_count_together(processes: list[sa.Engine]) -> None:
    assert [ask(process, "camille").left for process in processes] == [4, 3, 2]
    assert ask(processes[0], "paul") == Allowance(limit=5, left=4, reset=18)
    assert ask(processes[0], "camille", kind="change").left == 4


def test_the_next_minute_begins_anew_and_forgets(processes: list[sa.Engine], owner: sa.Engine) -> None:
    for source in ("camille", "camille", "paul"):
        ask(processes[0], source)
    assert ask(processes[1], "camille", NOW + MINUTE).left == 4
    with owner.connect() as connection:
        assert connection.execute(sa.select(Request.source, Request.count)).all() == [("camille", 1)]


@pytest.mark.slow
def test_none_is_lost_and_none_waits_for_ever(processes: list[sa.Engine]) -> None:
    sources = ["camille", "paul", "nadia", "helene"]

    def ask_all(number: int) -> dict[str, int]:
        at, order = NOW + number // 12 * MINUTE, sources if number % 2 else sources[::-1]
        return {source: ask(processes[number % 3], source, at).left for source in order}

    with ThreadPoolExecutor(12) as threads:
        for minute in range(5):  # twelve processes at once, and in each minute all find what the former left
            told = list(threads.map(ask_all, range(minute * 12, minute * 12 + 12)))
            for source in sources:
                assert sorted(left[source] for left in told) == list(range(-7, 5))
