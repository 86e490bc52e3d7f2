"""The programs of an installation, as the demo starts, kills and stops them: dev cloud, worker, portal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import requests

from orchestrator.errors import Unavailable
from orchestrator.settings import ROOT, Settings


def run_devcloud(verb: str, say: Callable[[str], None]) -> None:
    """Run a verb of the dev cloud and pass its progress on. Its standard error is its story."""
    with subprocess.Popen(
        [sys.executable, "-m", "devcloud", verb], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as program:
        assert program.stderr
        last = ""
        try:
            for line in program.stderr:
                last = line.strip() or last
                say(line.strip())
        except BaseException:
            program.terminate()  # or we would wait here until it is done
            raise
    if program.returncode:
        raise Unavailable("devcloud_failed", f"Le cloud de développement : {last}", "Lisez son journal.")


@dataclass
class Program:
    """One of our own programs, run by its command, its output in a log file."""

    name: str
    command: tuple[str, ...]
    folder: Path
    port: int | None = None
    module: str = "api"
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def log(self) -> Path:
        """Where its output goes."""
        return self.folder / f"{self.name}.log"

    @property
    def _pidfile(self) -> Path:
        return self.folder / f"{self.name}.pid"

    def pid(self) -> int | None:
        """The process id if the program runs."""
        try:
            pid = int(self._pidfile.read_text())
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError):
            return None
        # A number alone proves nothing after a restart of the machine: it must be our command.
        return pid if self.command[-1].encode() in command else None

    def start(self) -> None:
        """Start it, in a session of its own so that it can outlive us (`--keep`)."""
        self.stop()
        self.folder.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, **self.environment}  # noqa: TID251  a child inherits all settings
        if self.port is not None:
            environment["CLOCHER_LISTEN_PORT"] = str(self.port)
        with self.log.open("ab") as log:
            program = subprocess.Popen(
                [sys.executable, "-m", self.module, *self.command],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._pidfile.write_text(str(program.pid))

    def stop(self, kind: signal.Signals = signal.SIGTERM) -> None:
        """End it (SIGKILL for a crash) and wait until it is gone."""
        pid = self.pid()
        if pid is None:
            return
        os.kill(pid, kind)
        deadline = time.monotonic() + 20
        while self.pid() is not None and not _is_zombie(pid):
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)
        self._pidfile.unlink(missing_ok=True)

    def wait_until_ready(self, path: str = "/readyz", timeout: float = 30) -> str:
        """Poll its door until it answers 200; return its URL."""
        url = f"http://127.0.0.1:{self.port}"
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            try:
                if requests.get(url + path, timeout=2).ok:
                    return url
            except requests.RequestException:
                pass
            time.sleep(0.1)
        raise Unavailable("portal_unavailable", "Le portail ne répond pas.", f"Lisez {self.log}.")


def programs(settings: Settings, port: int) -> tuple[Program, Program]:
    """The worker and the portal of the demo."""
    folder = settings.state_dir / "demo"
    return Program("worker", ("worker",), folder), Program("portal", ("serve",), folder, port)


def catch_mails(settings: Settings, port: int) -> tuple[Program, dict[str, str]]:
    """A real SMTP server that keeps what it gets as files, and the settings that lead a worker to it."""
    folder = settings.state_dir / "demo"
    command = ("-n", "-l", f"127.0.0.1:{port}", "-c", "api.demo.catcher.Catcher", str(folder / "mails"))
    leading = {
        "CLOCHER_SMTP_HOST": "127.0.0.1",
        "CLOCHER_SMTP_PORT": str(port),
        "CLOCHER_SMTP_SECURITY": "none",
    }
    return Program("catcher", command, folder, module="aiosmtpd"), leading


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True
