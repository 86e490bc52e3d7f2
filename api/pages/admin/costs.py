"""What the platform really costs: what is booked, the form of one cost, a file of many, the unit cost."""

from __future__ import annotations

from typing import Any

from flask import Response, flash, redirect, render_template, request, url_for
from flask_babel import gettext
from werkzeug.wrappers import Response as Answer

from api import auth
from api.exporting import download
from api.forms import Form, sent_text
from api.language import sentences as ngettext
from api.pages.admin.guard import territory
from orchestrator.errors import Conflict, InvalidInput
from tenants import accounting, cost_entries, cost_import, finance, periods, unit_cost
from tenants.accounting import Accounting
from tenants.finance import Sharing
from tenants.tables_finance import KINDS, MODELS

blueprint = territory("finance_costs", "/finance/costs")
unit = territory("finance_unit_cost", "/finance/unit-cost")


def _accounts() -> Accounting:
    return accounting.load(auth.settings().territory_dir)


def _sharing() -> Sharing:
    return finance.sharing(auth.settings().territory_dir)


@blueprint.get("")
def list_() -> str:
    """What is booked: all of it, or what counts in `?month=` with its part."""
    form, month = Form.asked(), request.args.get("month", "").strip()
    with auth.scope() as session:
        try:
            if month:
                periods.bounds(month, auth.settings().timezone)
            rows = cost_entries.listed(session, month or None)
        except InvalidInput as error:
            form, month, rows = form.refused(error, "month"), "", []
    labels = {pool.code: pool.label for pool in _sharing().pools}
    return render_template("admin/finance/costs.html", rows=rows, month=month, form=form, labels=labels)


@blueprint.get("/new")
def new() -> str:
    """The form of one kind of cost (`?kind=`)."""
    kind = request.args.get("kind", "")
    return _form(Form({"kind": kind if kind in KINDS else KINDS[0]}))


@blueprint.post("/new")
def make() -> Answer | tuple[str, int]:
    """Book it."""
    sent = Form.sent()
    try:
        entry = cost_entries.read(sent.values, _accounts(), cost_entries.sections(_sharing()))
        with auth.scope() as session:
            cost_entries.add(session, entry)
    except (InvalidInput, Conflict) as error:
        return _form(sent.refused(error)), error.status
    flash(gettext("Le coût est enregistré."), "success")
    return redirect(url_for(".list_"))


def _form(form: Form) -> str:
    kind = form.values.get("kind")
    kind = kind if kind in KINDS else KINDS[0]
    chart = _accounts().chart(f"{auth.today():%Y-%m}")
    first = "2" if kind == "depreciation" else "6"
    shown = {
        "form": form, "kind": kind, "kinds": KINDS, "models": MODELS, "chart": chart,
        "accounts": [(code, label) for code, label in chart.leaves.items() if code.startswith(first)],
        "pools": [pool for pool in _sharing().pools if (pool.section == "investissement") == (kind == "depreciation")],
        "asked": (*cost_entries.NEEDED[kind], *cost_entries.OPTIONAL[kind]), "needed": cost_entries.NEEDED[kind],
    }  # fmt: skip
    return render_template("admin/finance/cost_form.html", **shown)


@blueprint.get("/import")
def import_form() -> str:
    """Where a file is given."""
    return render_template("admin/finance/cost_import.html", form=Form(), lines=None, example=cost_import.EXAMPLE)


@blueprint.post("/import")
def import_() -> Answer | tuple[str, int]:
    """Show what the file says, line by line; with `keep`, book it whole."""
    form, lines, status, text = Form(), None, 200, sent_text()
    try:
        lines = cost_import.read(text, _accounts(), cost_entries.sections(_sharing()))
        if request.form.get("keep"):
            with auth.scope() as session:
                count = cost_import.keep(session, lines)
            flash(ngettext("%(num)d coût enregistré.", "%(num)d coûts enregistrés.", count), "success")
            return redirect(url_for(".list_"))
    except InvalidInput as error:
        status = error.status
        if lines is None:
            form.refused(error, "file")
        else:
            form.sentence, form.action = error.sentence, error.action
            lines = _with_faults(lines, error)
    shown: dict[str, Any] = {"form": form, "lines": lines, "text": text, "example": cost_import.EXAMPLE}
    if lines is not None:
        shown |= {"total": cost_import.total(lines), "wrong": sum(bool(line.faults) for line in lines)}
    return render_template("admin/finance/cost_import.html", **shown), status


def _with_faults(lines: list[cost_import.Line], error: InvalidInput) -> list[cost_import.Line]:
    """The lines with what was wrong when they were to be kept."""
    found: dict[int, list[dict[str, Any]]] = {}
    for fault in error.facts["errors"]:
        found.setdefault(fault["line"], []).append(fault)
    return [cost_import.Line(one.number, one.entry, tuple(found.get(one.number, ()))) for one in lines]


@blueprint.get("/<int:entry_id>")
def one(entry_id: int) -> str:
    """One cost, with the plan of its months."""
    return _page(entry_id, Form())


def _page(entry_id: int, form: Form) -> str:
    with auth.scope() as session:
        entry = cost_entries.find(session, entry_id)
        plan = cost_entries.plan(entry)
    labels = {pool.code: pool.label for pool in _sharing().pools}
    return render_template("admin/finance/cost.html", entry=entry, plan=plan, form=form, labels=labels)


@blueprint.post("/<int:entry_id>/end")
def end(entry_id: int) -> Answer | tuple[str, int]:
    """It counts no more from a month on."""
    sent = Form.sent()
    try:
        with auth.scope() as session:
            cost_entries.end(session, entry_id, sent.values.get("month", "").strip())
    except (InvalidInput, Conflict) as error:
        return _page(entry_id, sent.refused(error, "month")), error.status
    flash(gettext("Ce coût prend fin."), "success")
    return redirect(url_for(".one", entry_id=entry_id))


@unit.get("")
def show() -> tuple[str, int]:
    """The unit cost of a year (or month, `?period=`), billed against cost."""
    form, found, status = Form.asked(), None, 200
    when = request.args.get("period", "").strip() or str(auth.now().year)
    try:
        with auth.scope() as session:
            found = unit_cost.report(session, when, _accounts())
    except InvalidInput as error:
        form, status = form.refused(error, "period"), error.status
    said = _accounts().text("unit_cost", f"{when[:4]}-12") if found else None
    shown = {"form": form, "found": found, "when": when, "said": said}
    return render_template("admin/finance/unit_cost.html", **shown), status


@unit.get("/export.csv")
def export() -> Response:
    """The same as a file: a row for each member and each offer."""
    when = request.args.get("period", "")
    with auth.scope() as session:
        found = unit_cost.report(session, when, _accounts())
    return download(unit_cost.as_csv(found), f"cout-unitaire-{when}.csv", "text/csv")
