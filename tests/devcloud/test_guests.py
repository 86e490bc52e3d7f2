"""Guests are real machines: what Nova is told, they do."""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from devcloud.guest import Guest
from tests.devcloud.conftest import Member, address_of, eventually, wait_for_status

pytestmark = pytest.mark.cloud
MARK = "echo here > /home/debian/mark"
USER_DATA = "#!/bin/sh\necho told > /root/told\n"


@pytest.fixture(scope="module")
def server(boot: Callable[..., Any], member: Member) -> Any:
    return boot(member, name="mairie", user_data=base64.b64encode(USER_DATA.encode()).decode())


def test_a_guest_is_the_debian_that_was_asked_for(server: Any, tell: Callable[..., str]) -> None:
    assert "VERSION_CODENAME=bookworm" in tell(server, "cat /etc/os-release")
    assert tell(server, "cat /proc/1/comm") == "systemd"
    assert tell(server, "hostname") == "mairie"
    assert tell(server, "cat /etc/machine-id") == server.id.replace("-", "")
    tell(server, "cloud-init status --wait")
    assert tell(server, "sudo cat /root/told") == "told"
    assert tell(server, "systemctl list-units --failed --no-legend") == ""


def test_a_guest_has_control_groups_of_its_own(server: Any, state: Path) -> None:
    """Where two guests' systemds share a tree, one takes away the groups in which the other starts its services."""
    guest = Guest(state / "nova" / "instances" / server.id)
    lines = [line.split(":") for line in Path(f"/proc/{guest.init()}/cgroup").read_text().splitlines()]
    managed = [path for _, names, path in lines if names in ("", "name=systemd")]
    assert managed
    assert all(path.startswith(f"/{guest.read().group}/") for path in managed), managed


def test_the_console_shows_the_boot(server: Any, member: Member) -> None:
    def look() -> bool:
        return "mairie login:" in member.cloud.compute.get_server_console_output(server)["output"]

    eventually(look, "the console ends with a login")


def test_files_outlive_stop_and_start(server: Any, member: Member, tell: Callable[..., str]) -> None:
    tell(server, MARK)
    member.cloud.compute.stop_server(server)
    wait_for_status(member, server, "SHUTOFF")
    assert not _namespace_processes(server)
    member.cloud.compute.start_server(server)
    started = wait_for_status(member, server, "ACTIVE")
    assert address_of(started) == address_of(server)
    assert tell(server, "cat mark") == "here"


@pytest.mark.parametrize("kind", ["SOFT", "HARD"])
def test_a_reboot_is_a_new_boot(kind: str, server: Any, member: Member, tell: Callable[..., str]) -> None:
    before = tell(server, "cat /proc/sys/kernel/random/boot_id")
    member.cloud.compute.reboot_server(server, kind)
    wait_for_status(member, server, "ACTIVE")
    eventually(lambda: tell(server, "cat /proc/sys/kernel/random/boot_id") != before, "another boot")


def test_nova_sees_a_guest_power_off_by_itself(server: Any, member: Member, tell: Callable[..., str]) -> None:
    tell(server, "sudo systemd-run --on-active=0.1 systemctl poweroff")
    wait_for_status(member, server, "SHUTOFF")
    member.cloud.compute.start_server(server)
    wait_for_status(member, server, "ACTIVE")


def test_a_paused_guest_stands_still(server: Any, member: Member, run_in: Callable[..., Any], tell: Any) -> None:
    tell(server, "true")
    member.cloud.compute.pause_server(server)
    wait_for_status(member, server, "PAUSED")
    assert "timed out" in run_in(address_of(server), "true").stderr
    member.cloud.compute.unpause_server(server)
    wait_for_status(member, server, "ACTIVE")
    tell(server, "true")


def test_a_size_is_a_limit_and_resize_changes_it(server: Any, member: Member, tell: Callable[..., str]) -> None:
    compute = member.cloud.compute
    take = "python3 -c 'b = bytearray(1400 << 20); print(len(b) >> 20)' || echo refused"
    tell(server, MARK)
    assert "refused" in tell(server, take)
    compute.resize_server(server, compute.find_flavor("s1.medium").id)
    wait_for_status(member, server, "VERIFY_RESIZE")
    assert "1400" in tell(server, take)
    compute.revert_server_resize(server)
    wait_for_status(member, server, "ACTIVE")
    assert "refused" in tell(server, take)
    compute.resize_server(server, compute.find_flavor("s1.medium").id)
    wait_for_status(member, server, "VERIFY_RESIZE")
    compute.confirm_server_resize(server)
    wait_for_status(member, server, "ACTIVE")
    assert "1400" in tell(server, take)
    assert tell(server, "cat mark") == "here"


def test_rebuild_starts_over_at_the_same_address(server: Any, member: Member, tell: Callable[..., str]) -> None:
    compute = member.cloud.compute
    compute.rebuild_server(server, image=member.cloud.image.find_image("debian-12").id)
    rebuilt = wait_for_status(member, server, "ACTIVE")
    assert address_of(rebuilt) == address_of(server)
    assert tell(server, "ls -A /home/debian/mark 2>/dev/null || echo none") == "none"


def test_six_guests_boot_at_once_and_leave_nothing(
    member: Member, boot: Callable[..., Any], state: Path, tell: Callable[..., str]
) -> None:
    with ThreadPoolExecutor(6) as pool:
        servers = list(pool.map(lambda _: boot(member), range(6)))
        ids = list(pool.map(lambda each: tell(each, "cat /etc/machine-id"), servers))
    assert ids == [each.id.replace("-", "") for each in servers]
    for each in servers:
        member.cloud.compute.delete_server(each)
    for each in servers:
        eventually(lambda: not _traces(state, each), f"nothing is left of {each.name}")  # noqa: B023


def test_an_image_that_is_no_image_says_so(member: Member, admin: Any, boot: Callable[..., Any]) -> None:
    image = admin.image.create_image(
        "not-an-image", data=b"nonsense" * 512, disk_format="raw", container_format="bare", visibility="public"
    )
    try:
        with pytest.raises(AssertionError, match="not an image of this cloud"):
            boot(member, image_id=image.id)
    finally:
        admin.image.delete_image(image)


def _namespace_processes(server: Any) -> str:
    listed = subprocess.run(
        ["pgrep", "-f", f"uuid={server.id}"], capture_output=True, text=True, timeout=10, check=False
    )
    return listed.stdout


def _traces(state: Path, server: Any) -> list[str]:
    """What is on the host of a server: its directory, its namespace, its control groups, its processes."""
    short = server.id[:8]
    found = [
        *(state / "nova" / "instances").glob(f"{short}*"),
        *Path("/run/netns").glob(f"*-vm-{short}"),
        *Path("/sys/fs/cgroup").glob(f"*/*-vm-{short}"),
        *Path("/sys/fs/cgroup").glob(f"*-vm-{short}"),
    ]
    return [*map(str, found), *_namespace_processes(server).split()]
