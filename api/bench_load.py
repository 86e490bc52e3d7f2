"""Requests that come at a constant rate, whatever the portal does: when it is slow the next ones wait, and it shows.

Few threads with a kept connection each, and no parsing: what is measured is the portal, on the machine that it shares
with us.
"""

from __future__ import annotations

import http.client
import itertools
import queue
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

CONNECTIONS = 16
TIMEOUT = 30.0  # seconds for one answer


@dataclass(frozen=True)
class Page:
    """One page to ask for, with the cookies of who asks."""

    name: str
    path: str
    cookies: str


@dataclass(frozen=True)
class Answer:
    """What came back: milliseconds since the request was due (not since it left), and the status; 0: no answer."""

    page: str
    ms: float
    status: int


def run(url: str, pages: Sequence[Page], rate: float, seconds: float) -> list[Answer]:
    """Ask for the pages by turns, `rate` requests a second, for so many seconds."""
    due: queue.SimpleQueue[tuple[float, Page] | None] = queue.SimpleQueue()
    answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
    threads = [threading.Thread(target=_ask, args=(url, due, answers), daemon=True) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    began = time.perf_counter()
    for number, page in zip(range(int(rate * seconds)), itertools.cycle(pages), strict=False):
        at = began + number / rate
        time.sleep(max(0.0, at - time.perf_counter()))
        due.put((at, page))
    for _ in threads:
        due.put(None)
    for thread in threads:
        thread.join()
    return [answers.get() for _ in range(answers.qsize())]


def _ask(url: str, due: queue.SimpleQueue[tuple[float, Page] | None], answers: queue.SimpleQueue[Answer]) -> None:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=TIMEOUT)
    while (one := due.get()) is not None:
        at, page = one
        try:
            connection.request("GET", page.path, headers={"Cookie": page.cookies, "Accept-Language": "fr"})
            answer = connection.getresponse()
            answer.read()
            status = answer.status
        except (OSError, http.client.HTTPException):
            connection.close()
            status = 0
        answers.put(Answer(page.name, (time.perf_counter() - at) * 1000, status))
    connection.close()
