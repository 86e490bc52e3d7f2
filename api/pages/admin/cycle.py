"""The yearly cycle for finance: the unit cost told, forecasts, calls, the year's end, and files for its software."""

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
from orchestrator.errors import ClocherError, Conflict, InvalidInput
from tenants import (
    accounting,
    cycle,
    cycle_calls,
    cycle_files,
    cycle_forecasts,
    cycle_terms,
    cycle_year,
    pretitles,
    reading,
)
from tenants.accounting import Accounting
from tenants.tables_cycle import FREQUENCIES

blueprint = territory("finance_cycle", "/finance/cycle")


def _accounts() -> Accounting:
    return accounting.load(auth.settings().territory_dir)


def _year() -> int:
    """`?year=`, else this one. Raises InvalidInput invalid_period."""
    given = request.values.get("year", "").strip()
    return cycle_terms.checked_year(
        int(given) if given.isdecimal() and len(given) == 4 else 0 if given else auth.today().year
    )


def _month() -> int:
    """`month`, as typed. Raises InvalidInput invalid_period."""
    given = request.values.get("month", "").strip()
    return cycle_calls.checked_month(int(given) if given.isdecimal() and len(given) < 3 else 0, given)


@blueprint.get("")
def show() -> str | tuple[str, int]:
    """One year (`?year=`): what was told, and every member."""
    return _show(Form.asked())


def _show(form: Form, error: ClocherError | None = None) -> str | tuple[str, int]:
    try:
        year = _year()
    except InvalidInput as wrong:
        form, error, year = form.refused(wrong, "year"), wrong, auth.today().year
    with auth.scope() as session:
        found = cycle.overview(session, year, _accounts(), auth.today())
    shown = render_template("admin/finance/cycle.html", found=found, form=form, today=auth.today())
    return (shown, error.status) if error else shown


@blueprint.get("/terms")
def terms_form() -> str:
    """What is to be told of a year."""
    return _terms(Form({"year": _year(), "frequency": "quarterly", "told_on": auth.today()}))


@blueprint.post("/terms")
def tell() -> Answer | tuple[str, int]:
    """It was told to members."""
    sent, year = Form.sent(), _year()
    try:
        with auth.scope() as session:
            cycle_terms.tell(session, year, sent.values, _accounts(), auth.today())
    except (InvalidInput, Conflict) as error:
        return _terms(sent.refused(error)), error.status
    flash(gettext("Le coût unitaire communiqué est enregistré."), "success")
    return redirect(url_for(".show", year=year))


def _terms(form: Form) -> str:
    year, accounts = _year(), _accounts()
    with auth.scope() as session:
        shown: dict[str, Any] = {"basis": cycle_terms.basis(session, year, accounts)}
        shown |= {"past": cycle_terms.history(session, year)}
        shown |= {"telling": cycle_terms.telling(session, year, accounts, auth.today())}
    unit = accounts.unit(f"{year}-12").label
    return render_template("admin/finance/cycle_terms.html", year=year, form=form, unit=unit,
                           frequencies=FREQUENCIES, **shown)  # fmt: skip


@blueprint.get("/forecasts/<member_slug>")
def forecasts(member_slug: str) -> str:
    """What a member's convention foresees of a year."""
    return _forecasts(member_slug, Form())


@blueprint.post("/forecasts/<member_slug>")
def foresee(member_slug: str) -> Answer | tuple[str, int]:
    """Keep one line of it."""
    sent, year = Form.sent(), _year()
    try:
        with auth.scope() as session:
            known = cycle_forecasts.subjects(session, year, _accounts())
            given = {**sent.values, "member": member_slug}
            cycle_forecasts.add(session, cycle_forecasts.read(year, given, known, session.info["actor"]))
    except (InvalidInput, Conflict) as error:
        return _forecasts(member_slug, sent.refused(error)), error.status
    flash(gettext("La prévision est enregistrée."), "success")
    return redirect(url_for(".forecasts", member_slug=member_slug, year=year))


def _forecasts(member_slug: str, form: Form) -> str:
    year, accounts = _year(), _accounts()
    with auth.scope() as session:
        member = reading.member(session, member_slug)
        row = next(iter(cycle.rows(session, year, member.id)), None)
        known = cycle_forecasts.subjects(session, year, accounts)
        terms = cycle_terms.current(session, year)
    shown = {"year": year, "member": member, "row": row, "known": known, "terms": terms, "form": form}
    shown["called"] = [cycle.called(due) for due in row.calls] if row else []
    return render_template("admin/finance/cycle_forecasts.html", **shown, unit=accounts.unit(f"{year}-12").label)


@blueprint.get("/import")
def import_form() -> str:
    """Where a file of forecasts is given."""
    return _import(Form(), None, "")


@blueprint.post("/import")
def import_() -> Answer | tuple[str, int]:
    """Show what the file says, line by line; with `keep`, keep it whole."""
    form, lines, status, text, year = Form(), None, 200, sent_text(), _year()
    try:
        with auth.scope() as session:
            known = cycle_forecasts.subjects(session, year, _accounts())
            lines = cycle_forecasts.read_file(year, text, known, session.info["actor"])
            if request.form.get("keep"):
                count = cycle_forecasts.keep(session, lines)
                flash(ngettext("%(num)d prévision enregistrée.", "%(num)d prévisions enregistrées.", count), "success")
                return redirect(url_for(".show", year=year))
    except (InvalidInput, Conflict) as error:
        status = error.status
        if lines is None:
            form.refused(error, "file")
        else:
            form.sentence, form.action = error.sentence, error.action
    return _import(form, lines, text), status


def _import(form: Form, lines: list[cycle_forecasts.Line] | None, text: str) -> str:
    shown: dict[str, Any] = {"form": form, "lines": lines, "text": text, "example": cycle_forecasts.EXAMPLE}
    if lines is not None:
        shown |= {"total": cycle_forecasts.total(lines), "wrong": sum(bool(line.faults) for line in lines)}
    return render_template("admin/finance/cycle_import.html", year=_year(), **shown)


@blueprint.post("/calls")
def issue() -> Answer | str | tuple[str, int]:
    """Make the calls that are due by a month."""
    sent = Form.sent()
    try:
        with auth.scope() as session:
            made = cycle_calls.issue(session, _year(), _month(), auth.today())
    except (InvalidInput, Conflict) as error:
        return _show(sent.refused(error, "month"), error)
    flash(ngettext("%(num)d appel émis.", "%(num)d appels émis.", len(made)), "success")
    return redirect(url_for(".show", year=_year()))


@blueprint.post("/settlement")
def settle() -> Answer | str | tuple[str, int]:
    """Settle a closed year: once."""
    try:
        with auth.scope() as session:
            made = cycle_year.settle(session, _year(), _accounts(), auth.today())
    except (InvalidInput, Conflict) as error:
        return _show(Form.sent().refused(error), error)
    flash(ngettext("%(num)d état annuel scellé.", "%(num)d états annuels scellés.", len(made)), "success")
    return redirect(url_for(".show", year=_year()))


@blueprint.get("/calls.csv")
def calls() -> Response:
    """The pre-titles of a year's calls (of `?month=` only)."""
    year, month = _year(), _month() if request.args.get("month") else None
    with auth.scope() as session:
        rows = cycle_files.calls(session, year, month, _accounts())
    return download(pretitles.as_csv(rows), f"appels-{year}.csv", "text/csv")


@blueprint.get("/settlement.csv")
def settlements() -> Response:
    """The pre-titles of a year's settlement."""
    year = _year()
    with auth.scope() as session:
        rows = cycle_files.settlements(session, year, _accounts())
    return download(pretitles.as_csv(rows), f"regularisation-{year}.csv", "text/csv")
