"""Volumes in guests: a file, a loop device on it, and the names by which the guest knows it. Standard library only."""

from __future__ import annotations

import fcntl
import json
import subprocess
from pathlib import Path

from devcloud import guest_cgroup
from devcloud.guest import Disk, Guest, GuestError, wait

LOCK = Path("/run/lock/clocher-devcloud-loop")
SECONDS = 30
RELEASE_SECONDS = 5


def names(disk: Disk) -> tuple[str, str]:
    """Where the guest finds it: by the name that Nova gave, and by its id, as under KVM."""
    return f"/dev/{disk.device}", f"/dev/disk/by-id/virtio-{disk.volume_id[:20]}"


def find_loop(path: Path) -> str | None:
    """The loop device on a file, if there is one."""
    listed = json.loads(_run("losetup", "--json", "--list", "--associated", str(path)) or '{"loopdevices": []}')
    return next((str(loop["name"]) for loop in listed["loopdevices"]), None)


def open_loop(path: Path) -> str:
    """The loop device on a file, made if there is none."""
    with LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return find_loop(path) or _run("losetup", "--find", "--show", str(path)).strip()


def close_loop(path: Path) -> None:
    """Release the file: all that was written is on it, and nothing can write it any more."""
    loop = find_loop(path)
    if loop is None:
        return
    _run("blockdev", "--flushbufs", loop)
    _run("losetup", "--detach", loop)
    wait(lambda: find_loop(path) is None, RELEASE_SECONDS, f"{path.name} is still in use on {loop}")


def grow(path: Path) -> None:
    """Let the loop device, and so the guest, see that the file has grown."""
    loop = find_loop(path)
    if loop:
        _run("losetup", "--set-capacity", loop)


def number(loop: str) -> str:
    """`7:3` of `/dev/loop3`."""
    return (Path("/sys/block") / Path(loop).name / "dev").read_text().strip()


def attach(guest: Guest, disk: Disk) -> None:
    """Give a guest a volume: in its spec for the next boot, and at once when it runs."""
    spec = guest.read()
    spec.disks = [*(other for other in spec.disks if other.volume_id != disk.volume_id), disk]
    guest.write(spec)
    loop, init = open_loop(Path(disk.path)), guest.init()
    if init is None:
        return
    guest_cgroup.allow_disk(spec.group, number(loop), True)
    major, minor = number(loop).split(":")
    device, by_id = names(disk)
    _inside(
        init,
        'mkdir -p /dev/disk/by-id && rm -f "$1" "$2" && mknod -m 660 "$1" b "$3" "$4" && ln -s "$1" "$2"',
        device,
        by_id,
        major,
        minor,
    )


def detach(guest: Guest, volume_id: str) -> None:
    """Take a volume from a guest: flushed and unmounted first. GuestError, and no change, when a program uses it."""
    spec = guest.read()
    disk = next((disk for disk in spec.disks if disk.volume_id == volume_id), None)
    if disk is None:
        return
    loop, init = find_loop(Path(disk.path)), guest.init()
    if loop and init is not None:
        _withdraw(guest, init, disk, loop)
        guest_cgroup.allow_disk(spec.group, number(loop), False)
    close_loop(Path(disk.path))
    spec.disks.remove(disk)
    guest.write(spec)


def _withdraw(guest: Guest, init: int, disk: Disk, loop: str) -> None:
    """Unmount its file systems in the guest, then remove its nodes (which are mounts when it was there at boot)."""
    mounted = [
        line.split()[4]
        for line in Path(f"/proc/{init}/mountinfo").read_text().splitlines()
        if line.split()[2] == number(loop)
    ]
    for place in reversed(mounted):
        try:
            _inside(init, 'umount "$1"', place)
        except GuestError as problem:
            raise GuestError(
                f"volume {disk.volume_id} is in use in guest {guest.directory.name}: {problem}"
            ) from problem
    _inside(init, 'for node; do umount "$node" 2>/dev/null; rm -f "$node"; done', *names(disk))


def _inside(init: int, script: str, *arguments: str) -> None:
    """Run a shell script in the guest with the host's rights (its pid namespace too: umount looks into /proc/self)."""
    _run("nsenter", "--target", str(init), "--mount", "--pid", "--", "/bin/sh", "-c", script, "sh", *arguments)


def _run(*command: str) -> str:
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    if done.returncode:
        raise GuestError(f"{command[0]}: {done.stderr.strip()}")
    return done.stdout
