"""A running application of a commune, as its flow leaves it."""

from __future__ import annotations

import sqlalchemy as sa

from orchestrator import service_secrets
from orchestrator.database import territory_session
from orchestrator.events import Owner
from orchestrator.settings import Settings
from orchestrator.tables import Service
from tenants import catalogue, orders
from tests.tenants.ordering import NOW, member, seed
from tests.tenants.test_changes import end
from tests.tenants.test_stacks import STACKS

SECRETS = [{"name": "admin_password", "length": 24}, {"name": "internal_token", "length": 32}]


def greeting(owner: sa.Engine) -> Service:
    """The greeting of brevaux."""
    seed(owner)
    commune = member(owner)
    with territory_session(owner, "tests") as session:
        catalogue.load(session, places=[STACKS])
        placed = orders.place(session, commune, "hello", {"name": "salut", "greeting": "Bonjour"}, "k", NOW)
    end(owner, placed.flow_id, "done", "active")
    with territory_session(owner, "tests") as session:
        return session.get_one(Service, placed.service_id)


def keep_secrets(worker: sa.Engine, settings: Settings, service: Service) -> None:
    """Make its secrets; those that are there stay."""
    with territory_session(worker, "flow 1") as session:
        service_secrets.make(session, settings, Owner(service.member_id, service.id, 1), SECRETS)
