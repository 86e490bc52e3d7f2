"""A request to an address that somebody else chose stays outside our network, ends soon, and reads little."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator, Sequence

import pytest

from orchestrator.errors import ClocherError, InvalidInput
from tenants import outside
from tenants.outside import Rules
from tests.tenants.receiving import Receiver, receiver

PUBLIC = "93.184.215.14"
NOWHERE = Rules.of((), 2)
HOME = Rules.of(("127.0.0.0/8",), 2)


@pytest.fixture
def listener() -> Iterator[Receiver]:
    with receiver() as running:
        yield running


def refused(url: str, rules: Rules = NOWHERE, find: outside.Resolve = outside.resolve) -> str:
    with pytest.raises(ClocherError) as error:
        outside.post(url, b"{}", {}, rules, find=find)
    return error.value.code


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.1", "2130706433", "0x7f000001", "017700000001", "0", "0.0.0.0", "localhost", "[::1]", "[::]",
        "10.0.0.7", "172.16.3.4", "192.168.1.1", "169.254.169.254", "0xa9fea9fe", "100.64.0.1", "192.0.2.1",
        "224.0.0.1", "255.255.255.255", "[fe80::1]", "[fc00::1]", "[::ffff:10.0.0.1]", "[::ffff:169.254.169.254]",
        "[64:ff9b::a00:1]", "[2002:a00:1::]", "[2001:db8::1]", "[ff02::1]", "[::7f00:1]",
    ],
)  # fmt: skip
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_what_is_not_the_public_internet_is_refused(listener: Receiver, host: str, scheme: str) -> None:
    assert refused(f"{scheme}://{host}:{listener.server_port}/") == "address_refused"
    assert listener.got == []


@pytest.mark.parametrize(
    "addresses",
    [["10.0.0.1"], [PUBLIC, "10.0.0.1"], ["2606:2800:21f::1", "::1"], ["fe80::1%eth0"], ["::ffff:127.0.0.1"]],
)
def test_one_private_address_of_a_name_is_enough(addresses: list[str]) -> None:
    assert refused("https://hook.example/", find=lambda *_: addresses) == "address_refused"


def test_a_name_is_asked_once_and_the_checked_address_is_used(listener: Receiver) -> None:
    asked = []

    def rebind(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["10.9.9.9"]

    url = f"http://hook.example:{listener.server_port}/x"
    assert outside.post(url, b"{}", {}, HOME, find=rebind).status == 204
    assert asked == ["hook.example"]
    assert listener.got[0][0]["host"] == f"hook.example:{listener.server_port}"
    assert refused(url, HOME, rebind) == "address_refused"


def test_a_redirect_is_an_answer_and_is_not_followed(listener: Receiver) -> None:
    with receiver() as inner:
        listener.answer = (307, {"Location": inner.url}, b"over there")
        answer = outside.post(listener.url, b"{}", {}, HOME)
        assert (answer.status, answer.start, inner.got) == (307, "over there", [])


def test_the_dsi_allows_networks_and_only_there_plain_http(listener: Receiver) -> None:
    assert outside.post(listener.url, b"{}", {}, HOME).status == 204
    assert refused("http://hook.example/", HOME, lambda *_: [PUBLIC]) == "https_needed"
    assert refused("http://10.0.0.1/", HOME) == "address_refused"


@pytest.mark.parametrize(
    "url",
    ["ftp://hook.example/", "hook.example", "https://", "https://me:pass@hook.example/", "https://hook.example:0/",
     "https://hook.example/a b", "https://hook.example/\r\nX: y", "file:///etc/passwd", "https://hook.example:x/",
     "https://hook.example/#part", "https://[::1", f"https://hook.example/{'a' * 2000}", "https://é.example/"],
)  # fmt: skip
def test_other_urls_are_no_addresses(url: str) -> None:
    assert refused(url) == "invalid_url"


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("https://127.0.0.1/", "address_refused"),
        ("https://0x7f.1/", "address_refused"),
        ("http://a.example/", "https_needed"),
    ],
)
def test_what_can_be_seen_to_be_wrong_is_said_at_once(url: str, code: str) -> None:
    with pytest.raises(InvalidInput) as error:
        outside.check(url, NOWHERE)
    assert error.value.code == code
    outside.check("https://hook.example/", NOWHERE)


def test_a_long_answer_is_read_to_its_first_bytes(listener: Receiver) -> None:
    listener.answer = (200, {}, b"\xff\0" + b"x" * 10_000_000)
    answer = outside.post(listener.url, b"{}", {}, HOME)
    assert (answer.status, len(answer.start)) == (200, outside.ANSWER)
    assert "\0" not in answer.start


@pytest.mark.slow
def test_a_server_that_drips_is_left(listener: Receiver) -> None:
    """A byte now and then keeps every single read short of its own limit."""
    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def drip() -> None:
            conversation, _ = listening.accept()
            with conversation:
                conversation.sendall(b"HTTP/1.1 200 OK\r\nX: ")
                try:
                    while not done.wait(0.1):
                        conversation.sendall(b"x")
                except OSError:
                    return

        thread = threading.Thread(target=drip)
        thread.start()
        began = time.monotonic()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
        assert refused(url, Rules.of(("127.0.0.0/8",), 0.5)) == "no_answer"
        assert time.monotonic() - began < 5
        done.set()
        thread.join()


def test_nobody_there(listener: Receiver) -> None:
    listener.server_close()
    assert refused(listener.url, HOME) == "no_answer"
    assert refused("https://nothing.invalid/") == "address_unknown"


def test_a_resolver_that_hangs_is_not_waited_for() -> None:
    awake = threading.Event()

    def hang(host: str, port: int) -> Sequence[str]:
        awake.wait(10)
        return [PUBLIC]

    began = time.monotonic()
    assert refused("https://hook.example/", Rules.of((), 0.2), hang) == "address_unknown"
    awake.set()
    assert time.monotonic() - began < 5
