"""The portal's pages: a module for each noun. They parse, make one call into `tenants` and answer."""

from api.pages import (
    account,
    admin,
    announcing,
    catalogue,
    flows,
    home,
    legal,
    links,
    orders,
    people,
    service_changes,
    services,
    signing_in,
    snapshots,
    statements,
    tokens,
)

BLUEPRINTS = (
    home.blueprint,
    flows.blueprint,
    catalogue.blueprint,
    orders.blueprint,
    services.blueprint,
    service_changes.blueprint,
    snapshots.blueprint,
    statements.blueprint,
    legal.blueprint,
    signing_in.blueprint,
    announcing.blueprint,
    *admin.BLUEPRINTS,
    links.blueprint,
    account.blueprint,
    tokens.blueprint,
    people.blueprint,
)
