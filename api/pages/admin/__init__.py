"""The pages of the DSI (/admin) and of finance (/finance): for those who act for the whole territory."""

from decimal import Decimal

from flask import Flask

from api.pages.admin import (
    announcements,
    audit,
    capacity,
    catalogue,
    disputes,
    flows,
    focus,
    keys,
    members,
    orders,
    periods,
    policy,
    prices,
    statements,
    words,
)
from api.pages.admin.choices import choices

BLUEPRINTS = tuple(
    module.blueprint
    for module in (
        members, capacity, orders, flows, catalogue, prices, policy, audit, announcements, periods, keys, statements,
        disputes, focus,
    )
)  # fmt: skip


def install(app: Flask) -> None:
    """Give templates what these pages need."""
    words.install()
    app.jinja_env.globals.update(choices=choices)
    app.jinja_env.filters.setdefault("decimal", Decimal)
