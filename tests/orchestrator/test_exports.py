"""An export on the real dev cloud: ordered, data put in, handed out, fetched over SSH into one archive."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import pytest

from orchestrator import ansible, exports, ssh
from orchestrator.database import territory_session
from orchestrator.errors import ClocherError
from orchestrator.settings import ROOT
from orchestrator.ssh import Guest
from orchestrator.tables_exports import Export
from tenants import stacks
from tests.orchestrator.flowing import Stage
from tests.orchestrator.test_kill import restart, run_to_the_end
from tests.tenants.leaving import opened

pytestmark = [pytest.mark.cloud, pytest.mark.slow]

EXAMPLES = ROOT / "playbooks" / "examples"
SECONDS = 600.0


def declare(stage: Stage, service_id: int) -> int:
    """An export and its flow, as a request leaves them, with one paper."""
    with territory_session(stage.owner, "tests") as session:
        service = stage.service(service_id)
        made = exports.declare(session, service, "essai-salut-2026-11-23", {"LISEZMOI.txt": "Bonjour.\n"},
                               datetime.now(UTC))  # fmt: skip
        export_id = made.id
    stage.ask(service_id, "export_service", export_id=export_id)
    return export_id


def test_the_data_come_out_whenever_a_worker_dies(stage: Stage) -> None:
    stage.settings = stage.settings.model_copy(update={"stacks_dirs": (EXAMPLES,)})
    known = stacks.read(EXAMPLES / "hello").model_dump(mode="json", exclude_none=True)
    stage.start()
    chosen = {"greeting": "Salut", "contact": "", "until": ""}
    service_id, making = stage.order("salut", disk_gib=1, **stacks.specification(known, chosen))
    assert [flow.error_detail for flow in stage.rest(making, seconds=SECONDS)] == [None]
    service = stage.service(service_id)
    guest = Guest(address=service.address or "", hostname=service.name, ref=service.ref)
    ansible.configure(stage.settings, "stacks/hello", guest, {}, lambda event: None, act="test/put")
    stage.stop()

    export_id = declare(stage, service_id)
    run_to_the_end(stage, restart)
    (made,) = stage.rows(Export, Export.id == export_id)
    assert (made.state, made.files) == ("ready", 5)
    path = exports.path(stage.settings, made)
    assert [one.name for one in path.parent.iterdir()] == [path.name]
    assert (path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest()) == (made.bytes, made.sha256)
    files = opened(path)
    given = ("pages/index.html", "pages/known.txt", "pages/version.txt", "README.txt", "SHA256SUMS")
    assert files.keys() == {"LISEZMOI.txt", "SHA256SUMS", *(f"donnees/{name}" for name in given)}
    assert b"Salut" in files["donnees/pages/index.html"]
    for line in files["SHA256SUMS"].decode().splitlines():
        told, name = line.split("  ", 1)
        assert hashlib.sha256(files[name]).hexdigest() == told

    what_can_not_be_read_is_told(stage, guest)


def what_can_not_be_read_is_told(stage: Stage, guest: Guest) -> None:
    with (
        pytest.raises(ClocherError) as failed,
        ssh.stream(stage.settings, guest, "tar", "-cf", "-", "/nowhere", timeout=60) as source,
    ):
        assert source.read()
    assert failed.value.code == "command_failed"
    with (
        pytest.raises(ClocherError) as late,
        ssh.stream(stage.settings, guest, "cat", "/dev/zero", timeout=1) as source,
    ):
        while source.read(1 << 20):
            pass
    assert late.value.code == "guest_unreachable"
    with pytest.raises(ValueError, match="enough"), ssh.stream(stage.settings, guest, "yes", timeout=60):
        raise ValueError("enough")
