"""Finance's disputes: what members object to; answer, settle, turn down."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from api import auth
from api.forms import Form
from api.pages.admin.guard import territory
from orchestrator.errors import Conflict, InvalidInput
from tenants import disputes
from tenants.tables_disputes import STATES

blueprint = territory("finance_disputes", "/finance/disputes")


@blueprint.get("")
def list_() -> str:
    """Disputes, the newest first."""
    state = request.args.get("state", "")
    with auth.scope() as session:
        rows = disputes.listed(session, state=state if state in STATES else None)
    return render_template("admin/finance/disputes.html", rows=rows, states=STATES, form=Form.asked())


@blueprint.get("/<int:dispute_id>")
def one(dispute_id: int) -> str:
    """One of them: the line, what was said, and the forms that answer and decide."""
    return _page(dispute_id, Form())


def _page(dispute_id: int, form: Form) -> str:
    with auth.scope() as session:
        found = disputes.one(session, dispute_id)
    return render_template("admin/finance/dispute.html", one=found, line=found["line"], form=form)


@blueprint.post("/<int:dispute_id>/answer")
def answer(dispute_id: int) -> Response | tuple[str, int]:
    """Answer; it stays open."""
    sent = Form.sent()
    words = sent.values.get("answer", "")
    return _done(dispute_id, sent, "answer", lambda session: disputes.answer(session, dispute_id, words, auth.now()))


@blueprint.post("/<int:dispute_id>/settle")
def settle(dispute_id: int) -> Response | tuple[str, int]:
    """Settle by an amount or a quantity."""
    sent = Form.sent()
    words = sent.values.get("decision", "")

    def step(session: Session) -> None:
        given = {name: _typed(sent, name) for name in ("amount", "quantity")}
        disputes.settle(session, dispute_id, words, auth.now(), **given)

    return _done(dispute_id, sent, "amount", step)


@blueprint.post("/<int:dispute_id>/reject")
def reject(dispute_id: int) -> Response | tuple[str, int]:
    """Turn it down."""
    sent = Form.sent()
    words = sent.values.get("refusal", "")
    return _done(dispute_id, sent, "refusal", lambda session: disputes.reject(session, dispute_id, words, auth.now()))


def _done(dispute_id: int, sent: Form, name: str, step: Callable[[Session], Any]) -> Response | tuple[str, int]:
    try:
        with auth.scope() as session:
            disputes.one(session, dispute_id)
            step(session)
    except (InvalidInput, Conflict) as error:
        return _page(dispute_id, sent.refused(error, name)), error.status
    flash(gettext("C’est écrit, et le membre en est prévenu."), "success")
    return redirect(url_for(".one", dispute_id=dispute_id))


def _typed(sent: Form, name: str) -> Decimal | None:
    text = "".join(sent.values.get(name, "").split()).replace(",", ".").replace("−", "-")
    try:
        return Decimal(text) if text else None
    except InvalidOperation:
        raise InvalidInput("invalid_amount", "Ce n’est pas un nombre.", "Écrivez-le comme -12,40.") from None
