"""The secrets of an application: sealed, made once, read once by its member's people, renewed whole or not at all."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from orchestrator import service_secrets as kept
from orchestrator.database import member_session, territory_session
from orchestrator.errors import ClocherError, Conflict, NotFound
from orchestrator.events import Owner
from orchestrator.settings import Settings
from orchestrator.tables import AuditEntry, Flow, Service, ServiceSecret
from tenants import service_secrets
from tests.tenants.applications import greeting, keep_secrets
from tests.tenants.ordering import NOW, member


@pytest.fixture
def service(owner: sa.Engine, worker: sa.Engine, settings: Settings) -> Service:
    """A running service with its secrets, as its flow leaves it."""
    made = greeting(owner)
    keep_secrets(worker, settings, made)
    return made


def opened(worker: sa.Engine, settings: Settings, service: Service, renewed: str = "") -> dict[str, str]:
    with territory_session(worker, "flow 1") as session:
        found = kept.opened(session, settings, service.id, renewed=renewed)
    return {name: secret.get_secret_value() for name, secret in found.items()}


@pytest.mark.slow
def test_they_are_made_once_and_sealed(service: Service, worker: sa.Engine, settings: Settings) -> None:
    first = opened(worker, settings, service)
    assert {name: len(secret) for name, secret in first.items()} == {"admin_password": 24, "internal_token": 32}
    keep_secrets(worker, settings, service)
    with territory_session(worker, "flow 1") as session:
        stored = " ".join(str(row) for row in session.execute(sa.text("SELECT * FROM service_secrets")))
    assert opened(worker, settings, service) == first
    assert not any(secret in stored for secret in first.values())


def test_another_key_opens_nothing(service: Service, worker: sa.Engine, settings: Settings) -> None:
    with pytest.raises(ClocherError) as refused:
        opened(worker, settings.model_copy(update={"secret_key": type(settings.secret_key)("other")}), service)
    assert refused.value.code == "secret_unreadable"


def test_it_is_read_once_with_a_trace(
    service: Service, web: sa.Engine, worker: sa.Engine, owner: sa.Engine, settings: Settings
) -> None:
    with member_session(web, service.member_id, "agent") as session:
        [seen] = service_secrets.listed(session, service)
        assert (seen["name"], seen["shown_at"]) == ("admin_password", None)
        secret = service_secrets.show(session, settings, service.id, "admin_password", NOW).get_secret_value()
    assert secret == opened(worker, settings, service)["admin_password"]
    with member_session(web, service.member_id, "agent") as session:
        assert service_secrets.listed(session, service)[0]["shown_at"] == NOW
    with pytest.raises(Conflict) as refused, member_session(web, service.member_id, "agent") as session:
        service_secrets.show(session, settings, service.id, "admin_password", NOW)
    assert refused.value.code == "secret_shown"
    with territory_session(owner, "tests") as session:
        entries = list(session.scalars(sa.select(AuditEntry).where(AuditEntry.action == "secret.show")))
        assert [(entry.actor, entry.subject) for entry in entries] == [("agent", f"service {service.id}")]
        assert secret not in str([entry.detail for entry in entries])


def test_what_is_not_to_be_shown_is_not(service: Service, owner: sa.Engine, web: sa.Engine, settings: Settings) -> None:
    stranger = member(owner, "orgelune")
    for whose, name in ((service.member_id, "internal_token"), (stranger, "admin_password")):
        with pytest.raises(NotFound), member_session(web, whose, "agent") as session:
            service_secrets.show(session, settings, service.id, name, NOW)


def test_renewing_asks_a_flow(service: Service, web: sa.Engine, owner: sa.Engine) -> None:
    with member_session(web, service.member_id, "agent") as session:
        flow = service_secrets.renew(session, service.id, "admin_password")
        assert (flow.kind, flow.parameters) == ("renew_secret", {"secret": "admin_password"})
    with pytest.raises(Conflict) as refused, member_session(web, service.member_id, "agent") as session:
        service_secrets.renew(session, service.id, "admin_password")
    assert refused.value.code == "flow_running"
    with territory_session(owner, "tests") as session:
        assert session.get_one(Flow, flow.id).requested_by == "agent"


def test_a_new_secret_takes_the_place_or_leaves_no_trace(
    service: Service, worker: sa.Engine, settings: Settings
) -> None:
    name, before = "admin_password", opened(worker, settings, service)
    with territory_session(worker, "flow 2") as session:
        kept.propose(session, settings, service.id, name, 24)
    proposed = opened(worker, settings, service, renewed=name)
    assert proposed[name] != before[name]
    assert opened(worker, settings, service) == before
    with territory_session(worker, "flow 2") as session:
        kept.withdraw(session, service.id, name)
    assert opened(worker, settings, service, renewed=name) == before
    with territory_session(worker, "flow 2") as session:
        kept.propose(session, settings, service.id, name, 24)
        session.execute(sa.update(ServiceSecret).values(shown_at=NOW))
        kept.adopt(session, Owner(service.member_id, service.id, 2), name)
        row = session.get_one(ServiceSecret, (service.id, name))
        assert (row.next, row.shown_at) == (None, None)
    assert opened(worker, settings, service)[name] not in (before[name], proposed[name])
