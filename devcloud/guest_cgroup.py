"""A guest's control group: its memory and processor limits, its freezer, and the certain end of all its processes.

Version 1 has a tree per controller, version 2 one tree for all. Standard library only.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
# "unified" is where version 1 keeps a tree of version 2 beside the others. systemd-nspawn puts its guest below the
# group that we made there: without one all guests share a tree, and a guest's systemd takes away groups in which
# another's is starting a service, which then fails (219/CGROUP).
CONTROLLERS = ("memory", "cpu", "freezer", "pids", "devices", "systemd", "unified")
PERIOD = 100_000  # microseconds over which the processor quota counts
KILL_SECONDS = 10
POLL = 0.02
# What a guest may open: null, zero, full, random, urandom, tty, console, ptmx, terminals, tun. Disks come one by one.
DEVICES = ("c 1:3", "c 1:5", "c 1:7", "c 1:8", "c 1:9", "c 5:0", "c 5:1", "c 5:2", "c 136:*", "c 10:200")


def is_unified() -> bool:
    return (ROOT / "cgroup.controllers").exists()


def trees(name: str) -> list[Path]:
    """The directories of the group `name` (`clo0-vm-1a2b3c4d`), one per tree."""
    if is_unified():
        return [ROOT / name]
    return [ROOT / tree / name for tree in CONTROLLERS if (ROOT / tree).is_dir()]


def make(name: str, memory_mib: int, vcpus: int) -> None:
    """Make the group with its limits; again, it only sets the limits."""
    if is_unified():
        (ROOT / "cgroup.subtree_control").write_text("+memory +cpu +pids")
    for tree in trees(name):
        tree.mkdir(exist_ok=True)
    limit(name, memory_mib, vcpus)
    if not is_unified() and (ROOT / "devices").is_dir():
        group = ROOT / "devices" / name
        (group / "devices.deny").write_text("a")
        for device in DEVICES:
            (group / "devices.allow").write_text(f"{device} rwm")


def limit(name: str, memory_mib: int, vcpus: int) -> None:
    """Set the limits, MiB and whole processors; a running guest feels them at once."""
    if is_unified():
        (ROOT / name / "memory.max").write_text(str(memory_mib << 20))
        (ROOT / name / "cpu.max").write_text(f"{vcpus * PERIOD} {PERIOD}")
        return
    (ROOT / "memory" / name / "memory.limit_in_bytes").write_text(str(memory_mib << 20))
    (ROOT / "cpu" / name / "cpu.cfs_quota_us").write_text(str(vcpus * PERIOD))


def allow_disk(name: str, number: str, allowed: bool) -> None:
    """Let the guest open a block device (`7:3`), or no more. In version 2 the missing node must do."""
    group = ROOT / "devices" / name
    if group.is_dir():
        (group / ("devices.allow" if allowed else "devices.deny")).write_text(f"b {number} rwm")


def enter(name: str) -> None:
    """Move the calling process into the group."""
    for tree in trees(name):
        (tree / "cgroup.procs").write_text(str(os.getpid()))


def freeze(name: str, frozen: bool) -> None:
    """Stop or continue all its processes; returns when done."""
    if is_unified():
        (ROOT / name / "cgroup.freeze").write_text("1" if frozen else "0")
        return
    state, wanted = ROOT / "freezer" / name / "freezer.state", "FROZEN" if frozen else "THAWED"
    deadline = time.monotonic() + KILL_SECONDS
    state.write_text(wanted)
    while state.read_text().strip() != wanted:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{name} did not become {wanted}")
        time.sleep(POLL)


def is_frozen(name: str) -> bool:
    if is_unified():
        path, frozen = ROOT / name / "cgroup.freeze", "1"
    else:
        path, frozen = ROOT / "freezer" / name / "freezer.state", "FROZEN"
    return path.exists() and path.read_text().strip() == frozen


def processes(name: str) -> set[int]:
    """All processes in the group and the groups below it."""
    found: set[int] = set()
    for tree in trees(name):
        for directory, _, _ in os.walk(tree):
            try:
                found.update(int(pid) for pid in (Path(directory) / "cgroup.procs").read_text().split())
            except OSError:  # the group went away as we looked
                continue
    return found


def remove(name: str) -> None:
    """Kill whatever is left in the group, then take the group away."""
    deadline = time.monotonic() + KILL_SECONDS
    if is_frozen(name):
        freeze(name, False)
    while pids := processes(name):
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        if time.monotonic() > deadline:
            raise TimeoutError(f"processes of {name} survive a kill: {sorted(pids)}")
        time.sleep(POLL)
    for tree in trees(name):
        for directory, _, _ in os.walk(tree, topdown=False):
            _remove_empty(Path(directory), deadline)


def _remove_empty(directory: Path, deadline: float) -> None:
    """A group stays busy for a moment after its last process."""
    while directory.exists():
        try:
            directory.rmdir()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(POLL)
