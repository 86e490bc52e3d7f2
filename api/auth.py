"""Who asks, and what they see. The API wants a token in `Authorization`; the pages, the cookie of a session.

Both are looked up again at each request: what was revoked stops at once. `g.caller` is who asks, or None.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import cast
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from flask import Flask, Response, current_app, g, make_response, redirect, request, session, url_for
from flask.sessions import SecureCookieSessionInterface
from flask_babel import gettext
from sqlalchemy.orm import Session

from api import access, oidc
from orchestrator.database import connect, door_session, member_session, territory_session
from orchestrator.errors import Forbidden, InvalidInput, Unauthenticated
from orchestrator.settings import Settings
from tenants import reading, roles, sessions, tokens
from tenants.passwords import Hasher
from tenants.sessions import Known

COOKIE = "clocher"


@dataclass(frozen=True)
class Engines:
    """The ways into the database: what a member may see, what the territory may, and who people are."""

    web: sa.Engine
    staff: sa.Engine
    door: sa.Engine

    def dispose(self) -> None:
        """Close all connections."""
        for engine in (self.web, self.staff, self.door):
            engine.dispose()


@dataclass(frozen=True)
class Caller:
    """Who asks, and for whom. member_id None: for the territory; account_id None: a machine; scopes None: all."""

    actor: str
    name: str
    language: str
    account_id: int | None
    member_id: int | None
    roles: frozenset[str]
    scopes: frozenset[str] | None = None
    token_id: int | None = None
    session_id: int | None = None

    def may(self, act: str) -> bool:
        """Whether the policy table allows this caller `act`."""
        return roles.allows(act, self.roles, self.scopes)


class FormCookie(SecureCookieSessionInterface):
    """What is remembered before anybody is known: the word of the sign-in form, a sign-in under way. Signed, short."""

    def get_cookie_secure(self, app: Flask) -> bool:
        return request.is_secure

    def get_cookie_name(self, app: Flask) -> str:
        return _named(f"{COOKIE}-door")


def install(app: Flask, settings: Settings) -> None:
    """Make every route of `app` ask who is there, and whether they may."""
    app.secret_key = settings.derive("form cookie")
    app.session_interface = FormCookie()
    app.config.update(SESSION_COOKIE_HTTPONLY=True, SESSION_COOKIE_SAMESITE="Lax")
    app.extensions["engines"] = Engines(
        connect(settings, "clocher_web"), connect(settings, "clocher_staff"), connect(settings, "clocher_door")
    )
    app.extensions["hasher"] = Hasher(settings)
    app.extensions["settings"] = settings
    app.extensions["providers"] = oidc.providers(settings.oidc_providers, settings.public_url)
    app.before_request(_identify)
    app.before_request(_check_form)
    app.before_request(_admit)
    app.teardown_request(_look_no_more)
    app.jinja_env.globals.update(csrf=csrf, may=may, homes=homes)


def engines() -> Engines:
    """The engines of the running app."""
    return cast(Engines, current_app.extensions["engines"])


def settings() -> Settings:
    """The settings of the running app."""
    return cast(Settings, current_app.extensions["settings"])


def _polls() -> bool:
    """Whether a page that is open keeps itself fresh, by its own address."""
    return request.args.get("part") == "live"


def _is_api() -> bool:
    return request.path.startswith("/api/v1/")


def _rule() -> str:
    return access.RULES[request.endpoint] if request.endpoint else access.PUBLIC  # nowhere: the menu leads out of it


def _identify() -> None:
    g.caller = g.known = None
    if _rule() == access.OPEN:
        return
    if _is_api():
        g.caller = _bearer()
    elif secret := request.cookies.get(_named(COOKIE)):
        g.known = _known(secret)
        g.caller = _person(g.known) if g.known else None


def shown_token() -> str:
    """What is shown as a token in `Authorization`; nothing, if nothing is."""
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else ""


def _bearer() -> Caller | None:
    with door_session(engines().door, "door") as door:
        held = tokens.holder(door, shown_token(), now())
    if held is None:
        return None
    return Caller(held.actor, held.name, held.language, held.account_id, held.member_id, held.roles, held.scopes,
                  token_id=held.token_id)  # fmt: skip


def _known(secret: str) -> Known | None:
    idle = timedelta(minutes=settings().session_idle_minutes)
    with door_session(engines().door, "door") as door:
        return sessions.find(door, secret, now(), idle, active=not _polls())


def _person(known: Known) -> Caller:
    actor = f"account {known.account_id} ({known.name})"
    return Caller(actor, known.name, known.language, known.account_id, known.member_id, known.roles,
                  session_id=known.session_id)  # fmt: skip


def _admit() -> Response | None:
    rule = _rule()
    if rule in (access.OPEN, access.PUBLIC):
        return None
    if g.caller is None:
        return _turn_away()
    if not g.caller.roles and request.path == "/":
        return cast(Response, redirect(url_for("signing_in.waiting")))
    if rule != access.SIGNED_IN and not may(rule):
        raise Forbidden(
            "role_missing",
            "Votre rôle, ou votre jeton, ne permet pas cela.",
            "Demandez-le à qui gère les comptes de votre collectivité, ou à la DSI.",
            facts={"act": rule},
        )
    return None


def _turn_away() -> Response:
    if _is_api():
        raise Unauthenticated(
            "invalid_token", "Le jeton manque, est inconnu, expiré ou révoqué.", "Demandez-en un à la DSI."
        )
    wanted = request.full_path.rstrip("?") if request.method == "GET" and request.path != "/" else None
    door = url_for("signing_in.form", next=wanted)
    if request.headers.get("HX-Request"):  # a page that polls must leave, not show the sign-in form inside itself
        answer = make_response("")
        answer.headers["HX-Redirect"] = url_for("signing_in.form", next=request.path if _polls() and wanted else None)
        return answer
    return cast(Response, redirect(door))


def caller() -> Caller | None:
    """Who asks; None: nobody that we know."""
    return cast("Caller | None", g.get("caller"))


def may(act: str) -> bool:
    """Whether the caller may do `act`; nobody may anything."""
    asking = caller()
    return asking is not None and asking.may(act)


@dataclass(frozen=True)
class House:
    """A house for which the caller can act; without a name it is the territory."""

    member_id: int | None
    name: str
    current: bool


def homes() -> list[House]:
    """For whom the person who is signed in can act."""
    known: Known | None = g.get("known")
    if known is None:
        return []
    return [
        House(member_id, name or gettext("Toute l’agglomération"), member_id == known.member_id)
        for member_id, name in known.houses
    ]


@dataclass
class Look:
    """The transaction of a page that is looked at, what ends it, and how many blocks use it now."""

    session: Session
    kept: ExitStack
    depth: int = 0


@contextmanager
def scope() -> Iterator[Session]:
    """One transaction that sees what the caller may see; inside the API's own one, that one.

    A page that is only looked at has one for all that it reads, with which nothing can be written.
    """
    if g.get("unit") is not None:
        yield g.unit
    elif request.method in ("GET", "HEAD") and not _is_api():
        with _look() as opened:
            yield opened
    else:
        with _transaction() as opened:
            yield opened


@contextmanager
def _look() -> Iterator[Session]:
    """What is opened first is kept until the page is made: parts of it, such as the frame, read too."""
    if g.get("look") is None:
        kept = ExitStack()
        g.look = Look(kept.enter_context(_transaction(reads=True)), kept)
    look: Look = g.look
    look.depth += 1
    try:
        yield look.session
    except BaseException as error:
        if look.depth == 1:
            g.look = None  # the page that tells of it reads in another transaction
            look.kept.__exit__(type(error), error, error.__traceback__)
        raise
    finally:
        look.depth -= 1


def _look_no_more(_error: BaseException | None) -> None:
    look: Look | None = g.get("look")
    if look is not None:
        g.look = None
        look.kept.close()


@contextmanager
def _transaction(*, reads: bool = False) -> Iterator[Session]:
    asking: Caller = g.caller
    if not asking.roles:
        raise Forbidden("role_missing", "Vous n’avez aucun rôle ici.", "Demandez-en un à la DSI.")
    if asking.member_id is None:
        with territory_session(engines().staff, asking.actor, reads=reads) as opened:
            yield opened
    else:
        with member_session(engines().web, asking.member_id, asking.actor, reads=reads) as opened:
            yield opened


@contextmanager
def door() -> Iterator[Session]:
    """One transaction that sees people and what proves them: for what one does to one's own account.

    Inside the API's own one at the door, that one.
    """
    if g.get("door_unit") is not None:
        yield g.door_unit
        return
    with door_session(engines().door, g.caller.actor if g.caller else "door") as opened:
        yield opened


def member_id(session: Session, slug: str | None) -> int:
    """For whom the caller acts: itself, or for the territory the member it names."""
    asking: Caller = g.caller
    if slug is not None:
        return reading.member(session, slug).id  # a member sees itself only
    if asking.member_id is None:
        raise InvalidInput("member_needed", "Pour quel membre ?", "Donnez « member » : la DSI agit pour l’un d’eux.")
    return asking.member_id


def remember(answer: Response, secret: str) -> Response:
    """Give the browser the secret of its session."""
    session.clear()  # nothing that was there before the sign-in is trusted after it
    answer.set_cookie(_named(COOKIE), secret, httponly=True, secure=request.is_secure, samesite="Lax", path="/")
    return answer


def forget(answer: Response) -> Response:
    """Take the session's secret out of the browser."""
    session.clear()
    answer.delete_cookie(_named(COOKIE), httponly=True, secure=request.is_secure, samesite="Lax", path="/")
    return answer


def _named(cookie: str) -> str:
    # With this prefix browsers take the cookie from this very host over HTTPS only: a sister site can't plant one.
    return f"__Host-{cookie}" if request.is_secure else cookie


def csrf() -> str:
    """The word that a form must send back; another site can't read it."""
    if g.get("known") is not None:
        return cast(str, g.known.csrf)
    if "csrf" not in session:
        session["csrf"] = secrets.token_urlsafe(24)
    return cast(str, session["csrf"])


def _check_form() -> None:
    # The API takes no cookie, so another site can't borrow it.
    if request.method in ("GET", "HEAD", "OPTIONS") or _is_api():
        return
    if not secrets.compare_digest(request.form.get("csrf", "").encode(), csrf().encode()):
        raise InvalidInput(
            "form_expired", "Ce formulaire a expiré ou vient d’ailleurs.", "Revenez en arrière et recommencez."
        )


def now() -> datetime:
    """The instant of the request."""
    return datetime.now(UTC)


def today() -> date:
    """The local day of the request."""
    return now().astimezone(ZoneInfo(settings().timezone)).date()
