"""A running dev cloud for the tests: the instance that the environment names, brought up if it is down."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.devcloud.consoles import pytest_runtest_makereport  # noqa: F401

openstack = pytest.importorskip("openstack")
ROOT = Path(__file__).resolve().parents[2]
UP_SECONDS = 900
Run = Callable[..., subprocess.CompletedProcess[str]]
WAIT_SECONDS = 60
BOOT_SECONDS = 90
NUMBERS = itertools.count(41)


def devcloud(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the dev cloud's command."""
    return subprocess.run(
        [sys.executable, "-m", "devcloud", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=UP_SECONDS,
        check=False,
    )


def eventually(condition: Callable[[], Any], what: str, seconds: float = WAIT_SECONDS, pause: float = 0.1) -> Any:
    """The first true value of `condition`, or a failure that names what never came."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds} s: {what}")
        time.sleep(pause)
    return value


@pytest.fixture(scope="session")
def state() -> Path:
    """The state folder of a running instance."""
    if os.geteuid():
        pytest.skip("the dev cloud needs root")
    if devcloud("status").returncode:
        started = devcloud("up")
        assert started.returncode == 0, started.stderr
    number = os.environ.get("CLOCHER_DEVCLOUD_INSTANCE", "0")
    default = ROOT / ".clocher" / (f"devcloud-{number}" if number != "0" else "devcloud")
    return Path(os.environ.get("CLOCHER_DEVCLOUD_DIR") or default)


@pytest.fixture(scope="session")
def connect(state: Path) -> Iterator[Callable[..., Any]]:
    """connect(cloud, **scope): a connection by an entry of the instance's clouds.yaml, in another scope if given."""
    made = []

    def open_connection(cloud: str, **scope: str) -> Any:
        region = openstack.config.OpenStackConfig(config_files=[str(state / "clouds.yaml")]).get_one(cloud=cloud)
        auth = dict(region.config["auth"])
        if scope:
            for key in ("project_name", "project_domain_name", "domain_name"):
                auth.pop(key, None)
            auth.update(scope)
        connection = openstack.connection.Connection(
            auth=auth, region_name=region.region_name, identity_api_version="3"
        )
        made.append(connection)
        return connection

    yield open_connection
    for connection in made:
        connection.close()


@pytest.fixture(scope="session")
def admin(connect: Callable[..., Any]) -> Any:
    """The cloud's administrator."""
    return connect("devcloud-admin")


@dataclass
class Member:
    """A project with a network of its own, its router, and a security group without inward rules."""

    cloud: Any
    project: Any
    network: Any
    subnet: Any
    router: Any
    group: Any


@pytest.fixture(scope="session")
def make_member(connect: Callable[..., Any], admin: Any) -> Iterator[Callable[[str], Member]]:
    """make_member(cidr): a project with its network, made by the orchestrator's own account; deleted at the end."""
    domain = connect("clocher-domain")
    access = domain.session.auth.get_access(domain.session)
    made: list[Member] = []

    def make(cidr: str) -> Member:
        name = f"test-{uuid.uuid4().hex[:8]}"
        project = domain.identity.create_project(name=name, domain_id=access.domain_id)
        domain.identity.assign_project_role_to_user(project, access.user_id, domain.identity.find_role("member"))
        cloud = connect("clocher", project_id=project.id)
        public = cloud.network.find_network("public")
        network = cloud.network.create_network(name=name)
        subnet = cloud.network.create_subnet(network_id=network.id, ip_version=4, cidr=cidr, is_dhcp_enabled=False)
        router = cloud.network.create_router(name=name, external_gateway_info={"network_id": public.id})
        cloud.network.add_interface_to_router(router, subnet=subnet.id)
        member = Member(cloud, project, network, subnet, router, cloud.network.create_security_group(name=name))
        made.append(member)
        return member

    yield make
    for member in made:
        _clear(member)
        domain.identity.delete_project(member.project)


@pytest.fixture(scope="module")
def member(make_member: Callable[[str], Member]) -> Member:
    """A member of the module's own; the host may speak SSH to its guests."""
    made = make_member(f"10.{next(NUMBERS)}.0.0/24")
    allow(made)
    return made


def _clear(member: Member) -> None:
    cloud = member.cloud
    for server in list(cloud.compute.servers()):
        cloud.compute.delete_server(server)
    eventually(lambda: not list(cloud.compute.servers()), "all servers of the test are gone")
    for address in list(cloud.network.ips(project_id=member.project.id)):
        cloud.network.delete_ip(address)
    for volume in list(cloud.block_storage.volumes()):
        cloud.block_storage.delete_volume(volume)
    for port in list(cloud.network.ports(network_id=member.network.id)):
        if not port.device_owner.startswith("network:"):
            cloud.network.delete_port(port)
    cloud.network.remove_interface_from_router(member.router, subnet=member.subnet.id)
    cloud.network.delete_router(member.router)
    cloud.network.delete_network(member.network)


@dataclass(frozen=True)
class Key:
    """An SSH key made for these tests."""

    private: Path
    public: str


@pytest.fixture(scope="session")
def key(tmp_path_factory: pytest.TempPathFactory) -> Key:
    path = tmp_path_factory.mktemp("key") / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True, timeout=20)
    return Key(path, path.with_suffix(".pub").read_text())


@pytest.fixture(scope="session")
def run_in(key: Key) -> Callable[..., subprocess.CompletedProcess[str]]:
    """run_in(address, command, user="debian"): run a command in a guest; exit status 255 when SSH itself failed."""

    def run(address: str, command: str, user: str = "debian", seconds: int = 30) -> subprocess.CompletedProcess[str]:
        options = (
            "-o",
            "StrictHostKeyChecking=no",
            "-o",
            "UserKnownHostsFile=/dev/null",
            "-o",
            "BatchMode=yes",
            "-o",
            "ConnectTimeout=2",
            "-o",
            "LogLevel=ERROR",
            "-o",
            "IdentitiesOnly=yes",
        )
        return subprocess.run(
            ["ssh", "-i", str(key.private), *options, f"{user}@{address}", command],
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def tell(run_in: Callable[..., Any]) -> Callable[..., str]:
    """tell(server, command): run it in the guest, as soon as the guest lets us in; its output."""

    def run(server: Any, command: str) -> str:
        def attempt() -> Any:
            done = run_in(address_of(server), command)
            return done if done.returncode != 255 else None

        done = eventually(attempt, f"{server.name} answers SSH", BOOT_SECONDS)
        assert done.returncode == 0, done.stderr
        return str(done.stdout.strip())

    return run


@pytest.fixture(scope="session")
def boot(key: Key, connect: Callable[..., Any]) -> Callable[..., Any]:
    """boot(member, **options): a server of `debian-12`, `s1.small`, on a port of the member's group, once ACTIVE."""

    name = f"test-{uuid.uuid4().hex[:8]}"  # a keypair is its user's, in all projects and all sessions
    connect("clocher").compute.create_keypair(name=name, public_key=key.public)

    def make(member: Member, **options: Any) -> Any:
        cloud = member.cloud
        port = cloud.network.create_port(network_id=member.network.id, security_groups=[member.group.id])
        wanted = {
            "name": f"guest-{uuid.uuid4().hex[:6]}",
            "image_id": cloud.image.find_image("debian-12").id,
            "flavor_id": cloud.compute.find_flavor("s1.small").id,
            "key_name": name,
            "networks": [{"port": port.id}],
            **options,
        }
        return wait_for_status(member, cloud.compute.create_server(**wanted), "ACTIVE")

    return make


def wait_for_status(member: Member, server: Any, status: str) -> Any:
    """The server when Nova says `status` and no task is under way; a failure when it is ERROR."""

    def look() -> Any:
        found = member.cloud.compute.get_server(server.id)
        assert found.status == status or found.status != "ERROR", found.fault
        return found if found.status == status and not found.task_state else None

    return eventually(look, f"server {server.name} is {status}")


def port_of(member: Member, server: Any) -> Any:
    """The server's only port."""
    return next(iter(member.cloud.network.ports(device_id=server.id)))


def address_of(server: Any) -> str:
    """The server's fixed address."""
    return next(
        entry["addr"]
        for entries in server.addresses.values()
        for entry in entries
        if entry["OS-EXT-IPS:type"] == "fixed"
    )


def allow(member: Member, **rule: Any) -> Any:
    """Add an inward rule to the member's security group: all TCP to port 22 unless said otherwise."""
    wanted = {
        "direction": "ingress",
        "ether_type": "IPv4",
        "protocol": "tcp",
        "port_range_min": 22,
        "port_range_max": 22,
    }
    return member.cloud.network.create_security_group_rule(security_group_id=member.group.id, **{**wanted, **rule})
