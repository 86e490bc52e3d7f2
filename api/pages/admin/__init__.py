"""The pages of the DSI (/admin) and of finance (/finance): for those who act for the whole territory."""

from decimal import Decimal

from flask import Flask

from api.pages.admin import (
    announcements,
    audit,
    billing,
    capacity,
    catalogue,
    costs,
    disputes,
    drift,
    flows,
    focus,
    keys,
    members,
    orders,
    periods,
    policy,
    prices,
    settings,
    statements,
    upgrades,
    vat,
    words,
)
from api.pages.admin.choices import choices

BLUEPRINTS = (costs.unit, *(
    module.blueprint
    for module in (
        members, capacity, drift, upgrades, orders, flows, catalogue, prices, policy, audit, announcements, periods,
        keys, statements, disputes, focus, costs, billing, vat, settings,
    )
))  # fmt: skip


def install(app: Flask) -> None:
    """Give templates what these pages need."""
    words.install()
    app.jinja_env.globals.update(choices=choices)
    app.jinja_env.filters.setdefault("decimal", Decimal)
