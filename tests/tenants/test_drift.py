"""Guests and their plays: compared every week, told when it is news, repaired when asked."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa

from orchestrator import drift as kept
from orchestrator.database import member_session, territory_session
from orchestrator.differences import DIFF_LENGTH, Difference, cut
from orchestrator.events import Owner
from orchestrator.tables import AuditEntry, Flow, Service
from orchestrator.tables_drift import Drift
from tenants import drift, notices
from tenants.tables_notices import Mail
from tests.tenants.applications import greeting
from tests.tenants.approving import person
from tests.tenants.ordering import NOW, member
from tests.tenants.test_changes import create, end
from tests.tenants.vaulted import HOUR, PARIS, refused

NIGHT = datetime.fromisoformat("2026-11-24T00:00:00+00:00")  # it is 1 o'clock in Paris
SSH = Difference("Harden SSH", "baseline", "changes", "-yes\n+no")
KEY = Difference("Write the password", "hello", "secret", "")


@pytest.fixture
def service(owner: sa.Engine) -> Service:
    return greeting(owner)


def keep(owner: sa.Engine, service: Service, at: datetime, *found: Difference) -> None:
    """What the flow that compares leaves behind."""
    with territory_session(owner, "flow 7") as session:
        kept.keep(session, Owner(service.member_id, service.id, 7), found, at)


def due(owner: sa.Engine, at: datetime) -> list[int]:
    with territory_session(owner, "worker tests") as session:
        return drift.make_due(session, at, HOUR, PARIS)


def actions(owner: sa.Engine) -> list[str]:
    with territory_session(owner, "tests") as session:
        query = sa.select(AuditEntry.action).where(AuditEntry.action.startswith("drift.")).order_by(AuditEntry.id)
        return list(session.scalars(query))


def test_what_is_found_is_news_once(owner: sa.Engine, service: Service) -> None:
    keep(owner, service, NOW)
    assert actions(owner) == []
    keep(owner, service, NOW, SSH)
    keep(owner, service, NOW + timedelta(days=7), SSH)
    assert actions(owner) == ["drift.found"]
    keep(owner, service, NOW + timedelta(days=8), SSH, KEY)
    with territory_session(owner, "tests") as session:
        row = session.get_one(Drift, service.id)
        assert (row.state, row.since, row.compared_at) == ("differs", NOW, NOW + timedelta(days=8))
        assert [one["kind"] for one in row.differences] == ["changes", "secret"]
    keep(owner, service, NOW + timedelta(days=9))
    assert actions(owner) == ["drift.found", "drift.found", "drift.gone"]


def test_what_could_not_be_compared_keeps_what_was_known(owner: sa.Engine, service: Service) -> None:
    with territory_session(owner, "tests") as session:
        flow = drift.check(session, service.id)
        kept.give_up(session, flow)
        found = drift.of(session, session.get_one(Service, service.id))
        assert found and found.row and (found.row.state, found.failed) == ("unknown", True)
        assert found.refused and found.refused.code == "flow_running"
    end(owner, flow.id, "failed")
    keep(owner, service, NOW - timedelta(days=1), SSH)
    with territory_session(owner, "tests") as session:
        kept.give_up(session, session.get_one(Flow, flow.id))
        found = drift.of(session, session.get_one(Service, service.id))
        assert found and found.row and (found.row.state, found.failed, found.refused) == ("differs", True, None)


@pytest.mark.slow
def test_the_dsi_is_mailed_when_it_is_new(owner: sa.Engine, service: Service) -> None:
    person(owner, "dsi", None, "dsi_admin")
    person(owner, "camille", service.member_id, "requester")
    keep(owner, service, NOW, SSH)
    notices.tell(owner, "worker tests", "https://portal", NOW)
    with territory_session(owner, "tests") as session:
        mails = session.scalars(sa.select(Mail).where(Mail.template == "drift_found")).all()
        told = [(mail.receiver, mail.facts["tasks"], mail.facts["path"]) for mail in mails]
        assert told == [("dsi@vallombre.example", ["Harden SSH"], f"/services/{service.id}")]


@pytest.mark.slow
def test_each_is_compared_every_week_at_night_a_few_at_a_time(
    owner: sa.Engine, web: sa.Engine, service: Service
) -> None:
    machines = [create(owner, web, service.member_id, f"web-{number}") for number in range(2)]
    assert due(owner, NIGHT - timedelta(hours=1)) == [], "not by day"
    assert due(owner, NIGHT) == [service.id, machines[0]]
    assert due(owner, NIGHT) == [], "these run"
    with territory_session(owner, "tests") as session:
        running = session.scalars(sa.select(Flow.id).where(Flow.kind == "check_drift")).all()
    for flow in running:
        end(owner, flow, "done")
    for each in (service.id, machines[0]):
        with territory_session(owner, "tests") as session:
            keep(owner, session.get_one(Service, each), NIGHT)
    assert due(owner, NIGHT) == [machines[1]]
    with territory_session(owner, "tests") as session:
        session.execute(sa.update(Service).where(Service.id != service.id).values(state="stopped"))
    assert due(owner, NIGHT + timedelta(days=6)) == []
    assert due(owner, NIGHT + timedelta(days=7)) == [service.id]


@pytest.mark.slow
def test_a_repair_is_asked_for_by_its_people_and_of_what_differs(
    owner: sa.Engine, web: sa.Engine, service: Service
) -> None:
    with refused("no_drift"), member_session(web, service.member_id, "agent") as session:
        drift.repair(session, service.id)
    keep(owner, service, NOW, SSH)
    with refused("not_found"), member_session(web, member(owner, "other"), "agent") as session:
        drift.repair(session, service.id)
    with member_session(web, service.member_id, "agent") as session:
        flow = drift.repair(session, service.id)
        assert (flow.kind, flow.parameters) == ("repair_drift", {"tasks": ["Harden SSH"]})
    assert actions(owner) == ["drift.found", "drift.repair"]
    with refused("flow_running"), member_session(web, service.member_id, "agent") as session:
        drift.check(session, service.id)


@pytest.mark.slow
def test_the_list_begins_with_what_differs_longest(owner: sa.Engine, web: sa.Engine, service: Service) -> None:
    machines = [create(owner, web, service.member_id, f"web-{number}") for number in range(2)]
    with territory_session(owner, "tests") as session:
        first, second = (session.get_one(Service, each) for each in machines)
    keep(owner, service, NOW)
    keep(owner, first, NOW, SSH)
    keep(owner, second, NOW - timedelta(days=1), SSH)
    with territory_session(owner, "tests") as session:
        assert [row["service_id"] for row in drift.listed(session)] == [second.id, first.id, service.id]
        assert [row["name"] for row in drift.listed(session, "same")] == ["salut"]
        assert drift.show(session, service)["state"] == "same"
    with member_session(web, member(owner, "other"), "agent") as session:
        assert drift.listed(session) == []


def test_a_machine_without_a_play_has_nothing_to_be_compared_to(owner: sa.Engine, service: Service) -> None:
    with territory_session(owner, "tests") as session:
        own = session.get_one(Service, service.id)
        own.specification = {**own.specification, "play": None}
        session.flush()
        assert drift.of(session, own) is None
    with refused("not_configured"), territory_session(owner, "tests") as session:
        drift.check(session, service.id)
    with refused("never_compared"), territory_session(owner, "tests") as session:
        drift.show(session, service)


def test_a_long_diff_is_cut_between_lines() -> None:
    assert cut("short") == "short"
    long = cut("\n".join(["x" * 50] * 1000))
    assert len(long) <= DIFF_LENGTH + 2 and long.endswith("x" * 50 + "\n…")
