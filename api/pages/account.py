"""One's own account: name, language, password, second factor, sessions. What one does here needs no role."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import segno
from apiflask import APIBlueprint
from flask import Response, current_app, flash, g, make_response, redirect, render_template, request, url_for
from flask_babel import gettext
from markupsafe import Markup
from werkzeug.wrappers import Response as Answer

from api import auth, language
from api.forms import Form
from orchestrator.errors import ClocherError, InvalidInput, TooMany, Unauthenticated
from tenants import accounts, roles, second_factor, sessions, signing_in

blueprint = APIBlueprint("account_pages", __name__, url_prefix="/account", enable_openapi=False)


@blueprint.get("")
def show() -> str:
    """Everything about oneself, with the forms that change it."""
    return _page()


def _page(**forms: Form) -> str:
    with auth.door() as opened:
        account = accounts.find(opened, g.caller.account_id)
        shown: dict[str, Any] = {
            "person": account,
            "places": accounts.places(opened, account.id),
            "titles": roles.titles(),
            "second_factor": second_factor.is_on(opened, account.id),
            "codes_left": second_factor.codes_left(opened, account.id),
            "sessions": sessions.listed(
                opened, account.id, auth.now(), timedelta(minutes=auth.settings().session_idle_minutes)
            ),
            "naming": forms.get("naming", Form({"name": account.name, "language": account.language})),
            "changing": forms.get("changing", Form()),
            "leaving": forms.get("leaving", Form()),
        }
    return render_template("account/account.html", **shown)


@blueprint.post("")
def rename() -> Answer | tuple[str, int]:
    """Change name and language."""
    form = Form.sent()
    try:
        with auth.door() as opened:
            accounts.rename(opened, g.caller.account_id, request.form.get("name", ""), request.form.get("language", ""))
    except InvalidInput as error:
        return _page(naming=form.refused(error, only="name")), error.status
    answer = redirect(url_for("account_pages.show"))
    answer.delete_cookie(language.COOKIE)  # what was switched to before must not outlast what is chosen now
    flash(gettext("Votre compte est à jour."), "success")
    return answer


@blueprint.post("/password")
def change_password() -> Response | tuple[str, int]:
    """Replace the password; all other sessions end."""
    try:
        secret = signing_in.change_password(
            auth.engines().door, current_app.extensions["hasher"], g.caller.account_id, g.caller.session_id,
            request.form.get("present", ""), request.form.get("wanted", ""), auth.now(),
        )  # fmt: skip
    except (Unauthenticated, TooMany, InvalidInput) as error:
        field = "wanted" if isinstance(error, InvalidInput) else "present"
        return _page(changing=Form().refused(error, only=field)), 422
    answer = auth.remember(make_response(redirect(url_for("account_pages.show"))), secret)
    flash(gettext("Votre mot de passe est changé ; vos autres sessions ont pris fin."), "success")
    return answer


@blueprint.post("/second-factor")
def begin_second_factor() -> Answer:
    """Make a secret for an authentication application."""
    with auth.door() as opened:
        second_factor.begin(opened, accounts.find(opened, g.caller.account_id), auth.settings())
    return redirect(url_for("account_pages.second_factor_form"))


@blueprint.get("/second-factor")
def second_factor_form() -> str | Answer:
    """The QR code, and the form that confirms that it was read."""
    return _second_factor(Form())


def _second_factor(form: Form) -> str | Answer:
    with auth.door() as opened:
        address = second_factor.address(opened, accounts.find(opened, g.caller.account_id), auth.settings())
    if address is None:
        return redirect(url_for("account_pages.show"))
    qr = segno.make(address, error="m").svg_inline(border=2, scale=5, omitsize=True, svgclass="qr", lineclass=None)
    secret = address.split("secret=")[1].split("&")[0]
    return render_template("account/second_factor.html", form=form, qr=Markup(qr), secret=secret)  # noqa: S704  ours


@blueprint.post("/second-factor/confirm")
def confirm_second_factor() -> Response | Answer | str | tuple[str | Answer, int]:
    """Put it in force, and show the recovery codes this once."""
    try:
        with auth.door() as opened:
            codes = second_factor.confirm(
                opened, g.caller.account_id, request.form.get("code", ""), auth.now(), auth.settings()
            )
            sessions.end_others(opened, g.caller.account_id, g.caller.session_id)
            secret = sessions.renew(opened, g.caller.session_id)
    except Unauthenticated as error:
        return _second_factor(Form().refused(error, only="code")), 422
    return auth.remember(make_response(render_template("account/recovery_codes.html", codes=codes)), secret)


@blueprint.post("/second-factor/end")
def end_second_factor() -> Answer | tuple[str, int]:
    """Take it off, by whoever can still show a code."""
    try:
        signing_in.by_code(
            auth.engines().door, auth.settings(), g.caller.account_id, request.form.get("code", ""),
            request.remote_addr or "", auth.now(),
        )  # fmt: skip
        with auth.door() as opened:
            second_factor.take_off(opened, g.caller.account_id)
    except ClocherError as error:
        return _page(leaving=Form().refused(error, only="code")), 422
    flash(gettext("La double authentification est retirée."), "success")
    return redirect(url_for("account_pages.show"))


@blueprint.post("/sessions/<int:session_id>/end")
def end_session(session_id: int) -> Answer:
    """End one of one's sessions; the present one too."""
    with auth.door() as opened:
        sessions.end(opened, g.caller.account_id, session_id)
    return redirect(url_for("account_pages.show"))
