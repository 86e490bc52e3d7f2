"""Test copies: ordered like a service, from a backup, told apart from their original, which is not touched."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from orchestrator import backups
from orchestrator.database import member_session, territory_session
from orchestrator.settings import Settings
from orchestrator.tables import AuditEntry, Flow, Service
from orchestrator.tables_backups import Backup
from tenants import backups_working, carried, copies, operations, orders, policy, quotas, service_exports
from tenants.tables import Order
from tests.tenants.ordering import NOW
from tests.tenants.test_changes import end
from tests.tenants.vaulted import Valley, backed_up, refused

pytestmark = pytest.mark.slow  # each needs a valley with a vault


@pytest.fixture
def place(owner: sa.Engine, settings: Settings) -> Valley:
    return backed_up(owner, settings, NOW)


def clone(web: sa.Engine, place: Valley, key: str = "c", name: str | None = None, backup: int | None = None) -> Order:
    with member_session(web, place.commune, "agent") as session:
        return copies.place(session, place.service_id, name, backup, key, NOW)


def test_a_copy_is_ordered_as_a_service_is(place: Valley, web: sa.Engine) -> None:
    with member_session(web, place.commune, "agent") as session:
        seen = copies.preview(session, place.service_id, None, None, NOW)
        before, _ = quotas.held(session, place.commune)
    assert (seen.parameters["name"], seen.refused, seen.steps) == ("salut-essai", None, ())
    order, again = clone(web, place), clone(web, place)
    assert (order.id, order.kind, order.state, order.monthly) == (again.id, "clone", "approved", seen.estimate.monthly)
    with territory_session(place.owner, "tests") as session:
        backup = session.scalars(sa.select(Backup)).one()
        flow, made = session.get_one(Flow, order.flow_id), session.get_one(Service, order.service_id)
        original = session.get_one(Service, place.service_id)
        assert (flow.kind, flow.service_id) == ("create_server", made.id)
        assert flow.parameters == {"copies": place.service_id, "backup_id": backup.id}
        assert made.specification["answers"] == original.specification["answers"]
        assert carried.copied_from(made) == {"service": place.service_id, "name": "salut"}
        assert "backup" in original.specification["stack"] and "backup" not in made.specification["stack"]
        held, _ = quotas.held(session, place.commune)
        assert held["servers"] == before["servers"] + 1
        told = session.scalars(sa.select(AuditEntry).where(AuditEntry.subject == f"order {order.id}")).one()
        assert told.detail["source"] == place.service_id
        assert backups_working.enrol(session, place.settings) == 0, "a copy is no client of the vault"
    with refused("request_key_reused"):
        clone(web, place, name="autre-essai")
    with refused("name_taken"):
        clone(web, place, key="d")


def test_what_a_copy_may_not_do(place: Valley, web: sa.Engine) -> None:
    order = clone(web, place)
    end(place.owner, order.flow_id, "done", "active")
    assert order.service_id
    for code, act in (
        ("test_copy", lambda s: service_exports.ask(s, place.settings, order.service_id, NOW)),
        ("invalid_name", lambda s: operations.rename(s, order.service_id, "salut2")),
        ("not_backed_up", lambda s: copies.place(s, order.service_id, None, None, "e", NOW)),
        ("not_a_copy", lambda s: copies.refresh(s, place.service_id)),
        ("invalid_name", lambda s: copies.place(s, place.service_id, "salut2", None, "f", NOW)),
        ("not_an_application", lambda s: carried.vault_of(s, Service(name="web", specification={"play": "vm"}))),
    ):  # fmt: skip
        with refused(code), territory_session(place.owner, "tests") as session:
            act(session)


def test_a_copy_is_given_the_newest_data_again(place: Valley, web: sa.Engine) -> None:
    order = clone(web, place)
    end(place.owner, order.flow_id, "done", "active")
    later = NOW + timedelta(days=1, hours=14)
    place.make_due(later)
    newest = place.ended(later)
    place.specify(place.service_id, state="moving")
    with refused("not_allowed_now"), member_session(web, place.commune, "agent") as session:
        copies.refresh(session, order.service_id or 0)
    place.specify(place.service_id, state="active")
    with member_session(web, place.commune, "agent") as session:
        flow = copies.refresh(session, order.service_id or 0)
        assert (flow.kind, flow.service_id) == ("restore_service", order.service_id)
        assert flow.parameters == {"copies": place.service_id, "backup_id": newest.id}
    with territory_session(place.owner, "flow") as session:
        assert backups.being_read(session, place.service_id) == {newest.id}, "nothing prunes what is being read"
        session.execute(sa.update(Service).where(Service.id == place.service_id).values(state="deleted"))
    end(place.owner, flow.id, "done")
    with refused("original_gone"), member_session(web, place.commune, "agent") as session:
        copies.refresh(session, order.service_id or 0)


def test_a_copy_waits_for_who_must_agree_and_takes_the_newest_then(
    place: Valley, web: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = [{"name": {"fr": "Tout", "en": "All"}, "orders": ["create"], "steps": ["dsi"]}]
    monkeypatch.setattr(policy, "load", lambda: policy.Policy.model_validate({"rules": rules}))
    order = clone(web, place)
    assert (order.state, order.service_id) == ("waiting", None)
    later = NOW + timedelta(days=1, hours=14)
    place.make_due(later)
    newest = place.ended(later)
    with territory_session(place.owner, "tests") as session:
        bigger = session.get_one(Service, place.service_id).specification | {"vcpus": 16, "flavor": "s1.huge"}
    place.specify(place.service_id, state="moving", specification=bigger)
    with refused("not_allowed_now"), territory_session(place.owner, "dsi") as session:
        orders.approve(session, order.id, later)
    place.specify(place.service_id, state="active")
    with territory_session(place.owner, "dsi") as session:
        approved = orders.approve(session, order.id, later)
        assert session.get_one(Flow, approved.flow_id).parameters["backup_id"] == newest.id
        made = session.get_one(Service, approved.service_id)
        assert made.specification["vcpus"] == approved.vcpus, "of the size that was priced"
