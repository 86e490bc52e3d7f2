"""Is a guest there, and is it well? Conditions asked again and again until a deadline."""

from __future__ import annotations

import http
import http.client
import re
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from orchestrator import ssh
from orchestrator.errors import N_, ClocherError, Unavailable, WaitedTooLong
from orchestrator.settings import Settings
from orchestrator.ssh import Guest

ANSWER_SECONDS = 5.0
PAUSE_SECONDS = 0.2
# Services that the play has just started get so long to answer.
HEALTH_SECONDS = 60.0
APPLICATION_SECONDS = 180.0  # and so long for an application that makes its database first
NODE_EXPORTER_PORT = 9100
MOST_BYTES = 2**20
ASKS_WHO = (http.HTTPStatus.UNAUTHORIZED, http.HTTPStatus.FORBIDDEN)
AGAIN = N_("Recommencez ; si cela se répète, prévenez la DSI.")


def wait_for_ssh(address: str, seconds: float) -> None:
    """Return as soon as an SSH server greets at the address; `guest_unreachable` after so many seconds."""
    wait(lambda: greet(address), seconds)


def check_health(settings: Settings, guest: Guest, mounts: Sequence[str]) -> None:
    """Return when the guest is what it should be; else `unhealthy`, with what failed.

    It lets the orchestrator in, its node exporter tells its own name, its data volumes are mounted at `mounts`.
    """
    try:
        marks: list[tuple[str, ...]] = [("mountpoint", "--quiet", mount) for mount in mounts]
        for mark in (("true",), *marks):
            wait(partial(ssh.run, settings, guest, *mark, timeout=ANSWER_SECONDS), HEALTH_SECONDS)
        wait(lambda: check_metrics(guest), HEALTH_SECONDS)
    except ClocherError as error:
        raise WaitedTooLong(
            "unhealthy",
            "La machine est configurée mais ne répond pas comme elle devrait.",
            AGAIN,
            detail=f"{error.code}: {error.detail}",
        ) from error


def check_web(address: str, port: int, path: str, status: int, contains: str | None = None) -> None:
    """Return when a program answers as it should at a port; else `unhealthy`, with what it said last."""
    try:
        wait(partial(_ask_web, address, port, path, status, contains), APPLICATION_SECONDS)
    except ClocherError as error:
        raise WaitedTooLong(
            "unhealthy",
            "L’application est installée mais ne répond pas comme elle devrait.",
            AGAIN,
            detail=error.detail,
        ) from error


def check_url(address: str, host: str, authority: str, path: str, contains: str | None = None) -> None:
    """Return when an application answers people at its name; else `unreachable_url`, with what was said last.

    address: the entry's, where the name is to lead; authority: the certificate (PEM) that must vouch for it.
    """

    def attempt() -> None:
        seen = ask_url(address, host, authority, path)
        if seen.said or (contains or "") not in seen.body:
            said = seen.said or f"{contains!r} not in {seen.body[:200]!r}"
            raise Unavailable("no_answer", "Pas de réponse.", detail=f"https://{host}{path}: {said}")

    try:
        wait(attempt, HEALTH_SECONDS)
    except ClocherError as error:
        raise WaitedTooLong(
            "unreachable_url",
            "L’application est installée, mais l’entrée web du territoire ne mène pas à elle.",
            "Prévenez la DSI : le routeur de bord laisse-t-il passer l’adresse de l’entrée ?",
            detail=error.detail,
        ) from error


@dataclass(frozen=True)
class Seen:
    """What was seen at an address. said: what went wrong, None when it answered people as it should."""

    said: str | None
    body: str = ""
    certificate_until: datetime | None = None


def ask_url(address: str, host: str, authority: str | None, path: str) -> Seen:
    """Ask for a page as a browser does, without asking any name server: the name is `host`, the machine `address`.

    authority None: a public one must vouch for the certificate. Asking for a password is an answer.
    """
    trust = ssl.create_default_context(cadata=authority)
    connection = http.client.HTTPSConnection(host, timeout=ANSWER_SECONDS, context=trust)
    try:
        plain = socket.create_connection((address, 443), timeout=ANSWER_SECONDS)
        connection.sock = secured = trust.wrap_socket(plain, server_hostname=host)
        until = datetime.fromtimestamp(ssl.cert_time_to_seconds(str((secured.getpeercert() or {})["notAfter"])), UTC)
        connection.request("GET", path)
        status, body = _answer(connection)
    except (OSError, http.client.HTTPException) as error:
        return Seen(f"{type(error).__name__}: {error}"[:300])
    finally:
        connection.close()
    good = status < http.HTTPStatus.BAD_REQUEST or status in ASKS_WHO
    return Seen(None if good else f"HTTP {status}", body, until)


def _ask_web(address: str, port: int, path: str, status: int, contains: str | None) -> None:
    said, body = _get(address, port, path)
    if said != status or (contains or "") not in body:
        raise Unavailable(
            "no_answer", "Pas de réponse.", detail=f"{path} on {port}: HTTP {said}, {contains!r} not in {body[:200]!r}"
        )


def _get(address: str, port: int, path: str) -> tuple[int, str]:
    """Status and text of an answer; of a long one its beginning. Raises Unavailable `no_answer`."""
    connection = http.client.HTTPConnection(address, port, timeout=ANSWER_SECONDS)
    try:
        connection.request("GET", path)
        return _answer(connection)
    except (OSError, http.client.HTTPException) as error:
        raise Unavailable("no_answer", "Pas de réponse.", detail=f"{path} on {port}: {error}") from error
    finally:
        connection.close()


def _answer(connection: http.client.HTTPConnection) -> tuple[int, str]:
    """Status and text of an answer, MOST_BYTES of it at most.

    Raises TimeoutError when it only comes drop by drop: each drop would give the connection another ANSWER_SECONDS.
    """
    with connection.getresponse() as answer:
        deadline, read = time.monotonic() + ANSWER_SECONDS, b""
        while len(read) < MOST_BYTES and (part := answer.read1(MOST_BYTES - len(read))):
            read += part
            if time.monotonic() > deadline:
                raise TimeoutError(f"no end within {ANSWER_SECONDS:g} s")
        return answer.status, read.decode(errors="replace")


def wait(attempt: Callable[[], object], seconds: float) -> None:
    """Call `attempt` until it raises none of our errors; after `seconds` the last one, as WaitedTooLong."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            attempt()
            return
        except ClocherError as error:
            if time.monotonic() + PAUSE_SECONDS > deadline:
                raise WaitedTooLong(error.code, error.sentence, AGAIN, detail=error.detail) from error
        time.sleep(PAUSE_SECONDS)


def greet(address: str) -> None:
    """Read the greeting of the SSH server at the address (RFC 4253, section 4.2)."""
    try:
        with socket.create_connection((address, 22), timeout=ANSWER_SECONDS) as connection:
            greeting = connection.recv(255)
    except OSError as error:
        raise ssh.unreachable(address, str(error)) from error
    if not greeting.startswith(b"SSH-2.0"):
        raise ssh.unreachable(address, f"greets with {greeting!r}")


def check_metrics(guest: Guest) -> None:
    """Read the node exporter's metrics and see that they are this guest's."""
    status, metrics = _get(guest.address, NODE_EXPORTER_PORT, "/metrics")
    named = re.search(r'^node_uname_info\{.*nodename="([^"]*)"', metrics, re.MULTILINE)
    if status != http.HTTPStatus.OK or not named or named[1] != guest.hostname:
        told = named[1] if named else f"HTTP {status}"
        raise Unavailable("no_metrics", "Pas de métriques.", detail=f"node exporter: {told}, not {guest.hostname}")
