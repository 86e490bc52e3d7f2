"""The processes of the portal, as `clocher serve` runs them."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from api import serving
from orchestrator.errors import Conflict
from orchestrator.settings import Settings

pytestmark = pytest.mark.slow
PATIENCE = 60.0  # seconds


@pytest.fixture
def command(settings: Settings, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    assert settings.database_url and settings.secret_key
    ours = {
        "CLOCHER_STATE_DIR": str(tmp_path),
        "CLOCHER_DATABASE_URL": settings.database_url.get_secret_value(),
        "CLOCHER_SECRET_KEY": settings.key().decode(),
    }
    words = [sys.executable, "-m", "api", "serve", "--port", "0"]
    with subprocess.Popen(words, env={**os.environ, **ours}, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def children(parent: int) -> set[int]:
    """The portal's processes (one more only keeps what they share)."""
    found = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return {int(child) for child in found if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()}


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def counted(url: str) -> int:
    """Requests to /healthz, as Prometheus is told."""
    text = requests.get(f"{url}metrics", timeout=10).text
    found = re.search(r'^clocher_requests_total\{.*route="/healthz".*\} (\S+)$', text, re.M)
    return int(float(found[1])) if found else 0


def test_who_dies_is_replaced_and_what_was_counted_stays(command: subprocess.Popen[str]) -> None:
    assert command.stdout
    url = command.stdout.readline().strip()
    first = children(command.pid)
    assert len(first) == 2
    for _ in range(10):  # each in a connection of its own, so that both answer
        assert requests.get(f"{url}healthz", timeout=10).ok
    assert {counted(url) for _ in range(4)} == {10}, "whichever is asked"
    killed = min(first)
    os.kill(killed, signal.SIGKILL)
    eventually(lambda: len(children(command.pid) - {killed}) == 2)
    assert requests.get(f"{url}healthz", timeout=10).ok
    assert counted(url) == 11


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_none_outlives_the_command(command: subprocess.Popen[str], how: signal.Signals) -> None:
    assert command.stdout
    command.stdout.readline()
    living = children(command.pid)
    command.send_signal(how)
    assert command.wait(PATIENCE) == (-how if how == signal.SIGKILL else 0)
    eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in living))


def test_a_port_that_is_taken_is_told(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Conflict) as told, serving.listening(settings, "127.0.0.1", port):
            pass
    assert told.value.code == "cannot_listen"
