"""Applications from elsewhere: shown, and not to be ordered before the installation says where their archive is."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from pydantic import ValidationError

from orchestrator.database import territory_session
from orchestrator.errors import Conflict
from orchestrator.settings import ROOT, Settings, Source
from tenants import catalogue, estimates, orders, stacks, stacks_sources
from tests.tenants.ordering import NOW, member, seed

OURS = ROOT / "playbooks" / "stacks"
ARCHIVE = Source(address="/srv/archives/nextcloud-32.tar.bz2", sha256="a" * 64)
WISH = {"name": "partage", "email": "agent@exemple.fr"}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder of stacks with Nextcloud in it and nothing else."""
    (tmp_path / "nextcloud").symlink_to(OURS / "nextcloud")
    return tmp_path


def test_without_its_archive_it_is_shown_and_refused(owner: sa.Engine, staff: sa.Engine, place: Path) -> None:
    seed(owner)
    commune = member(owner)
    with territory_session(staff, "dsi") as session:
        changes = catalogue.load(session, places=[place])
        assert ("nextcloud-medium", "awaiting") in [(one["slug"], one["change"]) for one in changes]
        estimated = estimates.rough(session, commune, "nextcloud-medium", WISH, NOW)
        assert estimated.refused and estimated.refused.code == "source_missing"
        with pytest.raises(Conflict) as refused:
            orders.place(session, commune, "nextcloud-medium", WISH, "k", NOW)
    assert refused.value.code == "source_missing"
    assert "CLOCHER_STACKS_SOURCES" in str(refused.value.action)


def test_what_is_offered_are_the_versions_with_an_archive(owner: sa.Engine, staff: sa.Engine, place: Path) -> None:
    seed(owner)
    commune = member(owner)
    with territory_session(staff, "dsi") as session:
        catalogue.load(session, places=[place])
        changes = catalogue.load(session, places=[place], sources={"nextcloud": {"32": ARCHIVE, "31": ARCHIVE}})
        assert [(one["slug"], one["change"]) for one in changes] == [
            ("nextcloud-medium", "published"), ("nextcloud-large", "published"),
        ]  # fmt: skip
        offer = catalogue.find(session, "nextcloud-medium")
        assert offer.stack and [one["version"] for one in offer.stack["versions"]] == ["32"]
        assert orders.place(session, commune, "nextcloud-medium", WISH, "k", NOW).state


def test_only_what_comes_from_elsewhere_awaits_a_source() -> None:
    waiting = [stack.slug for stack in stacks.read_all([OURS]) if stacks_sources.sourced(stack, {}).awaits_source]
    assert waiting == ["nextcloud"]


def test_a_source_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    named = f'{{"nextcloud": {{"32": {{"address": "https://depot.example/n.tar.bz2", "sha256": "{"b" * 64}"}}}}}}'
    monkeypatch.setenv("CLOCHER_STACKS_SOURCES", named)
    settings = Settings()
    assert settings.sources_of("nextcloud")["32"]["sha256"] == "b" * 64
    assert settings.sources_of("moodle") == {}


@pytest.mark.parametrize(
    ("address", "sum_"),
    [
        ("http://depot.example/n.tar", "b" * 64),
        ("https://name:word@depot.example/n.tar", "b" * 64),
        ("n.tar", "b" * 64),
        ("/srv/n.tar", "b" * 40),
    ],
)
def test_a_source_is_safe_to_fetch(address: str, sum_: str) -> None:
    with pytest.raises(ValidationError):
        Source(address=address, sha256=sum_)
