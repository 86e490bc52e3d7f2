"""Backups on the real dev cloud: from one member's guest into the agglomeration's vault, and back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from orchestrator import ssh, vaults
from orchestrator.database import territory_session
from orchestrator.errors import ClocherError
from orchestrator.ssh import Guest
from orchestrator.tables import AnsibleEvent, AuditEntry, Flow, Service
from orchestrator.tables_backups import Backup, BackupClient
from tenants import backups, stacks
from tests.orchestrator.flowing import Stage
from tests.orchestrator.test_kill import restart, run_to_the_end
from tests.orchestrator.vaulted import EXAMPLES, OURS, SECONDS, Valley, opened

pytestmark = [pytest.mark.cloud, pytest.mark.slow]


@pytest.fixture
def valley(stage: Stage) -> Iterator[Valley]:
    with opened(stage) as valley:
        yield valley


def test_what_is_lost_comes_back_from_the_vault(valley: Valley, capfd: pytest.CaptureFixture[str]) -> None:
    stage = valley.stage
    stage.start()
    vault_id, making = valley.order(valley.agglomeration, "coffre", stacks.read(OURS / "vault"), public_address=True)
    service_id, flow = valley.order(valley.commune, "salut", stacks.read(EXAMPLES / "hello"))
    assert [done.error_detail for done in stage.rest(making, flow, seconds=SECONDS)] == [None, None]
    valley.play(service_id, "test/put")

    valley.round()  # the commune's service becomes a client of the vault, which is told
    assert (valley.last().kind, valley.last().state, valley.last().error_detail) == ("tend_vault", "done", None)
    valley.round()  # it has no good backup yet: one is due
    (first,) = stage.rows(Backup)
    assert (valley.last().kind, valley.last().error_detail) == ("backup_service", None)
    assert (first.state, first.scheduled) == ("ready", True)
    assert first.files and first.bytes and len(first.borg_id or "") == 64
    assert valley.repositories(vault_id) == [str(stage.service(service_id).ref)]
    valley.round()  # nothing is due any more
    assert len(stage.rows(Backup)) == 1

    for _ in range(2):  # restored once for each that asks, not once and for all
        valley.play(service_id, "test/destroy")
        with pytest.raises(ClocherError):
            valley.play(service_id, "test/check")
        with territory_session(stage.owner, "tests") as session:
            backups.restore(session, service_id, first.id)
        valley.settle()
        assert (valley.last().state, valley.last().error_detail) == ("done", None)
        valley.play(service_id, "test/check")
        # Who asks again in the name of this flow, as a worker that takes it over, finds it done.
        last = valley.last()
        assert noted(valley, service_id)["operation"] == f"{last.id}/{last.queued_at.isoformat()}"

    the_old_one_goes_whenever_a_worker_dies(valley, service_id)

    secrets = keys(valley, service_id)
    said = capfd.readouterr()
    told = " ".join(str(vars(row)) for kind in (AnsibleEvent, AuditEntry, Flow) for row in stage.rows(kind))
    assert not [secret for secret in secrets if secret in told + said.out + said.err]

    a_vault_that_is_off_is_told(valley, service_id, vault_id)
    what_is_deleted_leaves_the_vault(valley, service_id, vault_id)
    the_files_of_a_machine_come_back_beside(valley)


def the_old_one_goes_whenever_a_worker_dies(valley: Valley, service_id: int) -> None:
    """A second backup; the first is old by now and leaves list and vault. Each boundary kills the worker once."""
    stage = valley.stage
    stage.stop()
    kept = {"schedule": "daily", "keep": {"daily": 1, "weekly": 0, "monthly": 0}}
    with territory_session(stage.owner, "tests") as session:
        session.execute(sa.update(Backup).values(made_at=Backup.made_at - timedelta(days=9)))
        service = session.get_one(Service, service_id)
        service.specification = {**service.specification, "stack": service.specification["stack"] | {"backup": kept}}
    valley.work()
    assert run_to_the_end(stage, restart) >= 7  # the last boundary comes after the flow's end, which may be seen first
    assert (valley.last().kind, valley.last().error_detail) == ("backup_service", None)
    assert [row.state for row in stage.rows(Backup)] == ["deleted", "ready"]
    stage.start()


def noted(valley: Valley, service_id: int) -> dict[str, Any]:
    """What the guest has noted of its last restore."""
    note: dict[str, Any] = json.loads(told_by(valley, service_id, "cat /var/lib/clocher/restore.json"))
    return note


def told_by(valley: Valley, service_id: int, script: str) -> str:
    """What a service's guest answers to a script that root runs."""
    service = valley.stage.service(service_id)
    guest = Guest(address=service.address or "", hostname=service.name, ref=service.ref)
    return ssh.run(valley.stage.settings, guest, "sudo", "sh", "-c", script)


def keys(valley: Valley, service_id: int) -> list[str]:
    """All that opens the service's repository, the key by its lines."""
    with territory_session(valley.stage.owner, "tests") as session:
        service = session.get_one(Service, service_id)
        found = vaults.opened(session, valley.stage.settings, service).variables
    lines = found["private_key"].get_secret_value().splitlines()[1:-1]
    assert len(lines) > 3
    return [found["passphrase"].get_secret_value(), *lines]


def a_vault_that_is_off_is_told(valley: Valley, service_id: int, vault_id: int) -> None:
    stage = valley.stage
    assert stage.do(vault_id, "stop_server").state == "done"
    with territory_session(stage.owner, "tests") as session:
        backups.back_up(session, service_id, datetime.now(UTC))
    valley.settle()
    assert (valley.last().state, valley.last().error_code) == ("failed", "no_vault")
    assert [row.state for row in stage.rows(Backup)] == ["deleted", "ready", "failed"]
    assert stage.service(service_id).state == "active"
    valley.round(datetime.now(UTC) + timedelta(hours=29))
    assert not stage.rows(AuditEntry, AuditEntry.action == "backup.late")
    for _ in range(2):
        valley.round(datetime.now(UTC) + timedelta(hours=31))
    (late,) = stage.rows(AuditEntry, AuditEntry.action == "backup.late")
    assert (late.subject, late.member_id) == (f"service {service_id}", valley.commune)


def what_is_deleted_leaves_the_vault(valley: Valley, service_id: int, vault_id: int) -> None:
    stage = valley.stage
    assert [stage.do(vault_id, "start_server").state, stage.do(service_id, "delete_server").state] == ["done", "done"]
    assert [row.state for row in stage.rows(Backup)] == ["deleted", "deleted", "failed"]
    valley.round()
    assert (valley.last().kind, valley.last().state) == ("tend_vault", "done")
    assert valley.repositories(vault_id) == []
    with territory_session(stage.owner, "tests") as session:
        assert session.scalars(sa.select(BackupClient.service_id)).all() == []


PUT = """set -e
echo cadastre > /home/admin/plan.txt
echo 1789 > /data/registre.csv
ln /data/registre.csv /data/registre-1.csv
printf '#!/bin/sh\necho dumped > /var/lib/base.sql\n' > /etc/clocher/backup.d/base
chmod 755 /etc/clocher/backup.d/base
"""


def the_files_of_a_machine_come_back_beside(valley: Valley) -> None:
    """What its people have put on it, and what their own script has dumped; nothing that is there is touched."""
    stage = valley.stage
    stage.member_id = valley.commune
    machine, making = stage.order("archives", disk_gib=1, play="vm")
    assert [flow.error_detail for flow in stage.rest(making, seconds=SECONDS)] == [None]
    told_by(valley, machine, f"mkdir -p /etc/clocher/backup.d; {PUT}")
    valley.round()
    valley.round()
    assert (valley.last().kind, valley.last().error_detail) == ("backup_service", None)
    backup = stage.rows(Backup)[-1]
    assert (backup.service_id, backup.state, backup.meters) == (machine, "ready", {})

    told_by(valley, machine, "rm /home/admin/plan.txt /data/registre*; echo newer > /etc/motd")
    for _ in range(2):
        with territory_session(stage.owner, "tests") as session:
            backups.restore(session, machine, backup.id)
        valley.settle()
        assert (valley.last().kind, valley.last().error_detail) == ("restore_files", None)
    folder = f"/clocher-restauration/{backup.archive}"
    files = "home/admin/plan.txt data/registre.csv data/registre-1.csv var/lib/base.sql"
    assert told_by(valley, machine, f"cd {folder}; cat {files}").split() == ["cadastre", "1789", "1789", "dumped"]
    assert "openssh-server" in told_by(valley, machine, f"cat {folder}/etc/clocher/packages.txt")
    assert told_by(valley, machine, "ls /home/admin; cat /etc/motd").split()[-1] == "newer"

    with territory_session(stage.owner, "tests") as session:
        backups.prove(session, machine, backup.id)
    valley.settle()
    assert (valley.last().kind, valley.last().error_detail) == ("prove_backup", None)
    assert stage.rows(Backup)[-1].proved_at

    told_by(valley, machine, "printf '#!/bin/sh\nexit 3\n' > /etc/clocher/backup.d/base")
    with territory_session(stage.owner, "tests") as session:
        backups.back_up(session, machine, datetime.now(UTC))
    valley.settle()
    assert (valley.last().state, valley.last().error_code) == ("failed", "backup_failed")
    assert "/etc/clocher/backup.d/base exited with return code 3" in (valley.last().error_detail or "")
    assert stage.do(machine, "delete_server").state == "done"
