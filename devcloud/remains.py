"""What a cloud that was stopped, or that died, may have left on the host: mounts, loop devices, control groups."""

from __future__ import annotations

import os
from pathlib import Path

from devcloud.place import Place
from devcloud.plug import PlugError, run

CGROUPS = Path("/sys/fs/cgroup")


def mounts(directory: Path) -> list[str]:
    """Mount points below a directory, the innermost first."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    points = [line.split()[4].encode().decode("unicode_escape") for line in lines]
    return sorted((point for point in points if point.startswith(f"{directory}/")), key=len, reverse=True)


def loops(place: Place) -> list[str]:
    """Loop devices whose file lies in the state, also when that file is deleted."""
    found = []
    for backing in Path("/sys/block").glob("loop*/loop/backing_file"):
        try:
            if backing.read_text().startswith(f"{place.state}/"):
                found.append(f"/dev/{backing.parts[3]}")
        except OSError:  # detached while we looked
            continue
    return sorted(found)


def cgroups(place: Place) -> list[Path]:
    """Control groups that are named after the instance, the innermost first."""
    found = [
        Path(top)
        for pattern in (f"{place.prefix}-*", f"*/{place.prefix}-*", f"*/*/{place.prefix}-*")
        for match in CGROUPS.glob(pattern)
        for top, _, _ in os.walk(match)
    ]
    return sorted(found, key=lambda path: len(path.parts), reverse=True)


def clear(place: Place) -> None:
    """Take them all back. A mount that is still in use is detached, and goes when its last user does."""
    for point in mounts(place.state):
        try:
            run("umount", point)
        except PlugError:
            run("umount", "--lazy", point)
    for device in loops(place):
        run("losetup", "--detach", device)
    for group in cgroups(place):
        if group.is_dir():
            group.rmdir()
