"""Up, a crash, down, up again, on an instance of its own: nothing left behind, nothing lost, nothing else touched."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import Key, Run, devcloud, eventually

openstack = pytest.importorskip("openstack")
pytestmark = [pytest.mark.cloud, pytest.mark.filterwarnings("ignore::DeprecationWarning")]
NUMBER = 9
DECOY = "clodecoy"


def shell(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout


def remains(state: Path) -> dict[str, list[str]]:
    """Everything on this machine that bears the instance's name, or lies in its state."""
    links = shell("ip", "-o", "link").splitlines()
    return {
        "namespaces": [line for line in shell("ip", "netns").splitlines() if line.startswith(f"clo{NUMBER}-")],
        "interfaces": [line for line in links if f" clo{NUMBER}-" in line or f" c{NUMBER}" in line],
        "mounts": [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if f"{state}/" in line],
        "loops": [line for line in shell("losetup", "-l", "-n", "-O", "BACK-FILE").splitlines() if f"{state}/" in line],
        "tables": [line for line in shell("nft", "list", "tables").splitlines() if line.endswith(f" clo{NUMBER}")],
        "groups": [str(path) for path in Path("/sys/fs/cgroup").glob(f"**/clo{NUMBER}-*")],
        "routes": [line for line in shell("ip", "route").splitlines() if f"clo{NUMBER}-" in line],
        "processes": [line for line in shell("ps", "-eo", "args").splitlines() if f"{state}/" in line],
    }


def exposed() -> list[str]:
    """Sockets of the instance's ports that anyone but this machine could reach."""
    lines = shell("ss", "-Hltn").splitlines()
    ours = [
        line.split()[3] for line in lines if line.split()[3].rpartition(":")[2] in {str(15900 + n) for n in range(6)}
    ]
    return [where for where in ours if not where.startswith("127.0.0.1:")]


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The state folder of a private instance, reset at the end. A bridge and a table of a similar name stand by."""
    if os.geteuid():
        pytest.skip("the dev cloud needs root")
    state = tmp_path / "cloud"
    monkeypatch.setenv("CLOCHER_DEVCLOUD_INSTANCE", str(NUMBER))
    monkeypatch.setenv("CLOCHER_DEVCLOUD_DIR", str(state))
    shell("ip", "link", "add", DECOY, "type", "bridge")
    shell("nft", "add", "table", "ip", DECOY)
    yield state
    devcloud("reset")
    shell("ip", "link", "delete", DECOY)
    shell("nft", "delete", "table", "ip", DECOY)


def test_a_crash_leaves_nothing_and_loses_nothing(own: Path, key: Key, run_in: Run) -> None:
    assert (started := devcloud("up")).returncode == 0, started.stderr
    assert exposed() == []
    address = boot_guest(own, key)
    eventually(lambda: run_in(address, "true").returncode == 0, "the guest answers")
    run_in(address, "echo kept > note && sync")

    for service in json.loads(devcloud("status", "--json").stdout)["services"].values():
        os.kill(service["pid"], signal.SIGKILL)
    assert devcloud("status").returncode == 1
    assert (stopped := devcloud("down")).returncode == 0, stopped.stderr
    assert remains(own) == {name: [] for name in remains(own)}
    assert DECOY in shell("ip", "-o", "link")
    assert DECOY in shell("nft", "list", "tables")

    assert (again := devcloud("up")).returncode == 0, again.stderr
    eventually(lambda: run_in(address, "cat note").stdout == "kept\n", "the guest is back, with its file and address")
    assert "already up" in devcloud("up").stderr


def test_a_first_start_that_was_cut_is_finished_by_the_next(own: Path) -> None:
    cut = subprocess.Popen([sys.executable, "-m", "devcloud", "up"], stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        eventually(lambda: services_that_answer() != [], "some service answers")
    finally:
        os.killpg(cut.pid, signal.SIGKILL)
        cut.wait()
    assert devcloud("status").returncode == 1
    assert (again := devcloud("up")).returncode == 0, again.stderr
    assert "already up" not in again.stderr
    assert devcloud("status").returncode == 0
    with connected(own) as cloud:
        assert cloud.compute.find_flavor("s1.small") and cloud.image.find_image("debian-12")


def services_that_answer() -> list[str]:
    told = json.loads(devcloud("status", "--json").stdout)["services"]
    return [name for name, service in told.items() if service["answers"]]


def test_a_taken_port_is_refused_and_nothing_is_changed(own: Path) -> None:
    with socket.create_server(("127.0.0.1", 15900 + 4)):
        refused = devcloud("up")
    assert refused.returncode == 1
    assert "15904" in refused.stderr
    assert not own.exists()
    assert remains(own) == {name: [] for name in remains(own)}


def connected(state: Path) -> Any:
    """The cloud as its administrator."""
    region = openstack.config.OpenStackConfig(config_files=[str(state / "clouds.yaml")]).get_one(cloud="devcloud-admin")
    return openstack.connection.Connection(config=region)


def boot_guest(state: Path, key: Key) -> str:
    """A guest of the administrator's own project; its fixed address."""
    with connected(state) as cloud:
        network = cloud.network.create_network(name="life")
        subnet = cloud.network.create_subnet(network_id=network.id, ip_version=4, cidr="10.249.9.0/24")
        public = cloud.network.find_network("public")
        router = cloud.network.create_router(name="life", external_gateway_info={"network_id": public.id})
        cloud.network.add_interface_to_router(router, subnet=subnet.id)
        port = cloud.network.create_port(network_id=network.id, is_port_security_enabled=False)
        cloud.compute.create_keypair(name="life", public_key=key.public)
        server = cloud.compute.create_server(
            name="life",
            image_id=cloud.image.find_image("debian-12").id,
            key_name="life",
            flavor_id=cloud.compute.find_flavor("s1.small").id,
            networks=[{"port": port.id}],
        )
        cloud.compute.wait_for_server(server)  # a build that failed says why
        return str(port.fixed_ips[0]["ip_address"])
