"""How often the API may be asked: so many requests and changes a minute, for each token or, without one, address."""

from __future__ import annotations

from flask import Flask, Response, g, request

from api import auth
from orchestrator.database import door_session
from orchestrator.errors import TooMany
from orchestrator.settings import Settings
from tenants import allowances, failures, tokens
from tenants.allowances import Allowance

SAFE = ("GET", "HEAD", "OPTIONS")


def install(app: Flask, settings: Settings) -> None:
    """Count every request to the API; before anything is looked up, so that refused ones count too."""
    limits = {"read": settings.api_requests_per_minute, "change": settings.api_changes_per_minute}

    def spend() -> None:
        if not request.path.startswith("/api/v1/"):
            return
        kind = "read" if request.method in SAFE else "change"
        with door_session(auth.engines().door, "limits") as session:
            g.allowance = allowed = allowances.spend(session, _who(), kind, limits[kind], auth.now())
        if allowed.left < 0:
            raise TooMany(
                "too_many_requests",
                "Ce jeton a fait trop de requêtes en une minute.",
                "Attendez le temps que dit « Retry-After », puis reprenez.",
                facts={"retry_after": allowed.reset, "limit": allowed.limit},
            )

    app.before_request(spend)
    app.after_request(_tell)


def _who() -> str:
    """The token, in whichever spelling of the header; the client's address where there is none that can be ours."""
    secret = auth.shown_token()
    if tokens.looks_real(secret):
        return f"token {tokens.digest(secret).hex()}"
    return failures.of_address(request.remote_addr or "")


def _tell(answer: Response) -> Response:
    allowed: Allowance | None = g.get("allowance")
    if allowed is not None:
        answer.headers["RateLimit-Limit"] = str(allowed.limit)
        answer.headers["RateLimit-Remaining"] = str(max(0, allowed.left))
        answer.headers["RateLimit-Reset"] = str(allowed.reset)
        answer.headers["RateLimit-Policy"] = f"{allowed.limit};w={allowances.WINDOW}"
    return answer
