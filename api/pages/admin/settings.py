"""What finance books with: VAT, contracts, accounts, rates, units, factors and texts, each with its date and source."""

from __future__ import annotations

from typing import Any

from flask import redirect, render_template, url_for
from werkzeug.wrappers import Response as Answer

from api import auth
from api.pages.admin.guard import territory
from tenants import accounting, contracts, finance, vat_rules

blueprint = territory("finance_settings", "/finance")


@blueprint.get("/settings")
def show() -> str:
    """All of it, the territory's own first."""
    folder = auth.settings().territory_dir
    today = auth.today()
    with auth.scope() as session:
        shown: dict[str, Any] = {"members": contracts.of_all(session, today), "rates": vat_rules.rates(session)}
        shown |= {"texts": vat_rules.texts(session), "costs": vat_rules.costs(session)}
    shown |= {"accounts": accounting.load(folder), "power": finance.power(folder), "now": f"{today:%Y-%m}"}
    return render_template("admin/finance/settings.html", **shown)


@blueprint.get("/vat")
def former() -> Answer:
    """Where VAT and contracts were."""
    return redirect(url_for(".show", _anchor="tva"), 301)
