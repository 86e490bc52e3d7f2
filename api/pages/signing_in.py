"""Signing in: by password, with a code if the account asks for one, or through an OpenID provider. Signing out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, cast
from urllib.parse import urlsplit

from apiflask import APIBlueprint
from flask import Response, current_app, flash, g, make_response, redirect, render_template, request, session, url_for
from flask_babel import gettext
from werkzeug.wrappers import Response as Answer

from api import auth
from api.forms import Form
from api.oidc import Provider, Vouched
from orchestrator.errors import ClocherError, NotFound, TooMany, Unauthenticated, Unavailable
from tenants import accounts, identities, sessions, signing_in

blueprint = APIBlueprint("signing_in", __name__, enable_openapi=False)
HALF_WAY = timedelta(minutes=5)  # between the password and the code, or at the provider's


@blueprint.get("/sign-in")
def form() -> str | Answer:
    """The form; who is signed in goes on to the home page."""
    if auth.caller() is not None:
        return redirect("/")
    return _form(Form({"next": request.args.get("next", "")}))


@blueprint.post("/sign-in")
def enter() -> Response | Answer | tuple[str, int]:
    """Judge e-mail and password; a refusal is said in the form."""
    sent = Form.sent()
    try:
        proved = signing_in.by_password(
            auth.engines().door, current_app.extensions["hasher"], request.form.get("email", ""),
            request.form.get("password", ""), request.remote_addr or "", auth.now(),
        )  # fmt: skip
    except (Unauthenticated, TooMany) as error:
        return _form(sent.refused(error)), error.status
    if proved.second_factor:
        session.clear()
        _remember_half({"account": proved.account_id, "next": same_site(request.form.get("next"))}, "code")
        return redirect(url_for("signing_in.code_form"))
    return begin(proved.account_id, request.form.get("next"))


@blueprint.get("/sign-in/code")
def code_form() -> str | Answer:
    """Ask for the second factor."""
    if _half("code") is None:
        return redirect(url_for("signing_in.form"))
    return render_template("signing_in/code.html", form=Form())


@blueprint.post("/sign-in/code")
def code() -> Response | Answer | tuple[str, int]:
    """Judge the code; tries are counted as those of passwords are."""
    half = _half("code")
    if half is None:
        return redirect(url_for("signing_in.form"))
    try:
        signing_in.by_code(
            auth.engines().door, auth.settings(), half["account"], request.form.get("code", ""),
            request.remote_addr or "", auth.now(),
        )  # fmt: skip
    except (Unauthenticated, TooMany) as error:
        return render_template("signing_in/code.html", form=Form().refused(error)), error.status
    return begin(half["account"], half["next"])


@blueprint.get("/sign-in/with/<name>")
def leave_for(name: str) -> Answer:
    """Send the browser to an OpenID provider."""
    started = _provider(name).start()
    kept = {"state": started.state, "nonce": started.nonce, "verifier": started.verifier, "provider": name}
    _remember_half({**kept, "next": same_site(request.args.get("next"))}, "provider")
    return redirect(started.url)


@blueprint.get("/sign-in/with/<name>/back")
def come_back(name: str) -> Response | Answer | tuple[str, int]:
    """What the provider sends the browser back with: good once, for a sign-in that began in this browser."""
    started = _half("provider")
    session.pop("provider", None)
    try:
        if started is None or started["provider"] != name:
            raise Unauthenticated("form_expired", "Cette connexion a expiré ou a commencé ailleurs.", "Recommencez.")
        vouched = _provider(name).finish(started, request.args.to_dict())
        with auth.door() as opened:
            account = identities.sign_in(opened, vouched.claims, auth.now())
    except ClocherError as error:
        if error.detail:
            current_app.logger.warning("sign-in refused: %s", error.detail)
        return _form(Form().refused(error)), error.status
    return begin(account.id, started["next"], vouched)


def begin(account_id: int, wanted: str | None, vouched: Vouched | None = None) -> Response:
    """Begin the session of somebody who has proved everything, and lead where they wanted to go."""
    issuer = vouched.claims.issuer if vouched else None
    with auth.door() as opened:
        account = accounts.find(opened, account_id)
        secret = sessions.start(
            opened, account, auth.now(), auth.settings().session_hours, address=request.remote_addr or "",
            device=request.user_agent.string, issuer=issuer, id_token=vouched.id_token if vouched else None,
        )  # fmt: skip
        if g.known is not None:  # whoever signs in anew leaves the session that this browser had
            sessions.end(opened, g.known.account_id, g.known.session_id)
    return auth.remember(make_response(redirect(same_site(wanted) or "/")), secret)


@blueprint.get("/waiting")
def waiting() -> str | Answer:
    """For who is known and has no role: what happens now."""
    if auth.caller() and g.caller.roles:
        return redirect("/")
    with auth.door() as opened:
        account = accounts.find(opened, g.caller.account_id)
    return render_template("signing_in/waiting.html", person=account)


@blueprint.post("/acting-for")
def act_for() -> Response:
    """Act for another house where one holds a role."""
    wanted = request.form.get("member", "")
    with auth.door() as opened:
        secret = sessions.act_for(opened, g.known, int(wanted) if wanted.isdecimal() and len(wanted) < 19 else None)
    return auth.remember(make_response(redirect("/")), secret)


@blueprint.post("/sign-out")
def leave() -> Response:
    """End the session here and now, and at the provider that vouched."""
    with auth.door() as opened:
        ended = sessions.end(opened, g.known.account_id, g.known.session_id)
    provider = next((one for one in _providers().values() if one.chosen.issuer == ended.issuer), None)
    there = _there(provider, ended.id_token) if provider and ended.id_token else None
    if there is None:
        answer = auth.forget(make_response(redirect(url_for("signing_in.form"))))
        flash(gettext("Vous êtes déconnecté."), "success")
        return answer
    # A page of its own: the policy of the page with the form lets no form lead to another site.
    g.caller = g.known = None
    label = provider.chosen.label if provider else ""
    return auth.forget(make_response(render_template("signing_in/elsewhere.html", there=there, label=label)))


def _there(provider: Provider, id_token: str) -> str | None:
    """Where to sign out at the provider too; nowhere while it does not answer: here one is signed out all the same."""
    try:
        return provider.sign_out_url(id_token, auth.settings().public_url + url_for("signing_in.form"))
    except Unavailable:
        return None


def same_site(path: str | None) -> str:
    """A path of this site to go on to, else nothing: a link can't lead elsewhere through our door."""
    if not path or not path.startswith("/") or path.startswith("//") or "\\" in path or not path.isprintable():
        return ""
    parts = urlsplit(path)
    return "" if parts.scheme or parts.netloc else path


def _form(form: Form) -> str:
    wanted = same_site(form.values.get("next"))
    return render_template(
        "signing_in/form.html", form=form, next=wanted, providers=[one.chosen for one in _providers().values()]
    )


def _providers() -> dict[str, Provider]:
    return cast(dict[str, Provider], current_app.extensions["providers"])


def _provider(name: str) -> Provider:
    found = _providers().get(name)
    if found is None:
        raise NotFound("not_found", "Ce fournisseur d’identité n’existe pas ici.", "Revenez à la connexion.")
    return found


def _remember_half(kept: dict[str, Any], step: str) -> None:
    session[step] = {**kept, "until": (auth.now() + HALF_WAY).timestamp()}


def _half(step: str) -> dict[str, Any] | None:
    """What was remembered of a sign-in under way in this browser, unless it took too long."""
    kept = session.get(step)
    return kept if kept and datetime.fromtimestamp(kept["until"], UTC) > auth.now() else None
