"""The dev cloud for tests of the orchestrator: one project for all of them, a territory of its own for each test."""

from __future__ import annotations

import os
import random
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from orchestrator import cloud, places
from orchestrator.settings import ROOT, Settings
from tests.orchestrator.flowing import Stage, staged

NUMBER = os.environ.get("CLOCHER_DEVCLOUD_INSTANCE", "0")
FOLDER = ROOT / ".clocher" / ("devcloud" if NUMBER == "0" else f"devcloud-{NUMBER}")
CLOUDS = Path(os.environ.get("CLOCHER_DEVCLOUD_DIR") or FOLDER) / "clouds.yaml"
QUOTAS = {"servers": 6, "vcpus": 12, "ram_mib": 30_000, "volumes": 6, "disk_gib": 50, "public_addresses": 6}


@pytest.fixture(scope="session")
def clouds() -> Path:
    """The dev cloud's clouds.yaml."""
    return CLOUDS


@pytest.fixture(scope="session")
def ids(tmp_path_factory: pytest.TempPathFactory) -> Iterator[places.Ids]:
    """A member's place, made as `clocher members apply` makes it."""
    settings = Settings(state_dir=tmp_path_factory.mktemp("cloud"), clouds_file=CLOUDS, _env_file=None)
    site = places.open_site(cloud.connect(settings))
    name = f"flows-{uuid.uuid4().hex[:8]}"
    cidr = f"10.{random.randint(100, 199)}.{random.randint(0, 255)}.0/24"
    walk = places.Walk(site, places.Wanted(name, "Tests of flows", cidr, (), QUOTAS), act=True)
    try:
        yield places.visit(walk)
    finally:
        places.remove(site, name)


@pytest.fixture
def stage(settings: Settings, owner: sa.Engine, ids: places.Ids, tmp_path: Path) -> Iterator[Stage]:
    """A member with a place; what a test makes is gone after it."""
    territory = f"essai-{uuid.uuid4().hex[:8]}"
    plan = tmp_path / "deaths"
    plan.mkdir()
    own = settings.model_copy(update={"clouds_file": CLOUDS, "territory": territory})
    with staged(own, owner, ids, plan) as stage:
        yield stage
