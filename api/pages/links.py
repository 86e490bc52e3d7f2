"""Mailed links that set a password: asked for when it is forgotten, or sent with an invitation.

Looking at a link shows a form and changes nothing; only the form's button uses it up.
"""

from __future__ import annotations

from apiflask import APIBlueprint
from flask import Response, current_app, flash, redirect, render_template, request, url_for
from flask_babel import gettext
from werkzeug.wrappers import Response as Answer

from api import auth
from api.forms import Form
from api.pages import signing_in
from orchestrator.errors import InvalidInput, NotFound
from tenants import invitations, second_factor

blueprint = APIBlueprint("link_pages", __name__, enable_openapi=False)


@blueprint.get("/forgotten")
def forgotten_form() -> str:
    """Ask for whom a link is wanted."""
    return render_template("signing_in/forgotten.html", form=Form())


@blueprint.post("/forgotten")
def forgotten() -> Answer:
    """Mail a link, if there is such an account; the answer is the same if there is none."""
    invitations.ask_again(auth.engines().door, request.form.get("email", ""), request.remote_addr or "", auth.now())
    flash(gettext("Si cette adresse a un compte, un message vient d’y être envoyé. Il sert une heure."), "success")
    return redirect(url_for("signing_in.form"))


@blueprint.get("/password/<secret>")
def form(secret: str) -> str | tuple[str, int]:
    """The form that sets a password."""
    try:
        with auth.door() as opened:
            _, account = invitations.find(opened, secret, auth.now())
    except NotFound as error:
        return render_template("error.html", error=error, status=error.status), error.status
    return render_template("signing_in/password.html", form=Form(), person=account)


@blueprint.post("/password/<secret>")
def use(secret: str) -> Response | Answer | tuple[str, int]:
    """Use the link up and sign in; an account with a second factor is asked for it as always."""
    with auth.door() as opened:
        _, account = invitations.find(opened, secret, auth.now())
    try:
        account_id = invitations.accept(
            auth.engines().door, current_app.extensions["hasher"], secret, request.form.get("password", ""), auth.now()
        )
    except InvalidInput as error:
        form = Form().refused(error, only="password")
        return render_template("signing_in/password.html", form=form, person=account), error.status
    with auth.door() as opened:
        asks = second_factor.is_on(opened, account_id)
    flash(gettext("Votre mot de passe est enregistré."), "success")
    return redirect(url_for("signing_in.form")) if asks else signing_in.begin(account_id, None)
