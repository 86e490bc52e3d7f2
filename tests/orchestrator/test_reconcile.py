"""The duty: what is ours in progress is left alone, what nobody ordered becomes a service, nothing is said twice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator import reconcile, services
from orchestrator.cloud import Tag
from orchestrator.cloud_history import Act, Found
from orchestrator.database import member_session, territory_session
from orchestrator.tables import AuditEntry, Flow, Member, Place, Resource, ResourceEvent, Service
from orchestrator.tables_reconcile import CloudReading

NOW = datetime.now(UTC).replace(microsecond=0)


def ago(minutes: float) -> datetime:
    return NOW - timedelta(minutes=minutes)


SERVER = Found("server", "s", "salut", "ACTIVE", None, ago(100), ago(90), 1, 1024, launched_at=ago(90))
HAND = Found("server", "h", "Essai de Paul", "ACTIVE", None, ago(60), ago(59), 2, 4096, launched_at=ago(59))


@pytest.fixture
def session(worker: sa.Engine, owner: sa.Engine) -> Iterator[Session]:
    yield from stocked(worker, owner)


def stocked(worker: sa.Engine, owner: sa.Engine) -> Iterator[Session]:
    """A member whose service has a server that serves; as the worker writes."""
    with territory_session(owner, "test") as made:
        member = Member(slug="m", name="M", kind="commune", siren="210000113", siret="21000011300015")
        made.add(member)
        made.flush()
        made.add(Place(member_id=member.id, project_id="p", network_id="n", subnet_id="s", router_id="r",
                       security_group_id="g"))  # fmt: skip
        service = Service(
            member_id=member.id, name="salut", state="active", specification={"vcpus": 1, "ram_mib": 1024}
        )
        made.add(service)
        made.flush()
        resource = Resource(member_id=member.id, service_id=service.id, kind="server", cloud_id="s")
        made.add(resource)
        made.flush()
        for kind, at in (("created", ago(100)), ("launched", ago(90)), ("serving", ago(88))):
            made.add(ResourceEvent(member_id=member.id, resource_id=resource.id, kind=kind, at=at, vcpus=1,
                                   ram_mib=1024))  # fmt: skip
    assert reconcile.claim(worker, timedelta(hours=1)) == 1
    assert reconcile.claim(worker, timedelta(hours=1)) is None  # it is ours for the hour
    with territory_session(worker, "test") as session:
        yield session


def compared(session: Session, *found: Found, acts: dict[str, list[Act]] | None = None) -> list[tuple[str, datetime]]:
    """Write what the cloud said; the events that this added, by kind and moment."""
    before = session.scalar(sa.select(sa.func.max(ResourceEvent.id)))
    told = reconcile.Told(1, NOW, ago(110), ago(30), "us", reconcile.look_up(session, 1, ago(110)))
    told.found.update({(one.kind, one.id): one for one in found})
    told.acts.update(acts or {})
    count = reconcile.write(session, told)
    rows = session.execute(
        sa.select(ResourceEvent.kind, ResourceEvent.at, ResourceEvent.source)
        .where(ResourceEvent.id > before)
        .order_by(ResourceEvent.id)
    ).all()
    assert count == len(rows)
    assert {row.source for row in rows} <= {"reconcile"}
    return [(row.kind, row.at) for row in rows]


def flow(session: Session, start: datetime, end: datetime | None) -> None:
    state = "done" if end else "held"
    session.add(Flow(member_id=1, service_id=1, kind="stop_server", state=state, requested_by="t", started_at=start,
                     ended_at=end, held_at=None if end else start))  # fmt: skip
    session.flush()


def test_what_was_done_outside_is_added_once_with_its_audit_entry(session: Session) -> None:
    stopped = replace(SERVER, status="SHUTOFF", updated_at=ago(20))
    acts = {"s": [Act("stop", ago(20), "somebody")]}
    assert compared(session, stopped, acts=acts) == [("stopped", ago(20))]
    assert compared(session, stopped, acts=acts) == []
    [entry] = session.scalars(sa.select(AuditEntry).where(AuditEntry.action == "cloud.corrected"))
    assert (entry.member_id, entry.subject) == (1, "service 1")
    assert session.get_one(CloudReading, 1).read_until == NOW


def test_what_a_flow_does_is_left_to_it(session: Session) -> None:
    stopped = replace(SERVER, status="SHUTOFF", updated_at=ago(20))
    flow(session, ago(21), None)
    assert compared(session, stopped) == []
    assert session.get_one(CloudReading, 1).changed_since is None  # it is asked for again
    assert session.get_one(CloudReading, 1).read_until == NOW
    session.execute(sa.update(Flow).values(state="done", held_at=None, ended_at=ago(19)))
    session.add(ResourceEvent(member_id=1, resource_id=1, kind="stopped", at=ago(19), vcpus=1, ram_mib=1024))
    session.flush()
    acts = [Act("stop", ago(20), "us"), Act("start", ago(10), "us")]
    # The stop was the flow's; a start by our account when no flow ran was somebody's.
    started = replace(SERVER, updated_at=ago(10))
    assert compared(session, started, acts={"s": acts}) == [("started", ago(10))]
    assert session.get_one(CloudReading, 1).changed_since == NOW - reconcile.OVERLAP


def test_a_server_made_by_hand_is_a_service_of_its_member(session: Session, web: sa.Engine) -> None:
    acts = {"h": [Act("create", ago(59), "paul")]}
    first = [("created", ago(60)), ("launched", ago(59)), ("serving", ago(59))]
    assert compared(session, SERVER, HAND, acts=acts) == first
    assert compared(session, SERVER, HAND, acts=acts) == []
    service = session.get_one(Service, 2)
    assert (service.name, service.state) == ("hors-clocher-essai-de-paul", "outside")
    assert service.specification["outside"]["by"] == "paul"
    gone = replace(HAND, status="DELETED", deleted_at=ago(5))
    assert compared(session, SERVER, gone) == [("deleted", ago(5))]
    assert compared(session, SERVER, gone) == []  # Nova tells of it for long
    session.refresh(service)
    assert service.state == "deleted"
    actions = [entry.action for entry in session.scalars(sa.select(AuditEntry).order_by(AuditEntry.id))]
    assert actions == ["cloud.found", "cloud.corrected", "service.state"]


def test_what_carries_a_tag_or_was_made_by_us_is_the_sweepers(session: Session) -> None:
    tagged = replace(HAND, tag=Tag("vallombre", "x", 1))
    assert compared(session, SERVER, tagged) == []
    assert compared(session, SERVER, HAND, acts={"h": [Act("create", ago(59), "us")]}) == []
    assert compared(session, SERVER, replace(HAND, launched_at=None, status="BUILD")) == []


def test_a_thing_that_is_gone_without_a_moment_counts_until_it_was_last_seen(session: Session) -> None:
    gone = Found("server", "s", "", "DELETED", None, None, None, deleted_at=ago(30))
    assert compared(session, gone) == [("deleted", ago(30))]
    assert session.get_one(Resource, 1).deleted_at == ago(30)


def test_a_later_stop_by_a_flow_keeps_the_size_that_the_cloud_gave(session: Session) -> None:
    big = replace(SERVER, vcpus=2, ram_mib=4096, launched_at=ago(40), updated_at=ago(40))
    acts = {"s": [Act("resize", ago(40), "somebody")]}
    assert compared(session, big, acts=acts) == [("launched", ago(40)), ("resized", ago(40))]
    for state in ("stopping", "stopped"):
        services.change_state(session, 1, state, ago(3))
    event = session.scalars(sa.select(ResourceEvent).where(ResourceEvent.kind == "stopped")).one()
    assert (event.vcpus, event.ram_mib) == (2, 4096)


def test_a_member_sees_its_own_readings_only(session: Session, web: sa.Engine) -> None:
    session.commit()
    with member_session(web, 2, "test") as other:
        assert other.scalars(sa.select(CloudReading)).all() == []


def test_no_reading_when_the_duty_is_off(session: Session, worker: sa.Engine) -> None:
    session.commit()
    reconcile.forget(worker)
    with territory_session(worker, "test") as after:
        assert after.scalars(sa.select(CloudReading)).all() == []
