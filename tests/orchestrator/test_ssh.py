"""The orchestrator's key and its waits for guests."""

from __future__ import annotations

import socket
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest

from orchestrator import readiness, ssh
from orchestrator.errors import Unavailable, WaitedTooLong
from orchestrator.settings import Settings
from orchestrator.ssh import Guest


@pytest.fixture
def local(tmp_path: Path) -> Settings:
    return Settings(state_dir=tmp_path / "state", secret_key="x")


def test_all_who_ask_at_once_get_one_key(local: Settings) -> None:
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: ssh.public_key(local), range(16)))
    assert len(keys) == 1
    assert keys.pop().startswith("ssh-ed25519 AAAA")
    assert stat.S_IMODE(ssh.key_path(local).stat().st_mode) == 0o600
    assert [path.name for path in ssh.key_path(local).parent.iterdir()] == ["orchestrator_ed25519"]


def test_a_guest_that_does_not_greet_is_unreachable() -> None:
    # 192.0.2.0/24 is nobody's (RFC 5737).
    with pytest.raises(WaitedTooLong) as caught:
        readiness.wait_for_ssh("192.0.2.1", 0.1)
    assert caught.value.code == "guest_unreachable"


@pytest.mark.slow
def test_waiting_ends_when_the_server_greets(monkeypatch: pytest.MonkeyPatch) -> None:
    server = socket.create_server(("127.0.0.1", 0))
    port = server.getsockname()[1]
    connect = socket.create_connection
    monkeypatch.setattr(socket, "create_connection", lambda _, timeout: connect(("127.0.0.1", port), timeout))

    def serve() -> None:
        # Something that is not SSH answers first, as while a machine boots.
        for greeting in (b"", b"not yet\r\n", b"SSH-2.0-OpenSSH_9.2\r\n"):
            with server.accept()[0] as connection:
                connection.sendall(greeting)

    thread = threading.Thread(target=serve)
    thread.start()
    readiness.wait_for_ssh("127.0.0.1", 10)
    thread.join()
    server.close()


def test_an_unhealthy_guest_says_what_failed(local: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "HEALTH_SECONDS", 0.1)
    with pytest.raises(WaitedTooLong) as caught:
        readiness.check_health(local, Guest("127.0.0.1", "nobody", uuid4(), user="nobody-at-all"), {})
    assert caught.value.code == "unhealthy"
    assert caught.value.detail.startswith("guest_unreachable: ")


@pytest.mark.slow
def test_an_answer_that_comes_drop_by_drop_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each drop comes in time, the whole does not: whoever waits for it would wait as long as it pleases a guest."""
    monkeypatch.setattr(readiness, "ANSWER_SECONDS", 1.0)
    over = threading.Event()

    def drip() -> None:
        with server.accept()[0] as connection:
            connection.recv(1000)
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            for _ in range(500):
                if over.wait(0.01):
                    return
                connection.sendall(b".")

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=drip)
        thread.start()
        with pytest.raises(Unavailable) as caught:
            readiness._get("127.0.0.1", server.getsockname()[1], "/")
        over.set()
        thread.join()
    assert caught.value.code == "no_answer"
