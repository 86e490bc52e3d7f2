"""A guest of the dev cloud, made once for the tests of what runs in it."""

from __future__ import annotations

import random
import subprocess
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestrator import cloud, cloud_network, cloud_servers, cloud_volumes, places, readiness, ssh
from orchestrator.cloud import Cloud, Tag
from orchestrator.settings import Settings
from orchestrator.ssh import Guest
from tests.orchestrator.conftest import CLOUDS, QUOTAS
from tests.orchestrator.flowing import clear, eventually


@dataclass
class Machine:
    """A server with a data volume, and the keys of the member's people."""

    settings: Settings
    project: Cloud
    guest: Guest
    server_id: str
    volume_id: str
    folder: Path

    def key(self, name: str) -> str:
        """The public key of a person; the private one is kept beside it."""
        path = self.folder / name
        if not path.exists():
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(path)]
            subprocess.run(command, check=True, timeout=30)
        return path.with_suffix(".pub").read_text().strip()

    def log_in(self, user: str, key: str, *command: str) -> subprocess.CompletedProcess[str]:
        """SSH into the guest as a person does."""
        self.key(key)
        call = ["ssh", "-i", str(self.folder / key), *ssh.options(self.settings, self.guest)]
        call += [f"{user}@{self.guest.address}", *command]
        return subprocess.run(call, capture_output=True, text=True, timeout=30, check=False)

    def restart(self) -> None:
        """Stop and start the server, and wait until it answers."""
        for ask, status in ((cloud_servers.stop_server, "SHUTOFF"), (cloud_servers.start_server, "ACTIVE")):
            ask(self.project, self.server_id)
            self.wait(status)
        readiness.wait_for_ssh(self.guest.address, self.settings.ssh_timeout)

    def wait(self, status: str) -> None:
        def reached() -> bool:
            found = cloud_servers.get_server(self.project, self.server_id)
            assert found.status != "ERROR", found.fault
            return found.status == status and found.task_state is None

        eventually(reached, f"server is {status}")


@pytest.fixture(scope="package")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A fresh server with a blank volume of 1 GiB; all gone afterwards."""
    folder = tmp_path_factory.mktemp("guest")
    territory = f"play-{uuid.uuid4().hex[:8]}"
    settings = Settings(state_dir=folder / "state", secret_key="x", clouds_file=CLOUDS, territory=territory)
    control = cloud.connect(settings)
    site = places.open_site(control)
    cidr = f"10.{random.randint(200, 249)}.{random.randint(0, 255)}.0/24"
    try:
        ids = places.visit(places.Walk(site, places.Wanted(territory, "Tests of plays", cidr, (), QUOTAS), act=True))
        yield _build(settings, control.project(ids.project_id), ids, folder)
    finally:
        clear(settings, ids)
        places.remove(site, territory)


def _build(settings: Settings, project: Cloud, ids: places.Ids, folder: Path) -> Machine:
    ref = uuid.uuid4()
    tag = Tag(settings.territory, str(ref), 0)
    volume = cloud_volumes.create_volume(project, "data", 1, tag=tag)
    port = cloud_network.create_port(project, "mairie", ids.network_id, ids.security_group_id, tag=tag)
    server_id = cloud_servers.create_server(
        project,
        "mairie",
        tag=tag,
        flavor_id=cloud_servers.find_flavor(project, "s1.small"),
        image_id=cloud_servers.find_image(project, "debian-12"),
        port_id=port.id,
        keypair=cloud_servers.import_keypair(project, "clocher", ssh.public_key(settings)),
    )
    machine = Machine(settings, project, Guest(port.address, "mairie", ref), server_id, volume.id, folder)
    machine.wait("ACTIVE")
    eventually(lambda: cloud_volumes.get_volume(project, volume.id).status == "available", "volume is there")
    cloud_servers.attach_volume(project, server_id, volume.id)
    began = time.monotonic()
    readiness.wait_for_ssh(port.address, settings.ssh_timeout)
    print(f"SSH answered {time.monotonic() - began:.1f} s after the server was active")
    return machine
