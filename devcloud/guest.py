"""One guest: a directory that holds what it is (`spec.json`), what it wrote (`upper/`) and its console.

A guest runs when its supervisor (`devcloud.guest_supervisor`, one process per guest) holds the lock in the directory.
Nothing else remembers guests, so a restarted Nova finds them as they are. Standard library only.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from devcloud import guest_cgroup

START_SECONDS = 30
REBOOT_SECONDS = 60
POLL = 0.03
# systemd-nspawn makes a directory per machine here, and leaves it when it is killed.
PROPAGATE = Path("/run/systemd/nspawn/propagate")
CONSOLE_BYTES = 100_000
POWEROFF = signal.SIGRTMIN + 4  # what systemd as process 1 takes for "power off" and, SIGINT, for Ctrl-Alt-Del
REBOOT = signal.SIGINT


class GuestError(RuntimeError):
    """A guest did not do what it was told; the message says which and what its console said last."""


@dataclass
class Disk:
    """A volume in a guest: `device` is its name there (`vdb`), `path` the file on the host."""

    volume_id: str
    device: str
    path: str


@dataclass
class Spec:
    """What the supervisor must know to boot.

    `layers` are the read-only directories below the guest's own, uppermost first; they are found again at each start,
    from the squashfs file `image`.
    """

    uuid: str
    group: str
    namespace: str
    image: str
    layers: list[str]
    memory_mib: int
    vcpus: int
    disks: list[Disk] = field(default_factory=list)


@dataclass(frozen=True)
class Guest:
    """A guest's directory; nothing is kept in memory."""

    directory: Path

    @property
    def upper(self) -> Path:
        """The guest's own files, over its image's."""
        return self.directory / "upper"

    @property
    def root(self) -> Path:
        """Where the supervisor mounts the whole tree, in its own mount namespace."""
        return self.directory / "root"

    @property
    def console(self) -> Path:
        return self.directory / "console.log"

    @property
    def lock(self) -> Path:
        return self.directory / "lock"

    def exists(self) -> bool:
        return (self.directory / "spec.json").exists()

    def read(self) -> Spec:
        found = json.loads((self.directory / "spec.json").read_text())
        return Spec(**{**found, "disks": [Disk(**disk) for disk in found["disks"]]})

    def write(self, spec: Spec) -> None:
        write_json(self.directory / "spec.json", asdict(spec))

    def status(self) -> dict[str, Any] | None:
        """The running supervisor's words (`supervisor`, `init`: pids; `boots`: a count), None when none runs."""
        if not self.is_running():
            return None
        try:
            return dict(json.loads((self.directory / "status.json").read_text()))
        except FileNotFoundError:
            return None

    def is_running(self) -> bool:
        """True while a supervisor holds the lock."""
        try:
            with self.lock.open("rb") as handle:
                fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
                return False
        except BlockingIOError:
            return True
        except FileNotFoundError:
            return False

    def init(self) -> int | None:
        """The host's pid of the guest's process 1."""
        status = self.status()
        return status["init"] if status else None

    def console_tail(self, size: int = CONSOLE_BYTES) -> str:
        try:
            with self.console.open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - size))
                return log.read().decode(errors="replace")
        except FileNotFoundError:
            return ""


def start(guest: Guest) -> None:
    """Boot; returns when the guest's process 1 runs. Nothing to do when it runs already."""
    with changing(guest):
        if guest.is_running():
            return
        (guest.directory / "status.json").unlink(missing_ok=True)
        spec = guest.read()
        guest_cgroup.remove(spec.group)  # what a crash may have left
        _launch(guest)
        wait(lambda: guest.init() is not None or _has_failed(guest), START_SECONDS, f"guest {spec.uuid} did not start")
        if guest.init() is None:
            raise GuestError(f"guest {spec.uuid} stopped as it started: {guest.console_tail(1500).strip()}")


def stop(guest: Guest, seconds: float) -> None:
    """Power off: ask the guest for up to `seconds`, then pull the plug."""
    with changing(guest):
        deadline = time.monotonic() + seconds
        if guest.is_running():
            guest_cgroup.freeze(guest.read().group, False)
        asked = 0.0
        while time.monotonic() < deadline and guest.is_running():
            if time.monotonic() - asked > 1:  # systemd does not hear before it has set its handlers up: ask again
                asked = time.monotonic()
                _signal(guest.init(), POWEROFF)
            time.sleep(POLL)
        kill(guest)


def kill(guest: Guest) -> None:
    """End the guest and its supervisor now, and take its control group away."""
    status = guest.status()
    if status:
        _signal(status["supervisor"], signal.SIGKILL)
    if guest.exists():
        group = guest.read().group
        guest_cgroup.remove(group)
        if (PROPAGATE / group).exists():
            (PROPAGATE / group).rmdir()
    wait(lambda: not guest.is_running(), guest_cgroup.KILL_SECONDS, f"{guest.directory.name} survives a kill")


def reboot(guest: Guest, seconds: float = REBOOT_SECONDS) -> None:
    """Restart by Ctrl-Alt-Del; returns when the guest boots again, GuestError when it would not within `seconds`."""
    before = guest.status()
    if before is None:
        raise GuestError(f"{guest.directory.name} does not run")
    _signal(before["init"], REBOOT)

    def again() -> bool:
        status = guest.status()
        return status is not None and status["boots"] > before["boots"] and status["init"] is not None

    wait(again, seconds, f"{guest.directory.name} did not reboot")


def wait(condition: Callable[[], bool], seconds: float, otherwise: str) -> None:
    """Poll until `condition` holds; GuestError with the sentence `otherwise` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise GuestError(f"{otherwise} within {seconds:g} s")
        time.sleep(POLL)


@contextmanager
def changing(guest: Guest) -> Iterator[None]:
    """One starts or stops a guest at a time, among all processes."""
    with (guest.directory / "changing").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def write_json(path: Path, value: Any) -> None:
    """Write a file whole or not at all."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(json.dumps(value))
    draft.replace(path)


def _launch(guest: Guest) -> None:
    """Start the supervisor in a session and a mount namespace of its own: its mounts end with its last process."""
    (guest.directory / "failed").unlink(missing_ok=True)
    environment = dict(os.environ, PYTHONPATH=str(Path(__file__).resolve().parent.parent))
    with guest.console.open("ab") as console:
        subprocess.run(
            [
                "setsid",
                "--fork",
                "unshare",
                "--mount",
                "--propagation",
                "slave",
                sys.executable,
                "-S",
                "-m",
                "devcloud.guest_supervisor",
                str(guest.directory),
            ],
            cwd="/",
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
            check=True,
            timeout=10,
        )


def _has_failed(guest: Guest) -> bool:
    return (guest.directory / "failed").exists()


def _signal(pid: int | None, number: int) -> None:
    if pid is None:
        return
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
