"""`python -m devcloud.guest_supervisor DIRECTORY`: boot a guest, boot it again when it reboots, end when it is off.

Started by devcloud.guest in a mount namespace of its own. It holds the directory's lock as long as the guest runs.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TextIO

from devcloud import guest_cgroup, guest_disks
from devcloud.guest import Guest, Spec, write_json

REBOOTED = 133  # systemd-nspawn's exit status for "the guest asked to be started again"
LOCK_SECONDS = 5
INIT_SECONDS = 20
POLL = 0.02
PR_SET_PDEATHSIG = 1


def main() -> None:
    guest = Guest(Path(sys.argv[1]))
    try:
        with guest.lock.open("w") as handle:
            _lock(handle)
            _supervise(guest)
    except Exception:
        (guest.directory / "failed").touch()
        raise


def _supervise(guest: Guest) -> None:
    boots = 0
    _mount_root(guest, guest.read())
    while True:
        boots, spec = boots + 1, guest.read()
        if _boot(guest, spec, boots) != REBOOTED:
            break
    if boots == 1 and not (guest.directory / "status.json").exists():
        raise RuntimeError("the guest ended before its process 1 ran")


def _boot(guest: Guest, spec: Spec, boots: int) -> int:
    """One life of the guest, from power on to power off or reboot; returns systemd-nspawn's exit status."""
    guest_cgroup.make(spec.group, spec.memory_mib, spec.vcpus)
    binds = []
    for disk in spec.disks:
        loop = guest_disks.open_loop(Path(disk.path))
        guest_cgroup.allow_disk(spec.group, guest_disks.number(loop), True)
        binds += [f"--bind={loop}:{path}" for path in guest_disks.names(disk)]
    process = subprocess.Popen(
        _command(guest, spec, binds), stdin=subprocess.DEVNULL, preexec_fn=lambda: _prepare(spec.group)
    )
    init = _find_init(process)
    if init is not None:
        _tell(guest, init, boots)
    try:
        return process.wait()
    finally:
        if init is not None:
            _tell(guest, None, boots)
        guest_cgroup.remove(spec.group)


def _tell(guest: Guest, init: int | None, boots: int) -> None:
    write_json(guest.directory / "status.json", {"supervisor": os.getpid(), "init": init, "boots": boots})


def _command(guest: Guest, spec: Spec, binds: list[str]) -> list[str]:
    """Process 1 keeps the right to shape its own network, and loses the one to make device nodes."""
    return [
        "systemd-nspawn",
        "--quiet",
        "--boot",
        "--register=no",
        "--keep-unit",
        "--directory",
        str(guest.root),
        f"--machine={spec.group}",
        f"--uuid={spec.uuid}",
        f"--network-namespace-path=/run/netns/{spec.namespace}",
        "--capability=CAP_NET_ADMIN",
        "--drop-capability=CAP_MKNOD",
        "--resolv-conf=off",
        "--timezone=off",
        "--link-journal=no",
        *binds,
    ]


def _mount_root(guest: Guest, spec: Spec) -> None:
    for directory in (guest.upper, guest.directory / "work", guest.root):
        directory.mkdir(exist_ok=True)
    options = f"lowerdir={':'.join(spec.layers)},upperdir={guest.upper},workdir={guest.directory / 'work'}"
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, str(guest.root)], check=True, timeout=20)
    # Our mount namespace began as a copy of the host's, with every guest image in it. The overlay holds its own layers;
    # any other image that we went on holding could not be released before this guest ends.
    subprocess.run(["umount", "--all", "--lazy", "--types", "squashfs"], check=True, timeout=20)


def _prepare(group: str) -> None:
    """In the child before it becomes systemd-nspawn: it must not outlive us, and the limits must hold for it."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    guest_cgroup.enter(group)


def _find_init(nspawn: subprocess.Popen[bytes]) -> int | None:
    """The pid, on the host, of the guest's process 1: the child of systemd-nspawn that leads a pid namespace."""
    deadline = time.monotonic() + INIT_SECONDS
    while nspawn.poll() is None and time.monotonic() < deadline:
        for child in Path(f"/proc/{nspawn.pid}/task/{nspawn.pid}/children").read_text().split():
            if _leads(int(child)):
                return int(child)
        time.sleep(POLL)
    return None


def _leads(pid: int) -> bool:
    """Process 1 of a namespace that has already become systemd (before, signals would not be heard)."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        program = Path(f"/proc/{pid}/exe").readlink()
    except OSError:
        return False
    ids = next(line.split()[1:] for line in status.splitlines() if line.startswith("NSpid:"))
    return len(ids) > 1 and ids[-1] == "1" and program.name != "systemd-nspawn"


def _lock(handle: TextIO) -> None:
    """Take the lock; whoever only looks holds it for an instant."""
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            return fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise
            time.sleep(POLL)


if __name__ == "__main__":
    main()
