"""The bench of pages: it measures every page, and a page asks the database as often for many rows as for few."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from api import bench_pages
from orchestrator import scratch
from orchestrator.database import territory_session
from orchestrator.settings import Settings
from tenants.bench_pages import fill
from tests.api.conftest import Run, told


def _queries(settings: Settings, services: int) -> tuple[dict[str, int], int]:
    """SQL statements by page, and how many living services the big member has."""
    with scratch.database(settings) as alone:
        fill(alone, datetime.now(UTC), members=3, services=services)
        with bench_pages.made(alone) as app:
            found = {page.name: bench_pages.measure(app, page, times=1)[0] for page in bench_pages.listed(app)}
            with territory_session(app.extensions["engines"].staff, "tests") as session:
                rows = session.scalar(sa.text("SELECT count(*) FROM services WHERE member_id = 1"))
    return found, int(rows or 0)


@pytest.mark.slow
def test_a_page_asks_as_often_for_many_rows_as_for_few(settings: Settings) -> None:
    few, some = _queries(settings, 30)
    many, rows = _queries(settings, 600)
    assert some <= 15 and rows >= 200
    assert few == many


@pytest.mark.slow
def test_the_bench_measures_every_page_and_leaves_nothing(run: Run, owner: sa.Engine) -> None:
    size = ("--members", "3", "--services", "100", "--rate", "20", "--seconds", "2")
    found = told(run("bench", "pages", *size, "--json"))
    assert found["failed"] == 0 and found["requests"] == 80
    assert set(found["queries"]) == set(found["p95_ms"]) == set(found["cpu_ms"])
    assert all(0 < found["p50_ms"][page] <= found["p95_ms"][page] <= found["max_ms"][page] for page in found["p95_ms"])
    assert found["promised_ms"].keys() <= found["p95_ms"].keys() and found["kept"] in (True, False)
    with owner.connect() as connection:
        left = sa.text("SELECT count(*) FROM pg_database WHERE datname LIKE 'clocher_scratch_%'")
        assert connection.scalar(left) == 0
