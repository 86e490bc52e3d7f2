"""The forms of VAT and contracts: a rate, words of the law, a unit cost, each with its source; a member's contract."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import flash, redirect, render_template, url_for
from flask_babel import gettext
from werkzeug.wrappers import Response as Answer

from api import auth
from api.forms import Form
from api.pages.admin.guard import territory
from orchestrator.errors import Conflict, InvalidInput
from tenants import contracts, prices_drafts, reading, vat_rules
from tenants.tables import REGIMES
from tenants.tables_vat import TEXTS

blueprint = territory("finance_vat", "/finance/settings/vat")
ADD: dict[str, Callable[..., Any]] = {
    "rates": vat_rules.add_rate,
    "texts": vat_rules.add_text,
    "costs": vat_rules.add_cost,
}


@blueprint.get("/<any(rates, texts, costs):kind>/new")
def new(kind: str) -> str:
    """The form of a new row."""
    return _form(kind, Form.asked())


@blueprint.post("/<any(rates, texts, costs):kind>/new")
def add(kind: str) -> Answer | tuple[str, int]:
    """Add it; what was before stays."""
    sent = Form.sent()
    try:
        with auth.scope() as session:
            ADD[kind](session, sent.values)
    except InvalidInput as error:
        return _form(kind, sent.refused(error)), error.status
    flash(gettext("C’est ajouté ; les périodes closes gardent ce qu’elles disaient."), "success")
    return redirect(url_for("finance_settings.show"))


def _form(kind: str, form: Form) -> str:
    with auth.scope() as session:
        meters = prices_drafts.meters(session) if kind == "costs" else []
    return render_template("admin/finance/vat_form.html", kind=kind, form=form, codes=TEXTS, meters=meters)


@blueprint.get("/contracts/<member_slug>")
def contract(member_slug: str) -> str:
    """What is agreed with a member, what was, and the form of the next."""
    with auth.scope() as session:
        held = contracts.listed(session, member_slug)
    known = {name: getattr(held[0], name) for name in (*contracts.TEXTS, *contracts.FLAGS, "regime")} if held else {}
    return _contract(member_slug, Form(known))


@blueprint.post("/contracts/<member_slug>")
def agree(member_slug: str) -> Answer | tuple[str, int]:
    """Agree on something from a month on."""
    sent = Form.sent()
    try:
        with auth.scope() as session:
            contracts.write(session, member_slug, sent.values)
    except (InvalidInput, Conflict) as error:
        return _contract(member_slug, sent.refused(error)), error.status
    flash(gettext("Le contrat est enregistré."), "success")
    return redirect(url_for("finance_vat.contract", member_slug=member_slug))


def _contract(member_slug: str, form: Form) -> str:
    with auth.scope() as session:
        member = reading.member(session, member_slug)
        held = contracts.listed(session, member_slug)
    regimes = REGIMES[2:] if member.kind == "company" else REGIMES
    return render_template("admin/finance/contract.html", member=member, held=held, form=form, regimes=regimes)
