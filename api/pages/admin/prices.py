"""The price book: what is in force and what was, a tariff being prepared, what the last month would have cost."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from flask import Response, flash, redirect, render_template, request, url_for
from flask_babel import gettext
from werkzeug.wrappers import Response as Answer

from api import auth
from api.exporting import download
from api.forms import Form
from api.pages.admin.guard import territory
from orchestrator.errors import Conflict, InvalidInput
from tenants import prices, prices_drafts

blueprint = territory("admin_prices", "/admin/prices")


@blueprint.get("")
def list_() -> str:
    """Every price by meter, with its days; the drafts."""
    with auth.scope() as session:
        rows, drafts = prices.listed(session), prices_drafts.listed(session)
    books: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        books.setdefault(row["meter"], []).append(row)
    return render_template("admin/prices/list.html", books=books, drafts=drafts, now=auth.now())


@blueprint.get("/export.csv")
def export() -> Response:
    """The whole book as a file."""
    with auth.scope() as session:
        content = prices.as_csv(prices.listed(session), auth.settings().timezone)
    return download(content, "tarifs.csv", "text/csv")


@blueprint.get("/new")
def new() -> str:
    """The form of a new tariff, with the prices in force beside."""
    return _form(Form(), None)


@blueprint.post("/new")
def make() -> Answer | tuple[str, int]:
    """Keep it as a draft."""
    return _write(None)


@blueprint.get("/drafts/<int:draft_id>")
def show(draft_id: int) -> str:
    """A draft and what the last month would have cost."""
    return _show(draft_id, Form())


def _show(draft_id: int, form: Form) -> str:
    with auth.scope() as session:
        draft = prices_drafts.find(session, draft_id)
        compared = prices_drafts.compare(session, draft.hourly)
        current = prices_drafts.current(session, auth.now())
        labels = {meter.code: meter.label for meter in prices_drafts.meters(session)}
    hourly = {code: Decimal(price) for code, price in draft.hourly.items()}
    shown = {"draft": draft, "hourly": hourly, "compared": compared, "current": current, "labels": labels, "form": form}
    return render_template("admin/prices/draft.html", **shown)


@blueprint.get("/drafts/<int:draft_id>/edit")
def edit(draft_id: int) -> str:
    """The form as it was typed."""
    with auth.scope() as session:
        draft = prices_drafts.find(session, draft_id)
    typed = {f"hourly.{code}": price for code, price in draft.hourly.items()}
    return _form(Form({"book": draft.book, "starts": draft.starts.isoformat(), **typed}), draft_id)


@blueprint.post("/drafts/<int:draft_id>/edit")
def change(draft_id: int) -> Answer | tuple[str, int]:
    """Change the draft."""
    return _write(draft_id)


@blueprint.post("/drafts/<int:draft_id>/adopt")
def adopt(draft_id: int) -> Answer | tuple[str, int]:
    """Put its prices in the book for good."""
    try:
        with auth.scope() as session:
            prices_drafts.adopt(session, draft_id, auth.settings().timezone, auth.now())
    except Conflict as error:
        return _show(draft_id, Form().refused(error)), error.status
    flash(gettext("Le tarif est adopté."), "success")
    return redirect(url_for("admin_prices.list_"))


@blueprint.post("/drafts/<int:draft_id>/discard")
def discard(draft_id: int) -> Answer:
    """Give it up."""
    with auth.scope() as session:
        prices_drafts.discard(session, draft_id, auth.now())
    flash(gettext("Le projet de tarif est abandonné."), "success")
    return redirect(url_for("admin_prices.list_"))


def _write(draft_id: int | None) -> Answer | tuple[str, int]:
    sent = Form.sent()
    hourly = {name.removeprefix("hourly."): text for name, text in request.form.items() if name.startswith("hourly.")}
    book, starts = request.form.get("book", ""), request.form.get("starts", "")
    try:
        with auth.scope() as session:
            draft = prices_drafts.write(session, draft_id, book, starts, hourly)
    except (InvalidInput, Conflict) as error:
        return _form(sent.refused(error), draft_id), error.status
    return redirect(url_for("admin_prices.show", draft_id=draft.id))


def _form(form: Form, draft_id: int | None) -> str:
    with auth.scope() as session:
        meters, current = prices_drafts.meters(session), prices_drafts.current(session, auth.now())
    shown = {"form": form, "draft_id": draft_id, "meters": meters, "current": current}
    return render_template("admin/prices/form.html", **shown)
