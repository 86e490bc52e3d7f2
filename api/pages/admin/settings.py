"""What finance books with: accounts, rates, units and texts, each with its date and source."""

from __future__ import annotations

from flask import render_template

from api import auth
from api.pages.admin.guard import territory
from tenants import accounting

blueprint = territory("finance_settings", "/finance/settings")


@blueprint.get("")
def show() -> str:
    """All of it, the territory's own first."""
    accounts = accounting.load(auth.settings().territory_dir)
    return render_template("admin/finance/settings.html", accounts=accounts, now=f"{auth.now():%Y-%m}")
