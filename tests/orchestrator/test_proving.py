"""A backup is proved on the real dev cloud: restored in a guest of its own that is gone afterwards."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator import cloud, cloud_volumes, places, ssh, trial, vaults
from orchestrator.cloud import Tag
from orchestrator.database import territory_session
from orchestrator.ssh import Guest
from orchestrator.tables import AnsibleEvent, AuditEntry, Flow, Service
from orchestrator.tables_backups import Backup
from tenants import backups, catalogue, stacks, upgrades
from tests.orchestrator.flowing import Stage
from tests.orchestrator.vaulted import EXAMPLES, OURS, SECONDS, Valley, opened

BROKEN = """---
- name: Break everything
  hosts: all
  become: true
  tasks:
    - name: Lose the data
      ansible.builtin.file:
        path: /data/hello
        state: absent

    - name: Stop serving
      ansible.builtin.command: rm /etc/nginx/nginx.conf

    - name: Fail
      ansible.builtin.fail:
        msg: broken
"""

pytestmark = [pytest.mark.cloud, pytest.mark.slow]


@pytest.fixture
def valley(stage: Stage) -> Iterator[Valley]:
    with opened(stage) as valley:
        yield valley


def test_a_backup_is_proved_and_the_service_not_touched(
    valley: Valley, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    service_id = backed_up(valley)
    stage, before = valley.stage, (valley.stage.service(service_id).changed_at, valley.stage.events(service_id))
    stage.stop()
    flow = prove(valley, service_id)
    name = f"trial-{stage.settings.territory}-{flow}"
    with trial.opened(stage.settings, name) as left:  # as by a worker that was killed in the middle of it
        tag = Tag(left.settings.territory, str(uuid.uuid4()), 0)
        cloud_volumes.create_volume(left.project, "left", 1, tag=tag)
        stage.start()
        valley.settle()
    assert (valley.last().id, valley.last().state, valley.last().error_detail) == (flow, "done", None)
    (proof,) = stage.rows(Backup)
    assert proof.meters == {"pages": 2} and proof.proof_seconds and proof.proved_at and not proof.unproved_at
    assert (stage.service(service_id).changed_at, stage.events(service_id)) == before
    valley.play(service_id, "test/check")
    assert nothing_is_left(valley, name)

    a_broken_upgrade_is_taken_back(valley, service_id, tmp_path)
    what_lacks_data_is_no_proof(valley, service_id)

    told = " ".join(str(vars(row)) for kind in (AnsibleEvent, AuditEntry, Flow) for row in stage.rows(kind))
    said = capfd.readouterr()
    with territory_session(stage.owner, "tests") as session:
        found = vaults.opened(session, stage.settings, session.get_one(Service, service_id)).variables
    assert found["passphrase"].get_secret_value() not in told + said.out + said.err


def backed_up(valley: Valley) -> int:
    """An application with known data and one backup; its id."""
    stage = valley.stage
    stage.start()
    _, making = valley.order(valley.agglomeration, "coffre", stacks.read(OURS / "vault"), public_address=True)
    service_id, flow = valley.order(valley.commune, "salut", stacks.read(EXAMPLES / "hello"), offer="hello")
    assert [done.error_detail for done in stage.rest(making, flow, seconds=SECONDS)] == [None, None]
    valley.play(service_id, "test/put")
    valley.round()  # it becomes a client of the vault
    valley.round()  # and is backed up
    assert (valley.last().kind, valley.last().error_detail) == ("backup_service", None)
    return service_id


def prove(valley: Valley, service_id: int) -> int:
    with territory_session(valley.stage.owner, "tests") as session:
        newest = session.scalars(sa.select(Backup.id).order_by(Backup.id.desc())).first()
        assert newest
        return backups.prove(session, service_id, newest).id


def nothing_is_left(valley: Valley, name: str) -> bool:
    """Neither in the cloud nor on the worker's disk."""
    settings = valley.stage.settings
    place = places.enter(places.open_site(cloud.connect(settings)), name)
    return place is None and not list((settings.state_dir / "trials").iterdir())


def a_broken_upgrade_is_taken_back(valley: Valley, service_id: int, folder: Path) -> None:
    """Its new version destroys the data, then fails: the old version serves again, with all that was there."""
    stage = valley.stage
    stage.stop()
    shutil.copytree(EXAMPLES / "hello", folder / "hello")
    with territory_session(stage.owner, "tests") as session:
        publish(session, folder)
        (folder / "hello" / "upgrade.yml").write_text(BROKEN)
        stage.settings = stage.settings.model_copy(update={"stacks_dirs": (folder,)})
        flow = upgrades.upgrade(session, service_id, datetime.now(UTC), most=5).id
    stage.start()
    valley.settle()
    assert (valley.last().id, valley.last().state, valley.last().error_code) == (flow, "failed", "upgrade_failed")
    assert stage.steps(flow)["upgrade"] == "undone"
    service = stage.service(service_id)
    assert (service.state, service.specification["stack"]["version"]) == ("active", "1")
    valley.play(service_id, "test/check")
    guest = Guest(address=service.address or "", hostname=service.name, ref=service.ref)
    assert ssh.run(stage.settings, guest, "cat", "/data/hello/version.txt") == "1"
    assert stage.rows(AuditEntry, AuditEntry.action == "flow.failed", AuditEntry.subject == f"flow {flow}")

    shutil.copy(EXAMPLES / "hello" / "upgrade.yml", folder / "hello" / "upgrade.yml")
    with territory_session(stage.owner, "tests") as session:
        upgrades.upgrade(session, service_id, datetime.now(UTC), most=5)
    valley.settle()
    assert (valley.last().state, valley.last().error_detail) == ("done", None)
    assert stage.service(service_id).specification["stack"]["version"] == "2"
    assert ssh.run(stage.settings, guest, "cat", "/data/hello/version.txt") == "2"
    valley.play(service_id, "test/check")


def publish(session: Session, folder: Path) -> None:
    """Version 2 of the greeting."""
    declared, newest = folder / "hello" / "stack.yml", '  - {version: "2", brings: {fr: Mieux, en: Better}}'
    declared.write_text(declared.read_text().replace("versions:\n", f"versions:\n{newest}\n"))
    catalogue.load(session, places=[folder])


def what_lacks_data_is_no_proof(valley: Valley, service_id: int) -> None:
    """There was more when it was backed up than what is restored."""
    stage, began = valley.stage, datetime.now(UTC)
    with territory_session(stage.owner, "tests") as session:
        session.execute(sa.update(Backup).values(meters={"pages": 3}))
    flow = prove(valley, service_id)
    valley.settle()
    assert (valley.last().state, valley.last().error_code) == ("failed", "proof_failed")
    assert "pages 2, not 3" in (valley.last().error_detail or "")
    (refuted,) = stage.rows(Backup)
    assert refuted.state == "ready" and refuted.unproved_at and refuted.unproved_at > began
    (told,) = stage.rows(AuditEntry, AuditEntry.action == "backup.unproved")
    assert (told.subject, told.member_id) == (f"service {service_id}", valley.commune)
    assert stage.service(service_id).state == "active"
    assert nothing_is_left(valley, f"trial-{stage.settings.territory}-{flow}")
