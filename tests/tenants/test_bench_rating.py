"""`clocher bench rating`: its total is what a person works out on paper."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

import pytest

from orchestrator.settings import Settings
from tenants import bench_rating

CENT = Decimal("0.01")


@pytest.mark.slow
@pytest.mark.parametrize(("servers", "hours"), [(7, 31), pytest.param(200, 720, marks=pytest.mark.slow)])
def test_the_total_is_the_sum_of_each_server_and_volume(settings: Settings, servers: int, hours: int) -> None:
    expected = Decimal(0)
    for i in range(servers):
        size = Decimal(("0.010", "0.020", "0.040")[i % 3])
        expected += (size * hours).quantize(CENT, ROUND_HALF_UP)
        expected += ((20 + i % 80) * Decimal("0.0001") * hours).quantize(CENT, ROUND_HALF_UP)
    told = bench_rating.run(settings, servers, hours)
    assert told["total"] == str(expected)
    assert told["lines"] == 2 * servers
