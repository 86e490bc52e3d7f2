"""The host's side of the fabric: the provider's edge router, beyond the members'. Made by `up`, undone by `down`.

Every object has the instance's prefix in its name, so that `down` finds them all by name, even after a crash.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Sequence
from ipaddress import IPv4Address
from pathlib import Path

from devcloud import plug
from devcloud.fabric_rules import edge_rules
from devcloud.place import Place
from devcloud.plug import PlugError, run

# What the kernel must allow while a dev cloud is up. A guest's systemd holds 13 inotify instances, and the kernel's
# default of 128 for one user is used up by eight guests: the ninth boots without SSH.
NEEDED = {Path("/proc/sys/net/ipv4/ip_forward"): 1, Path("/proc/sys/fs/inotify/max_user_instances"): 8192}
# The values that stood there before, while one of our clouds is up.
BORROWED = Path("/run/clocher-devcloud-borrowed.json")
BRIDGES = "clo[0-9]-ext"
KILL_SECONDS = 10


def open_edge(place: Place) -> None:
    """Make the external bridge with the provider's gateway address, masquerading, and forwarding."""
    bridge, (_, _, length) = place.external_bridge, place.external_cidr.partition("/")
    with plug.locked():
        if not Path(f"/sys/class/net/{bridge}").exists():
            run("ip", "link", "add", bridge, "type", "bridge")
        run("ip", "addr", "replace", f"{place.external_gateway}/{length}", "dev", bridge)
        run("ip", "link", "set", bridge, "up")
        _filter(place)
        _borrow()


def admit(place: Place, addresses: Sequence[str]) -> None:
    """Let what comes from these public addresses, and no others, through to members' prefixes.

    An operator does so once, for the territory's entry.
    """
    wanted = [str(IPv4Address(address)) for address in addresses]
    with plug.locked():
        place.admitted.write_text("".join(f"{address}\n" for address in wanted))
        _filter(place)


def _filter(place: Place) -> None:
    admitted = place.admitted.read_text().split() if place.admitted.exists() else []
    run("nft", "-f", "-", text=edge_rules(place.prefix, place.external_bridge, place.external_cidr, admitted))


def close_edge(place: Place) -> None:
    """Take back this instance's namespaces, interfaces and rules on the host."""
    with plug.locked():
        for name in plug.namespaces(f"{place.prefix}-"):
            run("ip", "netns", "delete", name)
        _delete_devices(place)
        tables = json.loads(run("nft", "-j", "list", "tables"))["nftables"]
        if any(entry.get("table", {}).get("name") == place.prefix for entry in tables):
            run("nft", "delete", "table", "ip", place.prefix)
        if not list(Path("/sys/class/net").glob(BRIDGES)):
            _give_back()


def _borrow() -> None:
    former = {str(path): now for path in NEEDED if (now := int(path.read_text())) < NEEDED[path]}
    if former:
        kept = json.loads(BORROWED.read_text()) if BORROWED.exists() else {}
        BORROWED.write_text(json.dumps(former | kept))
        for name in former:
            Path(name).write_text(str(NEEDED[Path(name)]))


def _give_back() -> None:
    if BORROWED.exists():
        for name, value in json.loads(BORROWED.read_text()).items():
            # Somebody may have set another value since: that one is theirs.
            if int(Path(name).read_text()) == NEEDED[Path(name)]:
                Path(name).write_text(str(value))
        BORROWED.unlink()


def _delete_devices(place: Place) -> None:
    """The outer legs also go by themselves, a moment after their routers' namespaces."""
    deadline = time.monotonic() + KILL_SECONDS
    while names := _own_devices(place):
        try:
            run("ip", "link", "delete", names[0])
        except PlugError:
            if time.monotonic() > deadline:
                raise


def _own_devices(place: Place) -> list[str]:
    """Our interfaces in the host's namespace."""
    names = [path.name for path in Path("/sys/class/net").iterdir()]
    return [
        name
        for name in names
        if name == place.external_bridge or name.startswith((f"c{place.number}p", f"c{place.number}x"))
    ]


def end_strays(place: Place) -> None:
    """Kill what still runs in this instance's namespaces, so that they can go."""
    names = plug.namespaces(f"{place.prefix}-")
    deadline = time.monotonic() + KILL_SECONDS
    while pids := [int(pid) for name in names for pid in run("ip", "netns", "pids", name).split()]:
        if time.monotonic() > deadline:
            raise PlugError(f"processes {pids} in our namespaces do not end")
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.02)
