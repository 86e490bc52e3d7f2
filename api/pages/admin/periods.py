"""Finance's months: their state and what stands in the way of closing; draft, check, close."""

from __future__ import annotations

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext
from werkzeug.wrappers import Response as Answer

from api import auth
from api.forms import Form
from api.language import sentences as ngettext
from api.pages.admin.guard import territory
from orchestrator.errors import ClocherError, Conflict, InvalidInput
from tenants import adjustments, finance, periods, periods_closing, pools, readings, statements
from tenants import usage_check as hours

blueprint = territory("finance_periods", "/finance/periods")


@blueprint.get("")
def list_() -> str:
    """Every month, newest first; the form to begin one."""
    return _list(Form({"month": _last_month()}))


def _last_month() -> str:
    now = auth.now()
    year, month = (now.year, now.month - 1) if now.month > 1 else (now.year - 1, 12)
    return f"{year}-{month:02}"


def _list(form: Form) -> str:
    with auth.scope() as session:
        rows = periods.listed(session)
    return render_template("admin/finance/periods.html", rows=rows, form=form)


@blueprint.post("")
def begin() -> Answer | tuple[str, int]:
    """Draft a month that may not be there yet."""
    sent = Form.sent()
    month = sent.values.get("month", "").strip()
    try:
        _draft(month)
    except (InvalidInput, Conflict) as error:
        return _list(sent.refused(error, "month")), error.status
    return redirect(url_for(".one", month=month))


@blueprint.get("/<month>")
def one(month: str) -> str:
    """One month: what is stated, what stands in the way, what can be done."""
    return _page(month, Form())


def _page(month: str, form: Form) -> str:
    with auth.scope() as session:
        run = periods_closing.dry_run(session, month, auth.now())
        rows = statements.listed(session, month)
        corrected = adjustments.listed(session, month)
        verified, read = hours.latest(session, month), readings.status(session)
    return render_template(
        "admin/finance/period.html", run=run, rows=rows, corrected=corrected, form=form, verified=verified, read=read
    )


@blueprint.get("/<month>/usage-check")
def usage_check(month: str) -> str:
    """Our hours of each server beside Nova's, as they were last compared; `?odd=1`: only what has to be looked into."""
    only = request.args.get("odd") == "1"
    with auth.scope() as session:
        period, check = periods.find(session, month), hours.latest(session, month)
        rows = hours.servers(session, check) if check else []
    odd = [row for row in rows if row["odd"]]
    return render_template(
        "admin/finance/usage_check.html", p=period, check=check, rows=odd if only else rows, all=len(rows),
        odd=len(odd), only=only,
    )  # fmt: skip


@blueprint.post("/<month>/draft")
def draft(month: str) -> Answer | tuple[str, int]:
    """Meter, price, share and state the month anew."""
    with auth.scope() as session:
        periods.find(session, month)
    try:
        _draft(month)
    except Conflict as error:
        return _refused(month, error)
    flash(gettext("Le mois est établi."), "success")
    return redirect(url_for(".one", month=month))


def _draft(month: str) -> None:
    settings = auth.settings()
    declared = finance.sharing(settings.territory_dir)
    with auth.scope() as session:
        pools.apply_keys(session, declared)
        periods.draft(session, month, declared, auth.now(), settings.timezone)


@blueprint.post("/<month>/check")
def check(month: str) -> Answer | tuple[str, int]:
    """Prove the draft."""
    try:
        with auth.scope() as session:
            found = periods.check(session, month)
    except Conflict as error:
        return _refused(month, error)
    if found:
        told = ngettext(
            "Les contrôles trouvent %(num)d différence.", "Les contrôles trouvent %(num)d différences.", len(found)
        )
        flash(told, "warning")
    else:
        flash(gettext("Tout concorde : le mois est contrôlé."), "success")
    return redirect(url_for(".one", month=month))


@blueprint.get("/<month>/close")
def ask_close(month: str) -> str:
    """What closing would seal."""
    return _close_page(month, Form())


def _close_page(month: str, form: Form) -> str:
    with auth.scope() as session:
        run = periods_closing.dry_run(session, month, auth.now())
    return render_template("admin/finance/close.html", run=run, form=form)


@blueprint.post("/<month>/close")
def close(month: str) -> Answer | tuple[str, int]:
    """Seal it for good; the month's name must have been typed."""
    sent = Form.sent()
    with auth.scope() as session:
        periods.find(session, month)
    try:
        if request.form.get("confirm", "").strip() != month:
            fault = {"parameter": "confirm", "code": "not_confirmed", "sentence": "Ce mot ne correspond pas."}
            raise InvalidInput(
                "not_confirmed", "La confirmation manque.", "Écrivez le mot demandé.", facts={"errors": [fault]}
            )
        with auth.scope() as session:
            periods.close(session, month, auth.now())
    except (InvalidInput, Conflict) as error:
        return _close_page(month, sent.refused(error)), error.status
    flash(gettext("Le mois est clos : il ne change plus."), "success")
    return redirect(url_for(".one", month=month))


def _refused(month: str, error: ClocherError) -> tuple[str, int]:
    try:
        return _page(month, Form().refused(error)), error.status
    except ClocherError:  # the month is not there: the first error says more
        raise error from None
