"""A volume holds data, wherever it is attached."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.devcloud.conftest import Member, eventually, wait_for_status

pytestmark = pytest.mark.cloud


@pytest.fixture
def tell(tell: Callable[..., str]) -> Callable[..., str]:
    """Here everything is said as root."""
    return lambda server, command: tell(server, f"sudo sh -c '{command}'")


def test_data_goes_where_the_volume_goes(member: Member, boot: Callable[..., Any], tell: Callable[..., str]) -> None:
    first, second = boot(member), boot(member)
    volume = _make(member)
    _attach(member, first, volume)
    by_id = f"/dev/disk/by-id/virtio-{volume.id[:20]}"
    assert tell(first, "blockdev --getsize64 /dev/vdb") == str(1 << 30)
    tell(first, f"mkfs.ext4 -q {by_id} && mount {by_id} /mnt && echo acts > /mnt/archive")

    _stop_and_start(member, first)
    assert tell(first, f"mount {by_id} /mnt && cat /mnt/archive") == "acts"

    _refuse_to_detach(member, first, volume, tell)
    _detach(member, first, volume)
    assert tell(first, "ls /dev/vdb 2>&1 || true").endswith("No such file or directory")

    _attach(member, second, volume)
    assert tell(second, f"mount {by_id} /mnt && cat /mnt/archive") == "acts"
    _check_growth(member, volume, second, tell)
    _check_snapshot(member, volume, first, tell)


def _refuse_to_detach(member: Member, server: Any, volume: Any, tell: Callable[..., str]) -> None:
    """A program that writes to it keeps it: nothing is torn away under it."""
    tell(server, "systemd-run --quiet --unit=writer --working-directory=/mnt sleep 600")
    member.cloud.compute.delete_volume_attachment(server, volume.id)
    eventually(lambda: member.cloud.block_storage.get_volume(volume.id).status == "in-use", "the volume stays")
    assert tell(server, "cat /mnt/archive") == "acts"
    tell(server, "systemctl stop writer")


def _check_growth(member: Member, volume: Any, server: Any, tell: Callable[..., str]) -> None:
    member.cloud.block_storage.extend_volume(volume.id, 2)
    eventually(lambda: tell(server, "blockdev --getsize64 /dev/vdb") == str(2 << 30), "the guest sees the growth")


def _check_snapshot(member: Member, volume: Any, server: Any, tell: Callable[..., str]) -> None:
    storage = member.cloud.block_storage
    tell(server, "sync")
    snapshot = storage.create_snapshot(volume_id=volume.id, is_forced=True)
    eventually(lambda: storage.get_snapshot(snapshot.id).status == "available", "the snapshot")
    copy = _make(member, snapshot_id=snapshot.id, size=2)
    _attach(member, server, copy)
    assert tell(server, "mount /dev/vdb /mnt && cat /mnt/archive") == "acts"
    tell(server, "umount /mnt")
    _detach(member, server, copy)
    storage.delete_snapshot(snapshot)
    eventually(lambda: not list(storage.snapshots()), "the snapshot is gone")


def _make(member: Member, **options: Any) -> Any:
    storage = member.cloud.block_storage
    volume = storage.create_volume(**{"size": 1, **options})
    return eventually(lambda: _having(storage.get_volume(volume.id), "available"), "the volume")


def _attach(member: Member, server: Any, volume: Any) -> None:
    member.cloud.compute.create_volume_attachment(server, volume_id=volume.id)
    eventually(lambda: _having(member.cloud.block_storage.get_volume(volume.id), "in-use"), "the volume is attached")


def _detach(member: Member, server: Any, volume: Any) -> None:
    def detached() -> Any:
        return _having(member.cloud.block_storage.get_volume(volume.id), "available")

    member.cloud.compute.delete_volume_attachment(server, volume.id)
    eventually(detached, "the volume is detached")


def _having(volume: Any, status: str) -> Any:
    assert not volume.status.startswith("error"), volume.status
    return volume if volume.status == status else None


def _stop_and_start(member: Member, server: Any) -> None:
    member.cloud.compute.stop_server(server)
    wait_for_status(member, server, "SHUTOFF")
    member.cloud.compute.start_server(server)
    wait_for_status(member, server, "ACTIVE")
