"""How often the API may be asked: so many requests and changes a minute, for each token or, without one, address.

Counted in the memory of each process, minute by minute: an installation of two processes lets through twice as much.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from flask import Flask, Response, g, request

from api import auth
from orchestrator.errors import TooMany
from orchestrator.settings import Settings
from tenants import failures, tokens

WINDOW = 60  # seconds
SAFE = ("GET", "HEAD", "OPTIONS")


@dataclass(frozen=True)
class Allowance:
    """How many requests a window allows, how many are left, and in how many seconds the next window begins."""

    limit: int
    left: int
    reset: int


@dataclass
class Counter:
    """Requests of the present window by who asks; a new window begins with nothing, so that it never grows."""

    limit: int
    window: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def spend(self, who: str, now: float) -> Allowance:
        """Count one request; left is negative when it was one too many."""
        with self.lock:
            if int(now) // WINDOW != self.window:
                self.window, self.counts = int(now) // WINDOW, {}
            self.counts[who] = count = self.counts.get(who, 0) + 1
        return Allowance(self.limit, self.limit - count, WINDOW - int(now) % WINDOW)


def install(app: Flask, settings: Settings) -> None:
    """Count every request to the API; before anything is looked up, so that refused ones count too."""
    reads, changes = Counter(settings.api_requests_per_minute), Counter(settings.api_changes_per_minute)

    def spend() -> None:
        if not request.path.startswith("/api/v1/"):
            return
        counter = reads if request.method in SAFE else changes
        g.allowance = allowed = counter.spend(_who(), time.time())
        if allowed.left < 0:
            raise TooMany(
                "too_many_requests",
                "Ce jeton a fait trop de requêtes en une minute.",
                "Attendez le temps que dit « Retry-After », puis reprenez.",
                facts={"retry_after": allowed.reset, "limit": allowed.limit},
            )

    app.before_request(spend)
    app.after_request(_tell)


def _who() -> str:
    """The token, in whichever spelling of the header; the client's address where there is none that can be ours."""
    secret = auth.shown_token()
    if tokens.looks_real(secret):
        return tokens.digest(secret).hex()
    return failures.of_address(request.remote_addr or "")


def _tell(answer: Response) -> Response:
    allowed: Allowance | None = g.get("allowance")
    if allowed is not None:
        answer.headers["RateLimit-Limit"] = str(allowed.limit)
        answer.headers["RateLimit-Remaining"] = str(max(0, allowed.left))
        answer.headers["RateLimit-Reset"] = str(allowed.reset)
        answer.headers["RateLimit-Policy"] = f"{allowed.limit};w={WINDOW}"
    return answer
