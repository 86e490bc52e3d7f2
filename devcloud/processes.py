"""Start, watch and stop the services' processes. A process is ours when its pid file and its command line agree."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

from devcloud.place import OFFSETS, Place, environment

START_SECONDS = 120
STOP_SECONDS = 20
POLL = 0.05


class ServiceError(RuntimeError):
    """A service did not start, or something else is in its place."""


def check_ports(place: Place) -> None:
    """Another program on our ports would answer in our place: refuse before anything is changed."""
    for service in OFFSETS:
        with socket.socket() as probe:
            probe.settimeout(2)
            if probe.connect_ex(("127.0.0.1", place.port(service))) == 0:
                raise ServiceError(
                    f"port {place.port(service)} ({service}) is taken by another program; nothing was started"
                )


def find(place: Place, service: str) -> int | None:
    """The pid of the running service, or None."""
    try:
        pid = int(_pid_file(place, service).read_text())
        command = Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ").split()  # neutron sets its own title
        alive = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (OSError, ValueError):
        return None
    # the command line is empty for an instant while the kernel is in exec
    return pid if alive and (not command or {"devcloud.serve", service} <= set(command)) else None


def start(place: Place, service: str) -> None:
    """Start a service in a session of its own; `wait` says when it answers."""
    with (place.directory("log") / f"{service}.out").open("ab") as output:
        process = subprocess.Popen(
            [str(place.venv / "bin" / "python"), "-m", "devcloud.serve", service],
            cwd="/",
            env=environment(place),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    _pid_file(place, service).write_text(str(process.pid))


def wait(place: Place, service: str) -> None:
    """Return when the service answers; ServiceError when it died or took too long."""
    deadline = time.monotonic() + START_SECONDS
    while not answers(place, service):
        if find(place, service) is None:
            raise ServiceError(f"{service} stopped as it started, see {place.directory('log') / service}.out")
        if time.monotonic() > deadline:
            raise ServiceError(f"{service} does not answer after {START_SECONDS} s, see {place.directory('log')}")
        time.sleep(POLL)


def answers(place: Place, service: str) -> bool:
    """Does the service answer HTTP? Any status counts: most refuse the root path without a token."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{place.port(service)}/", timeout=10):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def stop(place: Place) -> None:
    """Stop all services: ask, then insist."""
    running = {service: pid for service in OFFSETS if (pid := find(place, service))}
    for order in (signal.SIGTERM, signal.SIGKILL):
        for pid in running.values():
            _send(pid, order)
        deadline = time.monotonic() + STOP_SECONDS
        while running and time.monotonic() < deadline:
            running = {service: pid for service, pid in running.items() if find(place, service)}
            time.sleep(POLL)
    if running:
        raise ServiceError(f"could not stop {', '.join(running)}")
    for service in OFFSETS:
        _pid_file(place, service).unlink(missing_ok=True)


def memory(pid: int) -> int:
    """Resident memory in MiB."""
    with Path(f"/proc/{pid}/status").open() as lines:
        return next((int(line.split()[1]) // 1024 for line in lines if line.startswith("VmRSS:")), 0)


def _send(pid: int, order: signal.Signals) -> None:
    try:
        os.kill(pid, order)
    except ProcessLookupError:
        return


def _pid_file(place: Place, service: str) -> Path:
    return place.directory("pid") / service
