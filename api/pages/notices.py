"""Which mails one wants."""

from __future__ import annotations

from apiflask import APIBlueprint
from flask import flash, g, redirect, render_template, request, url_for
from flask_babel import gettext
from werkzeug.wrappers import Response

from api import auth
from api.forms import Form
from orchestrator.errors import InvalidInput
from tenants import notices

blueprint = APIBlueprint("notice_pages", __name__, enable_openapi=False, url_prefix="/account/notices")


@blueprint.get("")
def show() -> str:
    """What is chosen."""
    with auth.door() as session:
        return _page(Form({"choice": notices.choice(session, g.caller.account_id)}))


def _page(form: Form) -> str:
    return render_template("notices/choice.html", form=form)


@blueprint.post("")
def choose() -> Response | tuple[str, int]:
    """Choose."""
    try:
        with auth.door() as session:
            notices.choose(session, g.caller.account_id, request.form.get("choice", ""))
    except InvalidInput as error:
        return _page(Form.sent().refused(error, only="choice")), error.status
    flash(gettext("Votre choix est enregistré."), "success")
    return redirect(url_for(".show"))
