"""A member's objections to lines of a closed statement."""

from __future__ import annotations

from apiflask import APIBlueprint
from flask import flash, redirect, render_template, url_for
from flask_babel import gettext
from werkzeug.wrappers import Response

from api import auth
from api.forms import Form
from orchestrator.errors import Conflict, InvalidInput
from tenants import disputes, reading

blueprint = APIBlueprint("dispute_pages", __name__, enable_openapi=False, url_prefix="/statements")


@blueprint.get("/<int:statement_id>/disputes")
def of_statement(statement_id: int) -> str:
    """What was objected to, answered and decided; the form that objects."""
    return _page(statement_id, Form.asked())


def _page(statement_id: int, form: Form) -> str:
    with auth.scope() as session:
        document = reading.statement(session, statement_id)
        rows = disputes.listed(session, statement_id=statement_id)
    return render_template("statements/disputes.html", document=document, rows=rows, form=form)


@blueprint.post("/<int:statement_id>/disputes")
def open_(statement_id: int) -> Response | tuple[str, int]:
    """Object to one line."""
    sent = Form.sent()
    position = sent.values.get("position", "")
    try:
        with auth.scope() as session:
            reading.statement(session, statement_id)
            number = int(position) if position.isdecimal() and len(position) < 10 else 0
            disputes.open_(session, statement_id, number, sent.values.get("reason", ""), auth.now())
    except (InvalidInput, Conflict) as error:
        return _page(statement_id, sent.refused(error, "reason")), error.status
    flash(gettext("La contestation est envoyée aux finances de l’agglomération."), "success")
    return redirect(url_for(".of_statement", statement_id=statement_id))


@blueprint.post("/disputes/<int:dispute_id>/withdraw")
def withdraw(dispute_id: int) -> Response:
    """No longer object."""
    with auth.scope() as session:
        found = disputes.one(session, dispute_id)
        try:
            disputes.withdraw(session, dispute_id, auth.now())
            flash(gettext("La contestation est retirée."), "success")
        except Conflict:
            flash(gettext("Cette contestation est déjà tranchée."), "warning")
    return redirect(url_for(".of_statement", statement_id=found["statement_id"]))
