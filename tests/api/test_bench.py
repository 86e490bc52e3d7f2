"""`clocher bench` prints one JSON object, and nothing of what it made stays."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import sqlalchemy as sa

from orchestrator.settings import ROOT, Settings
from tests.orchestrator.conftest import CLOUDS


@pytest.mark.cloud
def test_bench_order_compares_and_cleans_up(settings: Settings, owner: sa.Engine) -> None:
    given = {
        "STATE_DIR": settings.state_dir,
        "SECRET_KEY": settings.secret_key.get_secret_value(),
        "DATABASE_URL": settings.database_url.get_secret_value(),
        "CLOUDS_FILE": CLOUDS,
    }
    environment = os.environ | {f"CLOCHER_{name}": str(value) for name, value in given.items()}
    command = [sys.executable, "-m", "api", "bench", "order", "--rounds", "1", "--json"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["rounds"] == len(told["ours"]) == len(told["bare"]) == 1
    assert told["ratio"] == pytest.approx(told["ours_median"] / told["bare_median"], abs=0.002)
    with owner.connect() as connection:
        scratch = sa.text("SELECT count(*) FROM pg_database WHERE datname LIKE 'clocher_scratch_%'")
        assert connection.scalar(scratch) == 0
