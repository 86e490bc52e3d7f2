"""The JSON API, version 1. A handler parses, makes one call and answers; rules are in `tenants`."""

from api.v1 import (
    addresses,
    announcements,
    audit,
    backups,
    capacity,
    catalogue,
    changes,
    consoles,
    costs,
    deputies,
    disputes,
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
    policy,
    prices,
    service_secrets,
    services,
    snapshots,
    statements,
    tokens,
    upgrades,
    webhooks,
)
from api.v1.frame import install

NOUNS = (me, catalogue, orders, services, addresses, service_secrets, consoles, changes, snapshots, backups, upgrades,
         exports, flows, costs, statements, disputes, people, tokens, deputies, webhooks, members, capacity, offers,
         policy, prices, keys, periods, announcements, audit, member_changes, files, focus)  # fmt: skip
BLUEPRINTS = (*(noun.blueprint for noun in NOUNS), tokens.own)

__all__ = ["BLUEPRINTS", "install"]
