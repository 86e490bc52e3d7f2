"""The price book: what is in force and what was, a tariff being prepared, what the last month would have cost."""

from __future__ import annotations

from typing import Any

from flask import Response, current_app, flash, redirect, render_template, request, url_for
from flask_babel import gettext
from werkzeug.wrappers import Response as Answer

from api import auth
from api.exporting import download
from api.forms import Form
from api.pages.admin.guard import territory
from orchestrator.errors import Conflict, InvalidInput
from orchestrator.tables import MEMBER_KINDS
from tenants import prices, prices_comparison, prices_drafts
from tenants.finance import Terms, as_terms

CELLS = 400  # rows of each member by meter, on a page; the API has all
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
    """A draft and what a month would have cost: the newest, or the one that is asked for (`month`)."""
    return _show(draft_id, Form.asked())


def _show(draft_id: int, form: Form) -> str:
    with auth.scope() as session:
        draft = prices_drafts.find(session, draft_id)
        compared = prices_comparison.compare(session, draft, request.args.get("month") or None)
        current = prices_drafts.current(session, auth.now(), draft.member_kind)
        meters = {meter.code: meter for meter in prices_drafts.meters(session)}
    terms = {code: Terms.model_validate(as_terms(price)) for code, price in draft.hourly.items()}
    shown = {"draft": draft, "terms": terms, "compared": compared, "current": current, "meters": meters, "form": form}
    today = auth.now().astimezone(current_app.extensions["zone"]).date()
    return render_template("admin/prices/draft.html", **shown, most=CELLS, today=today)


@blueprint.get("/drafts/<int:draft_id>/edit")
def edit(draft_id: int) -> str:
    """The form as it was typed."""
    with auth.scope() as session:
        draft = prices_drafts.find(session, draft_id)
    typed = {name: text for code, price in draft.hourly.items() for name, text in _typed(code, price).items()}
    head = {"book": draft.book, "starts": draft.starts.isoformat(), "kind": draft.member_kind or ""}
    return _form(Form({**head, **typed}), draft_id)


def _typed(code: str, price: Any) -> dict[str, str]:
    """A price of a draft as its three fields hold it."""
    terms = as_terms(price)
    steps = "\n".join(f"{step['above']} : {step['price']}" for step in terms.get("steps", []))
    return {f"hourly.{code}": terms["price"], f"free.{code}": terms.get("free", ""), f"steps.{code}": steps}


@blueprint.post("/drafts/<int:draft_id>/edit")
def change(draft_id: int) -> Answer | tuple[str, int]:
    """Change the draft."""
    return _write(draft_id)


@blueprint.post("/drafts/<int:draft_id>/adopt")
def adopt(draft_id: int) -> Answer | tuple[str, int]:
    """Put its prices in the book for good."""
    try:
        with auth.scope() as session:
            told = request.form.get("told_on", "")
            prices_drafts.adopt(session, draft_id, auth.settings().timezone, auth.now(), told)
    except (Conflict, InvalidInput) as error:
        return _show(draft_id, Form.sent().refused(error)), error.status
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
    hourly = {name.removeprefix("hourly."): _sent(name.removeprefix("hourly."), text)
              for name, text in request.form.items() if name.startswith("hourly.")}  # fmt: skip
    book, starts, kind = (request.form.get(name, "") for name in ("book", "starts", "kind"))
    try:
        with auth.scope() as session:
            draft = prices_drafts.write(session, draft_id, book, starts, hourly, kind or None)
    except (InvalidInput, Conflict) as error:
        return _form(sent.refused(error), draft_id), error.status
    return redirect(url_for("admin_prices.show", draft_id=draft.id))


def _sent(code: str, price: str) -> dict[str, Any]:
    """The three fields of a price; a line of steps is `100 : 0,005`."""
    lines = [line.partition(":") for line in request.form.get(f"steps.{code}", "").splitlines() if line.strip()]
    steps = [{"above": above.strip(), "price": one.strip()} for above, _, one in lines]
    return {"price": price, "free": request.form.get(f"free.{code}", ""), "steps": steps}


def _form(form: Form, draft_id: int | None) -> str:
    with auth.scope() as session:
        meters, current = prices_drafts.meters(session), prices_drafts.current(session, auth.now())
    shown = {"form": form, "draft_id": draft_id, "meters": meters, "current": current, "kinds": MEMBER_KINDS}
    return render_template("admin/prices/form.html", **shown)
