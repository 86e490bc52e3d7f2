"""Deleting with a time of grace, taking it back, and what is queued when the grace is over."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from orchestrator.database import member_session, territory_session
from orchestrator.errors import Conflict
from orchestrator.tables import AuditEntry, Flow, Service
from tenants import changes, deletions, operations, orders, policy, quotas
from tenants.tables import Order
from tests.tenants.ordering import NOW, member, seed
from tests.tenants.test_changes import create, end, refused

GRACE = timedelta(hours=72)


@pytest.fixture(autouse=True)
def _seeded(owner: sa.Engine) -> None:
    seed(owner)


def delete(web: sa.Engine, member_id: int, service: int, grace: timedelta = GRACE) -> Flow | None:
    with member_session(web, member_id, "agent") as session:
        return deletions.delete(session, service, NOW, grace)


def take_back(web: sa.Engine, member_id: int, service: int) -> Flow | None:
    with member_session(web, member_id, "agent") as session:
        return deletions.restore_deleted(session, service)


def due(worker: sa.Engine, hours: int) -> list[int]:
    with territory_session(worker, "worker 1") as session:
        return deletions.delete_due(session, NOW + timedelta(hours=hours))


@pytest.mark.slow
def test_a_deletion_stops_waits_and_is_queued_once(owner: sa.Engine, web: sa.Engine, worker: sa.Engine) -> None:
    brevaux = member(owner)
    service = create(owner, web, brevaux)
    stop = delete(web, brevaux, service)
    assert stop is not None and stop.kind == "stop_server"
    refused("deletion_planned", Conflict, _change, web, brevaux, service)
    end(owner, stop.id, "done", "stopped")
    refused("deletion_planned", Conflict, _start, web, brevaux, service)
    refused("deletion_planned", Conflict, delete, web, brevaux, service)
    assert due(worker, 71) == []
    assert due(worker, 72) == [service]
    assert due(worker, 73) == []  # its flow lives
    with territory_session(owner, "tests") as session:
        flow = session.scalars(sa.select(Flow).order_by(Flow.id.desc())).first()
        assert flow is not None and (flow.kind, flow.requested_by) == ("delete_server", "worker 1")
        assert quotas.held(session, brevaux)[0]["servers"] == 1
    end(owner, flow.id, "failed", "stopped")
    assert due(worker, 74) == []  # a failure is left to people
    orgelune = member(owner, "orgelune")
    refused("not_deleted", Conflict, take_back, web, orgelune, create(owner, web, orgelune))


def _change(web: sa.Engine, member_id: int, service: int) -> None:
    with member_session(web, member_id, "agent") as session:
        changes.place(session, service, {"disk_gib": 5}, "key", NOW)


def _start(web: sa.Engine, member_id: int, service: int) -> None:
    with member_session(web, member_id, "agent") as session:
        operations.ask(session, service, "start")


def test_a_deletion_is_taken_back_as_it_was(owner: sa.Engine, web: sa.Engine, worker: sa.Engine) -> None:
    brevaux = member(owner)
    service = create(owner, web, brevaux)
    stop = delete(web, brevaux, service)
    assert stop
    assert take_back(web, brevaux, service) is None  # it stops still
    end(owner, stop.id, "done", "stopped")
    assert delete(web, brevaux, service) is None  # it rests already
    take_back(web, brevaux, service)
    with territory_session(owner, "tests") as session:
        session.execute(sa.update(Flow).values(state="done", ended_at=NOW))
        session.execute(sa.update(Service).values(state="active"))
    stop = delete(web, brevaux, service)
    assert stop
    end(owner, stop.id, "done", "stopped")
    start = take_back(web, brevaux, service)
    assert start is not None and start.kind == "start_server"
    assert due(worker, 1000) == []


def test_no_grace_deletes_at_once(owner: sa.Engine, web: sa.Engine) -> None:
    brevaux = member(owner)
    service = create(owner, web, brevaux)
    flow = delete(web, brevaux, service, timedelta(0))
    assert flow is not None and flow.kind == "delete_server"


def test_a_protected_service_stays(owner: sa.Engine, web: sa.Engine, worker: sa.Engine) -> None:
    brevaux = member(owner)
    service = create(owner, web, brevaux)

    def protect(on: bool) -> None:
        with member_session(web, brevaux, "agent") as session:
            operations.protect(session, service, on)

    protect(True)
    protect(True)
    for grace in (GRACE, timedelta(0)):
        refused("service_protected", Conflict, delete, web, brevaux, service, grace)
    protect(False)
    stop = delete(web, brevaux, service)
    assert stop
    end(owner, stop.id, "done", "stopped")
    protect(True)
    assert due(worker, 100) == []
    with territory_session(owner, "tests") as session:
        told = session.scalars(sa.select(AuditEntry.action).where(AuditEntry.action.like("service.%protect"))).all()
    assert told == ["service.protect", "service.unprotect", "service.protect"]


def test_a_waiting_change_goes_with_its_service(
    owner: sa.Engine, web: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = [{"name": {"fr": "Tout", "en": "All"}, "orders": ["change"], "steps": ["dsi"]}]
    monkeypatch.setattr(policy, "load", lambda: policy.Policy.model_validate({"rules": rules}))
    brevaux = member(owner)
    service = create(owner, web, brevaux)
    with member_session(web, brevaux, "agent") as session:
        order = changes.place(session, service, {"disk_gib": 5}, "key", NOW)
    assert order.state == "waiting"
    delete(web, brevaux, service)
    with territory_session(owner, "tests") as session:
        assert session.get_one(Order, order.id).state == "cancelled"
        assert quotas.held(session, brevaux)[0]["disk_gib"] == 0
        with pytest.raises(Conflict):
            orders.approve(session, order.id, NOW)
