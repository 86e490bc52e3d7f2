"""One's own keys to the API, for the house that one acts for."""

from __future__ import annotations

from apiflask import APIBlueprint
from flask import flash, g, redirect, render_template, request, url_for
from flask_babel import gettext
from werkzeug.wrappers import Response

from api import auth
from api.forms import Form
from orchestrator.errors import InvalidInput
from tenants import roles, tokens

blueprint = APIBlueprint("token_pages", __name__, url_prefix="/tokens", enable_openapi=False)
DAYS = ("30", "90", "180", "365")


@blueprint.get("")
def listed() -> str:
    """The tokens, without their secrets, and the form that makes one."""
    return _page(Form({"days": "90", "scope-read": "1"}))


def _page(form: Form, secret: str | None = None) -> str:
    with auth.door() as opened:
        rows = tokens.listed(opened, account_id=g.caller.account_id)
    # A scope is worth offering where one holds a role for one of its acts.
    useful = {act.scope for act in roles.acts().values() if not act.roles.isdisjoint(g.caller.roles)}
    scopes = {name: words for name, words in roles.titles("scopes").items() if name in useful}
    shown = {"tokens": rows, "scopes": scopes, "titles": roles.titles("scopes"), "now": auth.now()}
    options = [(day, day) for day in DAYS]
    return render_template("tokens/list.html", form=form, secret=secret, day_options=options, **shown)


@blueprint.post("")
def make() -> str | tuple[str, int]:
    """Make a token; its secret is on this page and never again."""
    form = Form.sent()
    days = request.form.get("days", "")
    chosen = [name for name in roles.titles("scopes") if request.form.get(f"scope-{name}")]
    try:
        with auth.door() as opened:
            _, secret = tokens.make(
                opened, request.form.get("label", ""), int(days) if days in DAYS else 0, auth.now(),
                member_id=g.caller.member_id, scopes=chosen, account_id=g.caller.account_id,
            )  # fmt: skip
    except InvalidInput as error:
        return _page(form.refused(error)), error.status
    return _page(Form({"days": "90"}), secret)


@blueprint.post("/<int:token_id>/revoke")
def revoke(token_id: int) -> Response:
    """End one of one's tokens at once."""
    with auth.door() as opened:
        tokens.revoke(opened, token_id, auth.now(), account_id=g.caller.account_id)
    flash(gettext("Le jeton est révoqué."), "success")
    return redirect(url_for("token_pages.listed"))
