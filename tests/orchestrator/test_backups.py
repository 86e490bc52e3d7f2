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
    service = valley.stage.service(service_id)
    guest = Guest(address=service.address or "", hostname=service.name, ref=service.ref)
    note: dict[str, Any] = json.loads(
        ssh.run(valley.stage.settings, guest, "sudo", "cat", "/var/lib/clocher/restore.json")
    )
    return note


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
