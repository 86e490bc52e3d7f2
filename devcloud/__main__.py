"""`python3 -m devcloud up|down|status|reset|install|admit [--json]`: the dev cloud's command. Standard library only."""

from __future__ import annotations

import argparse
import fcntl
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from devcloud import cloud, edge
from devcloud.install import install
from devcloud.place import Place, here
from devcloud.plug import PlugError

COMMANDS = {
    "up": "start the cloud; the first time, make it",
    "down": "stop it and take back everything it made on this machine; its state stays",
    "reset": "down, then forget its state",
    "status": "tell what runs; exit 0 only if all does",
    "install": "install what it needs, start nothing",
    "admit": "have the edge let these addresses, and no others, through to members' networks: that of the entry",
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="devcloud", description="A real OpenStack on one machine, with real guests.")
    parser.add_argument(
        "command", choices=COMMANDS, help="; ".join(f"{name}: {text}" for name, text in COMMANDS.items())
    )
    parser.add_argument("addresses", nargs="*", help="admit: public addresses")
    parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")
    asked = parser.parse_args()
    if asked.addresses and asked.command != "admit":
        parser.error(f"{asked.command} takes no addresses")
    place, start = here(), time.monotonic()

    def log(text: str) -> None:
        print(f"devcloud {time.monotonic() - start:6.1f} s  {text}", file=sys.stderr, flush=True)

    try:
        if asked.command == "status":
            return _show(cloud.status(place), asked.json)
        with _alone(place, log):
            if asked.command == "admit":
                edge.admit(place, asked.addresses)
            else:
                acts = {"up": cloud.up, "down": cloud.down, "reset": cloud.reset, "install": install}
                acts[asked.command](place, log)
    except (RuntimeError, OSError, PlugError, ValueError) as problem:
        print(f"devcloud: {problem}", file=sys.stderr)
        return 1
    if asked.json:
        print(json.dumps({"ok": True, "seconds": round(time.monotonic() - start, 2), "clouds": str(place.clouds_file)}))
    return 0


@contextmanager
def _alone(place: Place, log: Callable[[str], None]) -> Iterator[None]:
    """One command at a time changes an instance; another waits for its end."""
    path = place.state.with_name(f"{place.state.name}.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log("another command is at work on this cloud: waiting for its end")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _show(found: dict[str, Any], as_json: bool) -> int:
    if as_json:
        print(json.dumps(found))
    else:
        for name, service in found["services"].items():
            state = "answers" if service["answers"] else "down"
            print(
                f"{name:10} {state:8} pid {service['pid'] or '-':>8}  port {service['port']}  {service['rss_mib']} MiB"
            )
        for what in ("networks", "routers", "guests", "volumes"):
            print(f"{what:10} {len(found[what])}")
    return 0 if found["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
