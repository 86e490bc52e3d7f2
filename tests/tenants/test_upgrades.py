"""Upgrades of applications: offered by the published declaration, allowed by a fresh proof."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from orchestrator.database import member_session, territory_session
from orchestrator.errors import Conflict
from orchestrator.settings import ROOT, Settings
from orchestrator.tables import AuditEntry, Flow, Service, Snapshot
from orchestrator.tables_backups import Backup
from tenants import backups, catalogue, upgrades
from tests.tenants.ordering import NOW
from tests.tenants.vaulted import STACKS, Valley, backed_up, refused

pytestmark = pytest.mark.slow

HELLO = ROOT / "playbooks" / "examples" / "hello"
VAULT = ROOT / "playbooks" / "stacks" / "vault"


@pytest.fixture
def place(owner: sa.Engine, settings: Settings) -> Valley:
    return backed_up(owner, settings, NOW)


def publish(place: Valley, folder: Path, stack: Path = HELLO, others: Path = STACKS[1], **replaced: str) -> None:
    """Version 2 of the greeting, or of another stack, after 1."""
    shutil.copytree(stack, folder / stack.name)
    declared = folder / stack.name / "stack.yml"
    text = declared.read_text().replace(
        "versions:\n", 'versions:\n  - {version: "2", app: nginx 2, brings: {fr: Mieux., en: Better.}}\n'
    )
    for before, after in replaced.items():
        text = text.replace(f"{before}:\n", after)
    declared.write_text(text)
    with territory_session(place.owner, "tests") as session:
        catalogue.load(session, places=[folder, others])


def prove(place: Valley) -> None:
    with territory_session(place.owner, "tests") as session:
        backups.prove(session, place.service_id, session.scalars(sa.select(Backup.id)).one())
    place.proved(NOW)


def test_what_a_newer_version_brings_is_said(place: Valley, tmp_path: Path) -> None:
    with territory_session(place.owner, "tests") as session:
        assert upgrades.newer(session, session.get_one(Service, place.service_id), NOW) is None
    publish(place, tmp_path)
    with territory_session(place.owner, "tests") as session:
        found = upgrades.newer(session, session.get_one(Service, place.service_id), NOW)
        assert found and (found.version, found.refused and found.refused.code) == ("2", "no_proof")
        assert [one["brings"]["fr"] for one in found.versions] == ["Mieux."]
        assert upgrades.newer(session, session.get_one(Service, place.vault_id), NOW) is None


def test_there_must_be_something_newer(place: Valley, web: sa.Engine) -> None:
    prove(place)
    with refused("no_upgrade"), member_session(web, place.commune, "agent") as session:
        upgrades.upgrade(session, place.service_id, NOW, most=5)


def test_a_proof_of_the_last_day_comes_first(place: Valley, web: sa.Engine, tmp_path: Path) -> None:
    publish(place, tmp_path)
    with refused("no_proof"), member_session(web, place.commune, "agent") as session:
        upgrades.upgrade(session, place.service_id, NOW, most=5)
    prove(place)
    late = NOW + upgrades.FRESH + timedelta(seconds=1)
    with refused("no_proof"), member_session(web, place.commune, "agent") as session:
        upgrades.upgrade(session, place.service_id, late, most=5)
    with member_session(web, place.commune, "agent") as session:
        flow = upgrades.upgrade(session, place.service_id, NOW + upgrades.FRESH, most=5)
        assert (flow.kind, flow.parameters["wanted"]["stack"]["version"]) == ("upgrade_service", "2")
        assert flow.parameters["wanted"]["answers"]["greeting"] == "Bonjour"
    with territory_session(place.owner, "tests") as session:
        kept = session.scalars(sa.select(Snapshot)).one()
        assert (kept.id, kept.state) == (flow.parameters["snapshot_id"], "making")
        told = session.scalars(sa.select(AuditEntry).where(AuditEntry.action == "service.upgrade")).one()
        assert told.detail == {"flow": flow.id, "version": "2", "snapshot": kept.id}
    with refused("flow_running"), member_session(web, place.commune, "agent") as session:
        upgrades.upgrade(session, place.service_id, NOW, most=5)


def test_what_is_not_backed_up_needs_no_proof(place: Valley, tmp_path: Path) -> None:
    publish(place, tmp_path, VAULT, STACKS[0])
    with territory_session(place.owner, "tests") as session:
        flow = upgrades.upgrade(session, place.vault_id, NOW, most=5)
        assert (flow.kind, flow.parameters["wanted"]["stack"]["version"]) == ("upgrade_service", "2")


def test_there_must_be_room_for_the_snapshot(place: Valley, web: sa.Engine, tmp_path: Path) -> None:
    publish(place, tmp_path)
    prove(place)
    with refused("snapshot_quota"), member_session(web, place.commune, "agent") as session:
        upgrades.upgrade(session, place.service_id, NOW, most=0)
    with territory_session(place.owner, "tests") as session:
        assert not session.scalars(sa.select(Flow).where(Flow.kind == "upgrade_service")).all()


def test_what_a_new_version_asks_must_have_an_answer(place: Valley, web: sa.Engine, tmp_path: Path) -> None:
    new = "  - {name: motto, type: text, label: {fr: Devise, en: Motto}, help: {fr: D., en: M.}}\n"
    publish(place, tmp_path, parameters=f"parameters:\n{new}")
    prove(place)
    with territory_session(place.owner, "tests") as session:
        found = upgrades.newer(session, session.get_one(Service, place.service_id), NOW)
        assert found and found.refused and found.refused.code == "unanswered", "it is not offered and then refused"
        assert "« Devise » est à remplir." in found.refused.sentence
    with pytest.raises(Conflict) as raised, member_session(web, place.commune, "agent") as session:
        upgrades.upgrade(session, place.service_id, NOW, most=5)
    assert raised.value.facts["errors"][0]["parameter"] == "motto"
