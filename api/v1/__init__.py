"""The JSON API, version 1. A handler parses, makes one call and answers; rules are in `tenants`."""

from api.v1 import (
    addresses,
    announcements,
    audit,
    backups,
    billing,
    capacity,
    catalogue,
    changes,
    consoles,
    cost_entries,
    costs,
    deputies,
    disputes,
    drift,
    exports,
    files,
    flows,
    focus,
    keys,
    me,
    member_changes,
    members,
    offers,
    orders,
    people,
    periods,
    planned_upgrades,
    policy,
    prices,
    service_secrets,
    services,
    snapshots,
    statements,
    tokens,
    upgrades,
    vat,
    webhooks,
)
from api.v1.frame import install

NOUNS = (me, catalogue, orders, services, addresses, service_secrets, consoles, changes, snapshots, backups, upgrades,
         planned_upgrades, drift, exports, flows, costs, statements, disputes, people, tokens, deputies, webhooks,
         members, capacity, offers, policy, prices, keys, vat, periods, cost_entries, billing, announcements, audit,
         member_changes, files, focus)  # fmt: skip
BLUEPRINTS = (*(noun.blueprint for noun in NOUNS), tokens.own, cost_entries.unit, billing.books,
              planned_upgrades.window)  # fmt: skip

__all__ = ["BLUEPRINTS", "install"]
