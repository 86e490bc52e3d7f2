"""Signing in and out."""

from __future__ import annotations

from urllib.parse import urlsplit

from apiflask import APIBlueprint
from flask import Response, current_app, make_response, redirect, render_template, request, session, url_for
from werkzeug.wrappers import Response as Answer

from api import auth
from orchestrator.errors import TooMany, Unauthenticated
from tenants import accounts, sessions, signing_in

blueprint = APIBlueprint("signing_in", __name__, enable_openapi=False)


@blueprint.get("/sign-in")
def form() -> str | Answer:
    """The form; who is signed in goes on to the home page."""
    if auth.caller() is not None:
        return redirect(url_for("pages.home"))
    return render_template("sign_in.html", error=None, email="", next=same_site(request.args.get("next")))


@blueprint.post("/sign-in")
def enter() -> Response | tuple[str, int]:
    """Judge e-mail and password; a refusal is said in the form."""
    email, wanted = request.form.get("email", ""), same_site(request.form.get("next"))
    try:
        proved = signing_in.by_password(
            auth.engines().door, current_app.extensions["hasher"], email, request.form.get("password", ""),
            request.remote_addr or "", auth.now(),
        )  # fmt: skip
    except (Unauthenticated, TooMany) as error:
        return render_template("sign_in.html", error=error, email=email, next=wanted), error.status
    return begin(proved.account_id, wanted)


def begin(account_id: int, wanted: str) -> Response:
    """Begin the session of somebody who has proved everything, and lead where they wanted to go."""
    settings = auth.settings()
    with auth.door() as opened:
        secret = sessions.start(
            opened, accounts.find(opened, account_id), auth.now(), settings.session_hours,
            address=request.remote_addr or "", device=request.user_agent.string,
        )  # fmt: skip
    return auth.remember(make_response(redirect(wanted or url_for("pages.home"))), secret)


@blueprint.post("/sign-out")
def leave() -> Response:
    """End the session here and now."""
    caller = auth.caller()
    assert caller
    assert caller.account_id
    assert caller.session_id
    with auth.door() as opened:
        sessions.end(opened, caller.account_id, caller.session_id)
    session.clear()
    return auth.forget(make_response(redirect(url_for("signing_in.form"))))


def same_site(path: str | None) -> str:
    """A path of this site to go on to, else nothing: a link can't lead elsewhere through our door."""
    if not path or not path.startswith("/") or path.startswith("//") or "\\" in path or not path.isprintable():
        return ""
    parts = urlsplit(path)
    return "" if parts.scheme or parts.netloc else path
