"""A server's snapshot is an image with the guest's files in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.devcloud.conftest import Member, address_of, allow, eventually, wait_for_status

pytestmark = pytest.mark.cloud
BOOT_SECONDS = 90
HOST_KEY = 'cat /etc/ssh/ssh_host_ed25519_key.pub | cut -d" " -f2'


@pytest.fixture(scope="module")
def member(make_member: Callable[[str], Member]) -> Member:
    made = make_member("10.43.0.0/24")
    allow(made)
    return made


@pytest.mark.parametrize("running", [True, False])
def test_a_server_from_a_snapshot_has_the_files_and_is_itself(
    running: bool, member: Member, boot: Callable[..., Any], run_in: Callable[..., Any]
) -> None:
    def tell(server: Any, command: str) -> str:
        done = eventually(lambda: _answer(run_in(address_of(server), command)), "SSH", BOOT_SECONDS)
        assert done.returncode == 0, done.stderr
        return str(done.stdout.strip())

    cloud = member.cloud
    source = boot(member, name="source")
    tell(source, "echo deeds > register && sync && cloud-init status --wait")
    if not running:
        cloud.compute.stop_server(source)
        wait_for_status(member, source, "SHUTOFF")
    image = cloud.compute.create_server_image(source, "deeds")
    eventually(lambda: cloud.image.get_image(image.id).status == "active", "the image is active")
    wait_for_status(member, source, "ACTIVE" if running else "SHUTOFF")
    if not running:
        cloud.compute.start_server(source)
        wait_for_status(member, source, "ACTIVE")
    copy = boot(member, name="copy", image_id=image.id)
    assert tell(copy, "cat register") == "deeds"
    assert tell(copy, "hostname") == "copy"
    assert tell(copy, "cat /etc/machine-id") == copy.id.replace("-", "")
    assert tell(copy, HOST_KEY) != tell(source, HOST_KEY)
    cloud.image.delete_image(image)


def _answer(done: Any) -> Any:
    return done if done.returncode != 255 else None
