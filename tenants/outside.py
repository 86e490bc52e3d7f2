"""One request to an address that somebody else chose, from inside our network: the door that keeps it outside.

The name is resolved once, every address that it has is checked, and the connection goes to a checked one, so a name
that answers differently the second time changes nothing. Nothing is followed: neither redirects nor a proxy. What is
read, and how long all of it takes, is bounded.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooLate
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlsplit

from orchestrator.errors import ClocherError, InvalidInput, Unavailable

ANSWER = 1024  # bytes of an answer that are read
LONGEST_URL = 2000
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve = Callable[[str, int], Sequence[str]]
# IPv6 prefixes through which a gateway leads to an IPv4 address.
TRANSLATED = tuple(map(ipaddress.IPv6Network, ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "::/96")))


@dataclass(frozen=True)
class Rules:
    """What the DSI allows: private networks that may be reached all the same, and seconds for the whole request."""

    allowed: tuple[Network, ...]
    timeout: float

    @classmethod
    def of(cls, networks: Sequence[str], timeout: float) -> Rules:
        return cls(tuple(ipaddress.ip_network(network) for network in networks), timeout)


@dataclass(frozen=True)
class Answer:
    """What came back: the status, the first bytes as text, and what `Retry-After` says, if it is there."""

    status: int
    start: str
    retry_after: str | None = None


def resolve(host: str, port: int) -> list[str]:
    """The addresses of a name, as the system finds them. Raises OSError."""
    return list(dict.fromkeys(str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))


def read_url(url: str) -> SplitResult:
    """The parts of a URL that can be posted to. Raises InvalidInput invalid_url."""
    try:
        parts = urlsplit(url)
        sound = (
            parts.scheme in ("http", "https")
            and parts.hostname
            and parts.port != 0
            and parts.username is None
            and not parts.fragment
            and len(url) <= LONGEST_URL
            and url.isascii()
            and url.isprintable()
            and " " not in url
        )
    except ValueError:
        sound = False
    if not sound:
        raise InvalidInput(
            "invalid_url", "Cette adresse n’est pas valable.", "Donnez une adresse en https://, sans identifiant."
        )
    return parts


def is_private(address: Address) -> bool:
    """Whether an address is not one of the public Internet, or may lead to one that is not."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    if mapped is not None:
        return is_private(mapped)
    if isinstance(address, ipaddress.IPv6Address) and any(address in network for network in TRANSLATED):
        return True
    return not address.is_global or address.is_multicast or address.is_reserved or address.is_unspecified


def literal(host: str) -> str | None:
    """The address that a host written as a number is (127.1, 0x7f000001, [::1]); None for a name."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        return socket.inet_ntoa(socket.inet_aton(host))
    except OSError:
        return None


def check(url: str, rules: Rules) -> None:
    """Refuse a URL that can be seen to be wrong without asking anybody for it. Raises InvalidInput."""
    parts = read_url(url)
    assert parts.hostname
    address = literal(parts.hostname)
    if address is None and (parts.scheme == "https" or rules.allowed):
        return
    try:
        choose(parts, rules, [address or "192.0.0.9"])
    except ClocherError as error:
        raise InvalidInput(error.code, error.sentence, error.action, detail=error.detail) from error


def choose(parts: SplitResult, rules: Rules, found: Sequence[str]) -> str:
    """The address to connect to. All that a name has must be allowed; plain HTTP only within the allowed networks.

    Raises ClocherError address_refused or https_needed.
    """
    plain = parts.scheme == "http"
    for text in found:
        address = ipaddress.ip_address(text.partition("%")[0])
        if any(address in network for network in rules.allowed):
            continue
        if is_private(address):
            raise ClocherError(
                "address_refused",
                "Cette adresse mène à un réseau privé.",
                "Seule la DSI peut le permettre.",
                detail=f"{parts.hostname} is {address}",
            )
        if plain:
            raise ClocherError("https_needed", "Il faut une adresse en https://.", "Corrigez l’adresse.")
    if not found:
        raise Unavailable("address_unknown", "Cette adresse est inconnue.", "Vérifiez le nom.")
    return found[0]


def post(url: str, body: bytes, headers: Mapping[str, str], rules: Rules, *, find: Resolve = resolve) -> Answer:
    """Post `body` once. Raises ClocherError: invalid_url, address_refused, https_needed, address_unknown,
    no_answer (nobody there, broken TLS, too slow). Any status is an answer."""
    parts = read_url(url)
    deadline = time.monotonic() + rules.timeout
    assert parts.hostname
    port = parts.port or (443 if parts.scheme == "https" else 80)
    address = choose(parts, rules, _resolved(find, parts.hostname, port, rules.timeout))
    connection = _Connection(parts, port, address, max(0.1, deadline - time.monotonic()))
    watch = threading.Timer(max(0.1, deadline - time.monotonic()), connection.cut)
    watch.daemon = True
    watch.start()
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("POST", target, body, dict(headers))
        answer = connection.getresponse()
        start = answer.read(ANSWER)
        if connection.was_cut:  # what was read until then can look whole
            raise TimeoutError
        text = start.decode("utf-8", "replace").replace("\0", "\ufffd")
        return Answer(answer.status, text, answer.getheader("Retry-After"))
    except (OSError, http.client.HTTPException, ValueError, AttributeError) as error:
        # ValueError, AttributeError: what http.client says when the watch took its socket away.
        told = "too slow" if connection.was_cut else f"{type(error).__name__}: {error}"
        raise Unavailable("no_answer", "Personne ne répond à cette adresse.", "Vérifiez-la.", detail=told) from error
    finally:
        watch.cancel()
        connection.close()


def _resolved(find: Resolve, host: str, port: int, timeout: float) -> Sequence[str]:
    # The system's resolver takes its own time; it is not waited for, its thread ends alone.
    pool = ThreadPoolExecutor(1, thread_name_prefix="resolve")
    try:
        return pool.submit(find, host, port).result(timeout)
    except (OSError, UnicodeError, TooLate) as error:
        raise Unavailable("address_unknown", "Cette adresse est inconnue.", "Vérifiez le nom.", detail=host) from error
    finally:
        pool.shutdown(wait=False)


class _Connection(http.client.HTTPConnection):
    """HTTP(S) to one checked address; the certificate and the Host header are those of the name."""

    def __init__(self, parts: SplitResult, port: int, address: str, timeout: float) -> None:
        assert parts.hostname
        super().__init__(parts.hostname, port, timeout=timeout)
        self.default_port = 443 if parts.scheme == "https" else 80
        self.secure, self.address, self.was_cut = parts.scheme == "https", address, False
        self.raw: socket.socket | None = None

    def connect(self) -> None:
        self.raw = socket.create_connection((self.address, self.port), self.timeout)
        self.sock: Any = self.raw
        if self.secure:
            # The handshake comes after we hold the new socket: it too can be cut.
            self.sock = ssl.create_default_context().wrap_socket(
                self.raw, server_hostname=self.host, do_handshake_on_connect=False
            )
            self.raw = self.sock
            self.sock.do_handshake()

    def cut(self) -> None:
        """End it from another thread: a server that sends a byte now and then would hold us for ever."""
        self.was_cut = True
        if self.raw is not None:
            try:
                self.raw.shutdown(socket.SHUT_RDWR)
            except OSError:
                return
