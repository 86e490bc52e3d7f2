"""A server's snapshot is an image with the guest's files in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from devcloud import guest_images
from tests.devcloud.conftest import Member, eventually, wait_for_status

pytestmark = pytest.mark.cloud
CERTIFICATES = "usr/share/ca-certificates/mozilla"
HOST_KEY = 'cat /etc/ssh/ssh_host_ed25519_key.pub | cut -d" " -f2'


@pytest.mark.parametrize("running", [True, False])
def test_a_server_from_a_snapshot_has_the_files_and_is_itself(
    running: bool, member: Member, boot: Callable[..., Any], tell: Callable[..., str]
) -> None:
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


def test_a_guest_trusts_the_hosts_own_authorities(
    member: Member, boot: Callable[..., Any], state: Path, tmp_path: Path
) -> None:
    """Their layer is made in any temporary folder: one in five has an underscore, which no machine's name may have."""
    base = guest_images.mount(state / "nova" / "images" / f"{boot(member).image.id}.squashfs")
    made = tmp_path / "under_score"
    made.mkdir()
    layer = guest_images._make_layer(made, base, {"own.crt": next((base / CERTIFICATES).glob("*.crt")).read_bytes()})
    assert (layer / "etc/ssl/certs/own.pem").is_symlink()
