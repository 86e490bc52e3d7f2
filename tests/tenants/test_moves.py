"""A service goes to another member: looked at first, for the DSI alone; billed to one of the two at every instant."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import cast

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import Range

from orchestrator import backups, events, runs, services, steps_moving, steps_resources
from orchestrator.cloud import Cloud
from orchestrator.database import member_session, territory_session
from orchestrator.events import Owner, Size
from orchestrator.settings import Settings
from orchestrator.steps import Run, Runtime
from orchestrator.tables import AuditEntry, Flow, Member, Place, Resource, Service
from orchestrator.tables_backups import Backup
from tenants import copies, metering, moves, quotas, usage_check
from tenants.tables import Meter, Order, Period
from tests.tenants.ordering import NOW
from tests.tenants.test_changes import end
from tests.tenants.vaulted import MADE, Valley, backed_up, refused

LATER = NOW + timedelta(minutes=5)

pytestmark = pytest.mark.slow  # each needs a valley with a vault


class Made:
    """What a cloud answers to a creation, or knows."""

    created_at = None

    def __init__(self, cloud_id: str) -> None:
        self.id = cloud_id


@pytest.fixture
def place(owner: sa.Engine, settings: Settings) -> Valley:
    found = backed_up(owner, settings, NOW)
    with territory_session(owner, "tests") as session:
        for member_id in (found.commune, found.agglomeration):
            ids = {name: f"{name}-{member_id}" for name in
                   ("project_id", "network_id", "subnet_id", "router_id", "security_group_id")}  # fmt: skip
            session.add(Place(member_id=member_id, **ids))
        launched = NOW - timedelta(hours=2)
        for kind, size in (("server", Size(1, 1024)), ("volume", Size(disk_gib=1))):
            row = events.record_resource(session, Owner(found.commune, found.service_id, 1), kind, f"old-{kind}")
            first = "serving" if kind == "server" else "created"
            events.record_event(session, row, first, launched, size=size)
            if kind == "server":
                events.record_event(session, row, "launched", launched, size=size)
    return found


def move(place: Valley, key: str = "m", **more: object) -> Order:
    with territory_session(place.owner, "dsi") as session:
        return moves.place(session, place.service_id, "agglo", None, [], key, LATER, **more)  # type: ignore[arg-type]


def run_of(place: Valley, order: Order) -> Run:
    """The flow of a move, as it runs."""
    with territory_session(place.owner, "tests") as session:
        flow, made = session.get_one(Flow, order.flow_id), session.get_one(Service, order.service_id)
        flow.state, flow.started_at = "running", NOW
        facts = {
            "service_id": made.id, "member_id": made.member_id, "name": made.name, "ref": str(made.ref),
            "specification": made.specification, "parameters": flow.parameters, "began_from": "creating",
        }  # fmt: skip
    return Run(Runtime(place.settings, place.owner, cast(Cloud, None)), flow.id, 1, facts)


def do(place: Valley, write: object) -> None:
    with territory_session(place.owner, "flow") as session:
        write(session)  # type: ignore[operator]


def test_it_is_looked_at_first_and_by_the_dsi_alone(place: Valley, web: sa.Engine) -> None:
    with territory_session(place.owner, "dsi") as session:
        seen = moves.preview(session, place.service_id, "agglo", None, NOW)
        assert (seen.refused, seen.source.slug, seen.target.slug) == (None, "brevaux", "agglo")
        assert seen.estimated.estimate.monthly > 0 and seen.silent is None and len(seen.effects) == 6
    with refused("territory_only"), member_session(web, place.commune, "agent") as session:
        moves.preview(session, place.service_id, "agglo", None, NOW)
    for code, service_id, to in (
        ("same_member", place.service_id, "brevaux"), ("unknown_member", place.service_id, "ailleurs"),
        ("not_found", 99, "agglo"),
    ):  # fmt: skip
        with refused(code), territory_session(place.owner, "dsi") as session:
            moves.preview(session, service_id, to, None, NOW)
    with territory_session(place.owner, "dsi") as session:
        vault = moves.preview(session, place.vault_id, "brevaux", None, NOW)
        assert vault.refused and vault.refused.code == "serves_all"


def test_both_members_are_told_and_the_new_one_holds_it(place: Valley) -> None:
    order, again = move(place), move(place)
    assert (order.id, order.kind, order.state, order.member_id) == (again.id, "move", "approved", place.agglomeration)
    with territory_session(place.owner, "tests") as session:
        held, _ = quotas.held(session, place.agglomeration)
        assert held["servers"] == 2
        told = session.scalars(sa.select(AuditEntry.member_id).where(AuditEntry.action == "service.move_asked")).all()
        assert sorted(filter(None, told)) == sorted((place.commune, place.agglomeration))
        made = session.get_one(Service, order.service_id)
        assert (made.member_id, made.specification["ssh_keys"]) == (place.agglomeration, [])
        assert made.specification["stack"]["backup"], "it is backed up there as it was here"
    with refused("flow_running"):  # whatever it shall be called: one of the two would take what the other has
        move(place, key="n")
    end(place.owner, order.flow_id, "failed")
    with refused("name_taken"):
        move(place, key="n")
    with territory_session(place.owner, "dsi") as session:
        copy = copies.place(session, place.service_id, None, None, "c", LATER)
    with refused("flow_running"):  # its backups are being read, and would go with it
        move(place, key="n")
    end(place.owner, copy.flow_id, "done", "active")
    with refused("name_taken"):
        move(place, key="n")


def test_each_second_is_billed_to_one_of_the_two(place: Valley) -> None:
    order = move(place)
    run = run_of(place, order)
    for kind, size in (("volume", Size(disk_gib=1)), ("floating_ip", Size())):
        do(place, steps_resources.recorded(run, kind, Made(f"new-{kind}"), size))
    do(place, lambda session: steps_resources.keep(session, run, "server", "new-server"))
    do(place, steps_moving.close(run))
    do(place, lambda session: session.execute(sa.update(Backup).values(meters={"pages": 2})))
    do(place, lambda session: backups.keep(session, run.parameters["backup_id"], NOW, MADE))
    finish = runs.finish_as("active", lambda session: steps_moving.hand_over(run, session))
    do(place, finish(run))
    do(place, finish(run))  # the step of a worker that died before it could say so
    with territory_session(place.owner, "tests") as session:
        old, new = (session.get_one(Service, each) for each in (place.service_id, order.service_id))
        assert (old.state, new.state) == ("deleting", "active")
        assert session.scalars(sa.select(Flow.kind).where(Flow.service_id == old.id, Flow.state == "queued")).all() == [
            "delete_server"
        ]
        for kind in ("server", "volume"):  # what the deletion does, later
            events.record_deletion(session, kind, f"old-{kind}", datetime.now(UTC) + timedelta(seconds=40))
        at = session.scalars(sa.select(AuditEntry.detail["at"].as_string()).where(AuditEntry.action == "service.move"))
        [instant] = {datetime.fromisoformat(told or "") for told in at}
        period = Period(during=Range(NOW - timedelta(days=30), NOW + timedelta(days=4000)), sample=False, id=1)
        until = datetime.now(UTC) + timedelta(hours=1)
        compared = session.scalar(sa.select(Meter.id).where(Meter.code == "server"))
        rows = [row for row in metering.derive(session, period, until) if row.meter_id != compared]
        known = session.execute(sa.text(usage_check.OURS), metering.parameters(period, until)).all()
        assert [(row.cloud_id, row.until, row.moved) for row in known] == [("old-server", instant, True)]
    ends = {(row.member_id, row.meter_id): row.during for row in rows if row.resource_id is not None}
    for meter_id in {meter_id for _, meter_id in ends}:
        before, after = ends.get((place.commune, meter_id)), ends.get((place.agglomeration, meter_id))
        assert before is None or before.upper == instant
        assert after is None or (after.lower, after.upper) == (instant, until)
        assert before is None or after is not None, "what was billed goes on being billed"
    assert sum(1 for member, _ in ends if member == place.commune) == 3, "processor, memory, volume"


def test_what_fails_leaves_the_old_one_serving(place: Valley) -> None:
    order = move(place)
    run = run_of(place, order)
    do(place, steps_moving.close(run))
    with territory_session(place.owner, "tests") as session:
        assert session.get_one(Service, place.service_id).state == "moving"
    with refused("not_allowed_now"), territory_session(place.owner, "dsi") as session:
        copies.place(session, place.service_id, None, None, "c", LATER)
    steps_moving.reopen(run)
    do(place, lambda session: backups.give_up(session, session.get_one(Flow, order.flow_id)))
    with territory_session(place.owner, "tests") as session:
        assert session.get_one(Service, place.service_id).state == "active"
        assert session.get_one(Backup, run.parameters["backup_id"]).state == "failed"
        services.change_state(session, order.service_id or 0, "failed", NOW)
        held, monthly = quotas.held(session, place.agglomeration)
        assert held["servers"] == 1 and monthly > Decimal(0)
        resources = session.scalars(sa.select(Resource.deleted_at).where(Resource.service_id == place.service_id))
        assert set(resources) == {None}


def test_one_that_is_busy_is_not_closed(place: Valley) -> None:
    run = run_of(place, move(place))
    with territory_session(place.owner, "tests") as session:
        session.add(Flow(member_id=place.commune, service_id=place.service_id, kind="reboot_server", requested_by="t"))
    with refused("flow_running"):
        do(place, steps_moving.close(run))
    with territory_session(place.owner, "tests") as session:
        assert session.scalar(sa.select(Member.slug).where(Member.id == place.commune)) == "brevaux"
        assert session.get_one(Service, place.service_id).state == "active"
