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
    copies,
    cost_entries,
    costs,
    cycle,
    deputies,
    disputes,
    drift,
    energy,
    exports,
    files,
    flows,
    focus,
    keys,
    me,
    member_changes,
    members,
    moves,
    offers,
    orders,
    people,
    periods,
    policy,
    prices,
    service_secrets,
    services,
    snapshots,
    statements,
    tokens,
    upgrades,
    usage,
    vat,
    webhooks,
)
from api.v1.frame import install

NOUNS = (me, catalogue, orders, services, addresses, service_secrets, consoles, changes, copies, moves, snapshots,
         backups, upgrades, drift, exports, flows, costs, statements, disputes, people, tokens, deputies, webhooks,
         members, capacity, offers, policy, prices, keys, vat, periods, usage, cost_entries, billing, cycle,
         announcements, audit, member_changes, files, focus, energy)  # fmt: skip
BLUEPRINTS = (*(noun.blueprint for noun in NOUNS), tokens.own, cost_entries.unit, billing.books, cycle.annual)

__all__ = ["BLUEPRINTS", "install"]
