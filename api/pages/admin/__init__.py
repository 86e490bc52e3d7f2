"""The pages of the DSI (/admin) and of finance (/finance): for those who act for the whole territory."""

from datetime import date
from decimal import Decimal

from flask import Flask

from api.pages.admin import (
    announcements,
    audit,
    billing,
    capacity,
    catalogue,
    costs,
    cycle,
    disputes,
    drift,
    energy,
    flows,
    focus,
    keys,
    members,
    orders,
    outside,
    periods,
    policy,
    prices,
    settings,
    statements,
    upgrades,
    vat,
)
from api.pages.admin.choices import choices
from tenants.energy import LABELS, UNITS

BLUEPRINTS = (costs.unit, *(
    module.blueprint
    for module in (
        members, capacity, drift, upgrades, outside, orders, flows, catalogue, prices, policy, audit, announcements,
        periods, keys, statements, disputes, focus, costs, cycle, energy, billing, vat, settings,
    )
))  # fmt: skip


def install(app: Flask) -> None:
    """Give templates what these pages need."""
    app.jinja_env.globals.update(choices=choices, factor_codes=tuple(LABELS), factor_units=UNITS)
    app.jinja_env.filters.setdefault("decimal", Decimal)
    app.jinja_env.filters.setdefault("as_date", date.fromisoformat)
