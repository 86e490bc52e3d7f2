"""The portal's pages: a module for each noun. They parse, make one call into `tenants` and answer."""

from api.pages import catalogue, flows, home, legal, signing_in, statements

BLUEPRINTS = (
    home.blueprint,
    flows.blueprint,
    catalogue.blueprint,
    statements.blueprint,
    legal.blueprint,
    signing_in.blueprint,
)
