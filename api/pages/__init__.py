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
    people,
    signing_in,
    statements,
    tokens,
)

BLUEPRINTS = (
    home.blueprint,
    flows.blueprint,
    catalogue.blueprint,
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
