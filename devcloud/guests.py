"""All guests of an instance, from outside: the command lists and stops them when Nova does not run. Standard library only."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from devcloud import guest as one
from devcloud import guest_disks
from devcloud.guest import Guest
from devcloud.place import Place

STOP_SECONDS = 15  # for a clean power off of each, all at once


def find(place: Place) -> list[Guest]:
    """Every guest that has a directory, running or not."""
    home = place.directory("nova") / "instances"
    return [guest for path in sorted(home.glob("*")) if (guest := Guest(path)).exists()]


def describe(place: Place) -> list[dict[str, Any]]:
    """For `status`: the server's id, whether it runs, its process 1."""
    return [{"id": guest.directory.name, "running": guest.is_running(), "init": guest.init()} for guest in find(place)]


def stop_all(place: Place) -> int:
    """Power every guest off, cleanly if it does so in time, and release its volumes; returns how many ran.

    Call it when Nova is stopped: Nova's records then still say "running", and its next start boots them again.
    """
    every = find(place)
    running = [guest for guest in every if guest.is_running()]
    if every:
        with ThreadPoolExecutor(len(every)) as pool:
            list(pool.map(lambda guest: one.stop(guest, STOP_SECONDS), every))
    for guest in every:
        for disk in guest.read().disks:
            guest_disks.close_loop(Path(disk.path))
    return len(running)
