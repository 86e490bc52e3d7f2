"""What finance books with: accounts, rates, units, factors of energy and texts, each with its date and source."""

from __future__ import annotations

from flask import render_template

from api import auth
from api.pages.admin.guard import territory
from tenants import accounting, finance

blueprint = territory("finance_settings", "/finance/settings")


@blueprint.get("")
def show() -> str:
    """All of it, the territory's own first."""
    folder = auth.settings().territory_dir
    shown = {"accounts": accounting.load(folder), "power": finance.power(folder), "now": f"{auth.now():%Y-%m}"}
    return render_template("admin/finance/settings.html", **shown)
