"""Who asks. The API wants a token in `Authorization`; the pages keep its digest in a signed cookie.

Every route demands a caller, unless it is listed in PUBLIC. The token is looked up again at each request:
a revoked one stops at once.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

import sqlalchemy as sa
from flask import Flask, Response, current_app, g, redirect, request, session, url_for
from flask.sessions import SecureCookieSessionInterface
from sqlalchemy.orm import Session

from orchestrator.database import connect, member_session, territory_session
from orchestrator.errors import InvalidInput, Unauthenticated
from orchestrator.settings import Settings
from tenants import reading, tokens
from tenants.tokens import Holder

PUBLIC = frozenset(
    {"static", "look.theme", "look.logo", "openapi.spec", "health.healthz", "health.readyz", "health.metrics", "pages.sign_in", "pages.enter"}
)


@dataclass(frozen=True)
class Engines:
    """Two ways into the database: what a member may see, and what the territory may."""

    web: sa.Engine
    staff: sa.Engine


class CookieInterface(SecureCookieSessionInterface):
    """The cookie is Secure whenever the request came by HTTPS; plain HTTP is for this machine only."""

    def get_cookie_secure(self, app: Flask) -> bool:
        return request.is_secure


def install(app: Flask, settings: Settings) -> None:
    """Make every route of `app` demand a caller."""
    app.secret_key = settings.key()
    app.session_interface = CookieInterface()
    app.config.update(SESSION_COOKIE_NAME="clocher", SESSION_COOKIE_HTTPONLY=True, SESSION_COOKIE_SAMESITE="Lax")
    app.extensions["engines"] = Engines(connect(settings, "clocher_web"), connect(settings, "clocher_staff"))
    app.before_request(_identify)
    app.before_request(_check_csrf)
    app.jinja_env.globals["csrf"] = csrf


def engines() -> Engines:
    """The engines of the running app."""
    return cast(Engines, current_app.extensions["engines"])


def _identify() -> Response | None:
    g.holder = None
    if request.endpoint is None or request.endpoint in PUBLIC:
        return None
    if request.path.startswith("/api/"):
        g.holder = _holder(_bearer())
    elif "token" in session:
        g.holder = _holder(bytes.fromhex(session["token"]))
    if g.holder is None and not request.path.startswith("/api/"):
        session.clear()
        return cast(Response, redirect(url_for("pages.sign_in")))
    if g.holder is None:
        raise Unauthenticated(
            "invalid_token", "Le jeton manque, est inconnu, expiré ou révoqué.", "Demandez-en un à la DSI."
        )
    return None


def _bearer() -> bytes | None:
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    return tokens.digest(secret.strip()) if scheme.lower() == "bearer" else None


def _holder(digest: bytes | None) -> Holder | None:
    if digest is None:
        return None
    # Nobody is known yet: a session of no member sees no row; the token's own function answers.
    with member_session(engines().web, 0, "sign-in") as nobody:
        return tokens.holder(nobody, digest)


@contextmanager
def scope() -> Iterator[Session]:
    """One transaction that sees what the caller may see."""
    holder: Holder = g.holder
    if holder.member_id is None:
        with territory_session(engines().staff, holder.actor) as opened:
            yield opened
    else:
        with member_session(engines().web, holder.member_id, holder.actor) as opened:
            yield opened


def member_id(session: Session, slug: str | None) -> int:
    """For whom the caller acts: itself, or for the territory the member it names."""
    holder: Holder = g.holder
    if slug is not None:
        return reading.member(session, slug).id  # a member sees itself only
    if holder.member_id is None:
        raise InvalidInput("member_needed", "Pour quel membre ?", "Donnez « member » : la DSI agit pour l’un d’eux.")
    return holder.member_id


def sign_in(secret: str) -> None:
    """Remember the holder of `secret` in a new session; raises `invalid_token`."""
    digest = tokens.digest(secret.strip())
    if _holder(digest) is None:
        raise Unauthenticated(
            "invalid_token", "Ce jeton est inconnu, expiré ou révoqué.", "Vérifiez-le ou demandez-en un à la DSI."
        )
    session.clear()  # nothing that was there before the sign-in is trusted after it
    session["token"] = digest.hex()


def csrf() -> str:
    """The word that a form must send back; another site can't read it."""
    if "csrf" not in session:
        session["csrf"] = secrets.token_urlsafe(24)
    return cast(str, session["csrf"])


def _check_csrf() -> None:
    # The API takes no cookie, so another site can't borrow it.
    if request.method in ("GET", "HEAD", "OPTIONS") or request.path.startswith("/api/"):
        return
    if not secrets.compare_digest(request.form.get("csrf", "").encode(), csrf().encode()):
        raise InvalidInput(
            "form_expired", "Ce formulaire a expiré ou vient d’ailleurs.", "Revenez en arrière et recommencez."
        )


def now() -> datetime:
    """The instant of the request."""
    return datetime.now(UTC)
