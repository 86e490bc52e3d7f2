"""The JSON API, version 1. A handler parses, makes one call and answers; rules are in `tenants`."""

from api.v1 import catalogue, flows, orders, services, statements

BLUEPRINTS = (catalogue.blueprint, orders.blueprint, services.blueprint, flows.blueprint, statements.blueprint)
