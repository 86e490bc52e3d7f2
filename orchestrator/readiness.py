"""Is a guest there, and is it well? Conditions asked again and again until a deadline."""

from __future__ import annotations

import http
import http.client
import re
import socket
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar
from urllib.parse import urljoin, urlsplit

from orchestrator import ssh
from orchestrator.errors import N_, ClocherError, Unavailable, WaitedTooLong
from orchestrator.settings import Settings
from orchestrator.ssh import Guest

T = TypeVar("T")
ANSWER_SECONDS = 5.0
PAUSE_SECONDS = 0.2
# Services that the play has just started get so long to answer.
HEALTH_SECONDS = 60.0
APPLICATION_SECONDS = 180.0  # and so long for an application that makes its database first
NODE_EXPORTER_PORT = 9100
MOST_BYTES = 2**20
MOST_HOPS = 8  # as many redirections as are followed; what needs more leads nowhere
ASKS_WHO = (http.HTTPStatus.UNAUTHORIZED, http.HTTPStatus.FORBIDDEN)
MOVED = (301, 302, 303, 307, 308)  # RFC 9110, section 15.4: those that name where to
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


def check_url(
    address: str, host: str, authority: str, path: str, contains: str | None = None, status: int | None = None
) -> Seen:
    """What an application answers people at its name, once it does; else `unreachable_url`, with what was said last.

    address: the entry's, where the name is to lead; authority: the certificate (PEM) that must vouch for it. status:
    exactly this, at the end of redirections; None: any that is an answer.
    """

    def attempt() -> Seen:
        seen = ask_url(address, host, authority, path)
        said = seen.said if status in (None, seen.status) else f"HTTP {seen.status}"
        if said is None and (contains or "") not in seen.body:
            said = f"{contains!r} not in {seen.body[:200]!r}"
        if said:
            raise Unavailable("no_answer", "Pas de réponse.", detail=f"https://{host}{path}: {said}")
        return seen

    return _until_reached(attempt)


def check_moved(address: str, host: str, path: str) -> None:
    """Return once HTTP without TLS sends people to the same page over TLS for good; else as `check_url`."""

    def attempt() -> None:
        status, _, to = _get(address, 80, path, {"Host": host})
        if (status, to) != (http.HTTPStatus.MOVED_PERMANENTLY, f"https://{host}{path}"):
            raise Unavailable("no_answer", "Pas de réponse.", detail=f"http://{host}{path}: HTTP {status}, to {to}")

    _until_reached(attempt)


def _until_reached(attempt: Callable[[], T]) -> T:
    try:
        return wait(attempt, HEALTH_SECONDS)
    except ClocherError as error:
        raise WaitedTooLong(
            "unreachable_url",
            "L’application est installée, mais l’entrée web du territoire ne mène pas à elle.",
            "Prévenez la DSI : le routeur de bord laisse-t-il passer l’adresse de l’entrée ?",
            detail=error.detail,
        ) from error


@dataclass(frozen=True)
class Seen:
    """What was seen at an address. said: what went wrong, None when it answered people as it should.

    certificate: the one that was vouched for, in DER.
    """

    said: str | None
    body: str = ""
    certificate_until: datetime | None = None
    status: int = 0
    certificate: bytes = b""


def ask_url(address: str, host: str, authority: str | None, path: str) -> Seen:
    """Ask for a page as a browser does, without asking any name server: the name is `host`, the machine `address`.

    authority None: a public one must vouch for the certificate. Asking for a password is an answer, and so is sending
    people to somebody else's pages. Redirections at the same name are followed; none of them may leave TLS or its port.
    """
    trust = ssl.create_default_context(cadata=authority)
    try:
        for _ in range(MOST_HOPS):
            seen, to = _ask_page(address, host, trust, path)
            aim = urlsplit(urljoin(f"https://{host}{path}", to or ""))
            if not to or aim.hostname != host:
                return seen
            if aim.scheme != "https" or aim.port not in (None, 443):
                return replace(seen, said=f"leaves its address: {to}"[:300])
            path = f"{aim.path or '/'}{'?' if aim.query else ''}{aim.query}"
    except (OSError, ValueError, http.client.HTTPException) as error:
        return Seen(f"{type(error).__name__}: {error}"[:300])
    return replace(seen, said=f"more than {MOST_HOPS} redirections")


def _ask_page(address: str, host: str, trust: ssl.SSLContext, path: str) -> tuple[Seen, str | None]:
    """One page, and where it sends people. Raises OSError, HTTPException."""
    with closing(http.client.HTTPSConnection(host, timeout=ANSWER_SECONDS, context=trust)) as connection:
        plain = socket.create_connection((address, 443), timeout=ANSWER_SECONDS)
        connection.sock = secured = trust.wrap_socket(plain, server_hostname=host)
        until = datetime.fromtimestamp(ssl.cert_time_to_seconds(str((secured.getpeercert() or {})["notAfter"])), UTC)
        certificate = secured.getpeercert(binary_form=True) or b""
        connection.request("GET", path)
        status, body, to = _answer(connection)
    good = status < http.HTTPStatus.BAD_REQUEST or status in ASKS_WHO
    return Seen(None if good else f"HTTP {status}", body, until, status, certificate), to


def _ask_web(address: str, port: int, path: str, status: int, contains: str | None) -> None:
    said, body, _ = _get(address, port, path)
    if said != status or (contains or "") not in body:
        raise Unavailable(
            "no_answer", "Pas de réponse.", detail=f"{path} on {port}: HTTP {said}, {contains!r} not in {body[:200]!r}"
        )


def _get(address: str, port: int, path: str, headers: Mapping[str, str] | None = None) -> tuple[int, str, str | None]:
    """Status, text and `Location` of an answer; of a long text its beginning. Raises Unavailable `no_answer`."""
    try:
        with closing(http.client.HTTPConnection(address, port, timeout=ANSWER_SECONDS)) as connection:
            connection.request("GET", path, headers=headers or {})
            return _answer(connection)
    except (OSError, http.client.HTTPException) as error:
        raise Unavailable("no_answer", "Pas de réponse.", detail=f"{path} on {port}: {error}") from error


def _answer(connection: http.client.HTTPConnection) -> tuple[int, str, str | None]:
    """Status, text (MOST_BYTES of it at most) and, of a redirection, where it leads.

    Raises TimeoutError when it only comes drop by drop: each drop would give the connection another ANSWER_SECONDS.
    """
    with connection.getresponse() as answer:
        deadline, read = time.monotonic() + ANSWER_SECONDS, b""
        while len(read) < MOST_BYTES and (part := answer.read1(MOST_BYTES - len(read))):
            read += part
            if time.monotonic() > deadline:
                raise TimeoutError(f"no end within {ANSWER_SECONDS:g} s")
        to = answer.getheader("Location") if answer.status in MOVED else None
        return answer.status, read.decode(errors="replace"), to


def wait(attempt: Callable[[], T], seconds: float) -> T:
    """What `attempt` gives once it raises none of our errors; after `seconds` the last one, as WaitedTooLong."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return attempt()
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
    status, metrics, _ = _get(guest.address, NODE_EXPORTER_PORT, "/metrics")
    named = re.search(r'^node_uname_info\{.*nodename="([^"]*)"', metrics, re.MULTILINE)
    if status != http.HTTPStatus.OK or not named or named[1] != guest.hostname:
        told = named[1] if named else f"HTTP {status}"
        raise Unavailable("no_metrics", "Pas de métriques.", detail=f"node exporter: {told}, not {guest.hostname}")
