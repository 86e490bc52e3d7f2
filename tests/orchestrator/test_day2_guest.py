"""What is done to a service that lives, seen from inside its guest: one guest that goes through it all."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from orchestrator import snapshots, ssh
from orchestrator.database import territory_session
from orchestrator.ssh import Guest
from orchestrator.tables import AnsibleEvent, Service
from tests.orchestrator.flowing import Stage
from tests.orchestrator.test_day2 import MEDIUM, ask, take_snapshot

pytestmark = pytest.mark.cloud


class Machine:
    """The guest of a service, and the keys of the member's people."""

    def __init__(self, stage: Stage, folder: Path) -> None:
        self.stage, self.folder = stage, folder
        self.service_id, self.flow = stage.order("web", play="vm", disk_gib=1, ssh_keys=[self.key("jeanne")])

    def key(self, person: str) -> str:
        """The public key of a person, made when first asked for."""
        path = self.folder / person
        if not path.exists():
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", person, "-f", str(path)]
            subprocess.run(command, check=True, timeout=30)
        return path.with_suffix(".pub").read_text().strip()

    @property
    def guest(self) -> Guest:
        service = self.stage.service(self.service_id)
        return Guest(service.address or "", service.name, UUID(str(service.ref)))

    def run(self, *command: str) -> str:
        """Run a command in the guest."""
        return ssh.run(self.stage.settings, self.guest, *command).strip()

    def enters(self, person: str) -> bool:
        """Whether a person's key opens the member's account."""
        options = ssh.options(self.stage.settings, self.guest)
        command = ["ssh", "-i", str(self.folder / person), *options, f"admin@{self.guest.address}", "true"]
        quiet: dict[str, Any] = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True}
        done = subprocess.run(command, timeout=60, check=False, **quiet)
        assert done.returncode == 0 or "Permission denied" in done.stderr, done.stderr
        return done.returncode == 0


def test_a_guest_goes_through_it_all(stage: Stage, tmp_path: Path) -> None:
    stage.start()
    machine = Machine(stage, tmp_path)
    (created,) = stage.rest(machine.flow, seconds=400)
    assert (created.state, created.error_detail) == ("done", None)
    volume_grows_and_keeps_its_data(stage, machine)
    keys_are_replaced(stage, machine)
    snapshot_brings_a_file_back(stage, machine)
    snapshot_brings_the_data_back_and_what_was_there_is_kept(stage, machine)
    name_reaches_the_guest(stage, machine)
    volumes_given_to_a_machine_that_is_off_are_there_when_it_starts(stage, machine)
    size_that_does_not_prove_itself_is_given_back(stage, machine)


def volume_grows_and_keeps_its_data(stage: Stage, machine: Machine) -> None:
    ask(stage, machine.service_id, "add_volume", role="photos-2", name="photos-2", disk_gib=1)
    machine.run("sudo", "sh", "-c", "echo kept > /srv/photos-2/file")
    before = int(machine.run("df", "--output=size", "-B1M", "/srv/photos-2").split()[-1])
    ask(stage, machine.service_id, "grow_volume", role="photos-2", disk_gib=2)
    after = int(machine.run("df", "--output=size", "-B1M", "/srv/photos-2").split()[-1])
    assert before < 1024 < after
    assert machine.run("cat", "/srv/photos-2/file") == "kept"
    ask(stage, machine.service_id, "reboot_server", hard=False)
    assert machine.run("cat", "/srv/photos-2/file") == "kept"
    ask(stage, machine.service_id, "remove_volume", role="photos-2")
    left = "findmnt /srv/photos-2 || systemctl list-unit-files | grep photos || echo gone"
    assert machine.run("sh", "-c", left) == "gone"
    ask(stage, machine.service_id, "grow_volume", role="main", disk_gib=2)
    assert int(machine.run("df", "--output=size", "-B1M", "/data").split()[-1]) > 1024


def keys_are_replaced(stage: Stage, machine: Machine) -> None:
    assert machine.enters("jeanne")
    ask(stage, machine.service_id, "replace_keys", ssh_keys=[machine.key("paul")])
    assert machine.enters("paul")
    assert not machine.enters("jeanne")
    assert stage.service(machine.service_id).specification["ssh_keys"] == [machine.key("paul")]


def snapshot_brings_a_file_back(stage: Stage, machine: Machine) -> None:
    machine.run("sudo", "sh", "-c", "echo precious > /etc/precious; echo current > /data/current")
    snapshot_id = take_snapshot(stage, machine.service_id)
    machine.run("sudo", "rm", "/etc/precious")
    machine.run("sudo", "touch", "/etc/later")
    ask(stage, machine.service_id, "replace_keys", ssh_keys=[machine.key("jeanne")])
    ask(stage, machine.service_id, "restore_server", snapshot_id=snapshot_id)
    assert machine.run("cat", "/etc/precious") == "precious"
    assert machine.run("sh", "-c", "ls /etc/later || echo gone") == "gone"
    assert machine.run("cat", "/data/current") == "current"
    # What the member has changed since then holds: who was let in at the snapshot's time is not let in again.
    assert machine.enters("jeanne")
    assert not machine.enters("paul")


def snapshot_brings_the_data_back_and_what_was_there_is_kept(stage: Stage, machine: Machine) -> None:
    snapshot_id = take_snapshot(stage, machine.service_id, "avec données")
    machine.run("sudo", "sh", "-c", "rm /data/current; echo newer > /data/newer; rm /etc/precious")
    with territory_session(stage.owner, "tests") as session:
        kept = snapshots.declare(session, session.get_one(Service, machine.service_id), "au cas où").id
    ask(stage, machine.service_id, "restore_server", snapshot_id=snapshot_id, volumes=["main"], safety_id=kept)
    present = "cat /data/current; ls /data/newer || echo gone; cat /etc/precious"
    assert machine.run("sh", "-c", present).split() == ["current", "gone", "precious"]
    assert int(machine.run("df", "--output=size", "-B1M", "/data").split()[-1]) > 1024
    # And back again: what was there before the restore was kept.
    ask(stage, machine.service_id, "restore_server", snapshot_id=kept, volumes=["main"])
    present = "cat /data/newer; ls /data/current || echo gone; ls /etc/precious || echo gone"
    assert machine.run("sh", "-c", present).split() == ["newer", "gone", "gone"]
    machine.run("sudo", "sh", "-c", "echo precious > /etc/precious")
    ask(stage, machine.service_id, "reboot_server", hard=True)
    assert machine.run("cat", "/data/newer") == "newer"


def name_reaches_the_guest(stage: Stage, machine: Machine) -> None:
    ask(stage, machine.service_id, "rename_server", name="site")
    assert machine.run("hostname") == "site"


def volumes_given_to_a_machine_that_is_off_are_there_when_it_starts(stage: Stage, machine: Machine) -> None:
    ask(stage, machine.service_id, "stop_server")
    ask(stage, machine.service_id, "add_volume", role="archives", name="archives", disk_gib=1)
    ask(stage, machine.service_id, "start_server")
    assert machine.run("findmnt", "-no", "FSTYPE", "/srv/archives") == "ext4"


def size_that_does_not_prove_itself_is_given_back(stage: Stage, machine: Machine) -> None:
    """The guest's node exporter never comes back after the restart: the size is reverted, the service as before."""
    for process in stage.processes:
        process.terminate()
        process.join(30)
    machine.run("sudo", "systemctl", "mask", "prometheus-node-exporter.service")
    stage.start("worker-2")
    failed = stage.do(machine.service_id, "resize_server", **MEDIUM)
    assert (failed.state, failed.error_code) == ("failed", "unhealthy")
    assert stage.steps(failed.id) == {"resize": "undone", "health": "failed"}
    service = stage.service(machine.service_id)
    assert (service.state, service.specification["flavor"]) == ("active", "s1.small")
    assert machine.run("cat", "/etc/precious") == "precious"
    assert stage.rows(AnsibleEvent)
