"""How members pay, and the files for finance's software."""

from __future__ import annotations

from flask import Response, flash, redirect, render_template, request, url_for
from flask_babel import gettext
from werkzeug.wrappers import Response as Answer

from api import auth
from api.exporting import download
from api.forms import Form
from api.pages.admin.guard import territory
from orchestrator.errors import Conflict, InvalidInput
from tenants import accounting, billing, periods, pretitles, reading, scdl
from tenants.tables import BILLING

blueprint = territory("finance_billing", "/finance/billing")


@blueprint.get("")
def list_() -> str:
    """Every member's mode, and what follows; the year's settlement of deductions."""
    return _list(Form.asked())


def _list(form: Form) -> str:
    with auth.scope() as session:
        rows = billing.listed(session, auth.today())
        months = periods.listed(session)
    closed = {month["period"][:4] for month in months if month["state"] == "closed" and not month["sample"]}
    years = sorted(closed, reverse=True)
    return render_template("admin/finance/billing.html", rows=rows, form=form, year=auth.today().year - 1, years=years)


@blueprint.get("/regularisation.csv")
def settle() -> Response | tuple[str, int]:
    """What a closed year's deductions (`?year=`) still owe or give back."""
    year = request.args.get("year", "").strip()
    accounts = accounting.load(auth.settings().territory_dir)
    try:
        with auth.scope() as session:
            rows = pretitles.year(session, year, accounts)
    except (InvalidInput, Conflict) as error:
        return _list(Form.asked().refused(error, "year")), error.status
    return download(pretitles.as_csv(rows), f"regularisation-{year}.csv", "text/csv")


@blueprint.get("/pretitles/<month>.csv")
def export(month: str) -> Response:
    """The pre-titles of a closed month."""
    accounts = accounting.load(auth.settings().territory_dir)
    with auth.scope() as session:
        rows = pretitles.month(session, periods.find(session, month), accounts)
    return download(pretitles.as_csv(rows), f"pre-titres-{month}.csv", "text/csv")


@blueprint.get("/scdl.csv")
def scdl_() -> Response:
    """The closed months of a year (`?year=`) as analytic lines, in the columns of the SCDL."""
    accounts = accounting.load(auth.settings().territory_dir)
    with auth.scope() as session:
        found = scdl.extract(session, request.args.get("year", "").strip(), accounts)
    return download(scdl.as_csv(found), found.name, "text/csv")


@blueprint.get("/<member_slug>")
def edit(member_slug: str) -> str:
    """The form of a member's next mode."""
    return _form(member_slug, Form())


@blueprint.post("/<member_slug>")
def change(member_slug: str) -> Answer | tuple[str, int]:
    """It pays so from a month on."""
    sent = Form.sent()
    given = {name: sent.values.get(name, "") for name in ("month", "mode", "withheld", "reference")}
    try:
        with auth.scope() as session:
            billing.change(session, member_slug, **given)
    except (InvalidInput, Conflict) as error:
        return _form(member_slug, sent.refused(error)), error.status
    flash(gettext("Le mode de paiement est enregistré."), "success")
    return redirect(url_for(".list_"))


def _form(member_slug: str, form: Form) -> str:
    with auth.scope() as session:
        member = reading.member(session, member_slug)
        past = billing.history(session, member.id)
    return render_template("admin/finance/billing_form.html", member=member, past=past, form=form, modes=BILLING)
