"""Notifications as the services send them: understood, kept once, judged with what the ledger knows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from pydantic import SecretStr, ValidationError
from sqlalchemy.orm import Session

from orchestrator import cloud_feeds, cloud_notifications, notifications, reconcile
from orchestrator.cloud import Cloud
from orchestrator.database import territory_session
from orchestrator.errors import InvalidInput
from orchestrator.settings import Settings
from orchestrator.steps import Runtime
from orchestrator.tables import AuditEntry, Flow, Resource, ResourceEvent, Service
from orchestrator.tables_reconcile import CloudFeed, CloudNotification
from tests.orchestrator.test_reconcile import NOW, ago, stocked

# What a dev cloud's services sent, cut down to what may matter.
SAMPLES = [json.loads(line) for line in (Path(__file__).parent / "notifications.jsonl").read_text().splitlines()]


@pytest.fixture
def session(worker: sa.Engine, owner: sa.Engine) -> Iterator[Session]:
    yield from stocked(worker, owner)


def sample(event_type: str) -> dict[str, Any]:
    return json.loads(json.dumps(next(one for one in SAMPLES if one["event_type"] == event_type)))


def server(
    event_type: str, at: datetime, cloud_id: str = "s", by: str = "somebody", vcpus: int = 1, **more: Any
) -> Any:
    """A notification of Nova about a server in the member's project, `at` when it was through."""
    one = sample(event_type)
    data = one["payload"]["nova_object.data"]
    data |= {"uuid": cloud_id, "tenant_id": "p", "action_initiator_user": by, "metadata": {}, **more}
    data["flavor"]["nova_object.data"] |= {"vcpus": vcpus, "memory_mb": 1024 * vcpus}
    data |= {"created_at": ago(100).isoformat(), "launched_at": ago(90).isoformat()} if cloud_id == "s" else {}
    return one | {"message_id": f"{event_type} {at} {by}", "timestamp": at.replace(tzinfo=None).isoformat(" ")}


def heard(session: Session, *messages: Any) -> list[tuple[str, datetime]]:
    """Keep and judge them; the events that this added."""
    before = session.scalar(sa.select(sa.func.max(ResourceEvent.id)))
    notifications.keep(session, "file", messages, NOW)
    count = notifications.judge_member(session, 1, "us")
    rows = session.scalars(sa.select(ResourceEvent).where(ResourceEvent.id > before).order_by(ResourceEvent.id)).all()
    assert count == len(rows)
    assert {row.source for row in rows} <= {"notification"}
    return [(row.kind, row.at) for row in rows]


def test_what_services_send_is_understood() -> None:
    told = {one["event_type"]: cloud_notifications.read(one) for one in SAMPLES}
    assert told["instance.update"] is None
    resized, address = told["instance.resize_finish.end"], told["floatingip.delete.end"]
    volume, image = told["volume.delete.end"], told["image.delete"]
    assert resized and address and volume and image
    assert (resized.act.name, resized.act.at.isoformat()) == ("resize", "2026-11-29T17:53:30.188656+00:00")
    assert (resized.found.vcpus, resized.found.ram_mib, resized.found.deleted_at) == (2, 4096, None)
    assert resized.found.tag and resized.found.tag.role == "main"
    # Neutron and Cinder don't say when it was: when they said so, it was through.
    assert address.found.deleted_at == datetime(2026, 11, 29, 17, 48, 15, 669375, UTC)
    assert (volume.found.kind, volume.found.disk_gib, volume.found.tag is None) == ("volume", 1, False)
    assert image.found.deleted_at == datetime(2026, 11, 29, 17, 55, 34, tzinfo=UTC)
    gone = told["instance.delete.end"]
    assert gone and gone.found.deleted_at == datetime(2026, 11, 29, 17, 48, 19, tzinfo=UTC)


def test_a_volume_snapshot_has_its_marks_in_pythons_form() -> None:
    tag = {"clocher:service": "s", "clocher:flow": "1", "clocher:territory": "t", "clocher:role": "r"}
    payload = {
        "snapshot_id": "x", "tenant_id": "p", "volume_size": 3, "display_name": None, "created_at": "2026-11-29",
        "metadata": str(tag),
    }  # fmt: skip
    message = {"message_id": "1", "event_type": "snapshot.create.end", "timestamp": "2026-11-29 17:00:00"}
    told = cloud_notifications.read(message | {"payload": payload})
    assert told and told.found.tag and (told.found.kind, told.found.disk_gib) == ("volume_snapshot", 3)
    assert cloud_notifications.read(message | {"payload": {}}) is None  # the comparison will see it
    # What nobody can read must not keep the feed from what follows.
    assert cloud_notifications.read(message | {"payload": payload | {"metadata": "{<Cinder>"}}) is None
    assert cloud_notifications.read(message | {"event_type": ["snapshot.create.end"]}) is None


def test_what_was_told_twice_and_late_is_one_change(session: Session) -> None:
    stop, start = server("instance.power_off.end", ago(20)), server("instance.power_on.end", ago(10))
    assert heard(session, start) == []  # it is not known to have been stopped
    assert heard(session, stop) == [("stopped", ago(20)), ("started", ago(10))]
    assert heard(session, stop, start, server("instance.power_off.end", ago(20), by="again")) == []
    [entry] = session.scalars(sa.select(AuditEntry).where(AuditEntry.action == "cloud.corrected"))
    assert [fact["kind"] for fact in entry.detail["facts"]] == ["stopped", "started"]


def test_both_sizes_between_two_readings_are_known(session: Session) -> None:
    big = server("instance.resize_finish.end", ago(40), vcpus=2)
    assert heard(session, server("instance.resize_finish.end", ago(30), vcpus=4)) == [("resized", ago(30))]
    assert heard(session, big) == [("resized", ago(40))]
    known = reconcile.look_up(session, 1, ago(110))["server", "s"]
    assert [fact.size.vcpus for fact in known.ledger] == [1, 1, 1, 2, 4]


def test_what_a_flow_does_is_the_flows(session: Session) -> None:
    flow = Flow(member_id=1, service_id=1, kind="stop_server", state="held", requested_by="t", started_at=ago(21),
                held_at=ago(20))  # fmt: skip
    session.add(flow)
    session.flush()
    ours, theirs = server("instance.power_off.end", ago(20), by="us"), server("instance.power_on.end", ago(10))
    assert heard(session, ours, theirs) == []
    waiting = sa.select(sa.func.count()).where(CloudNotification.judged_at.is_(None))
    assert session.scalar(waiting) == 2
    session.execute(sa.update(Flow).values(state="done", held_at=None, ended_at=ago(19)))
    session.add(ResourceEvent(member_id=1, resource_id=1, kind="stopped", at=ago(19), vcpus=1, ram_mib=1024))
    assert heard(session) == [("started", ago(10))]
    assert session.scalar(waiting) == 0


def test_a_server_made_and_deleted_by_hand(session: Session) -> None:
    times = {"created_at": ago(60).isoformat(), "launched_at": ago(59).isoformat()}
    made = server("instance.create.end", ago(59), "h", "paul", 2, display_name="Essai de Paul", **times)
    gone = server("instance.delete.end", ago(5), "h", "paul", 2, **times, terminated_at=ago(6).isoformat())
    assert heard(session, gone) == []  # nothing says yet that it was not ours
    assert heard(session, made) == [
        ("created", ago(60)), ("launched", ago(59)), ("serving", ago(59)), ("deleted", ago(6)),
    ]  # fmt: skip
    service = session.get_one(Service, 2)
    assert (service.name, service.state, service.specification["outside"]["by"]) == (
        "hors-clocher-essai-de-paul", "deleted", "paul",
    )  # fmt: skip
    assert heard(session, server("instance.power_off.end", ago(30), "h", **times)) == [("stopped", ago(30))]
    assert session.scalars(sa.select(Resource.deleted_at).where(Resource.cloud_id == "h")).one() == ago(6)


def test_what_carries_a_tag_or_is_of_nobody_is_left(session: Session) -> None:
    tag = {"clocher:service": "x", "clocher:flow": "1", "clocher:territory": "t", "clocher:role": "main"}
    assert heard(session, server("instance.create.end", ago(5), "h", metadata=tag)) == []
    assert heard(session, server("instance.create.end", ago(5), "j", "us")) == []
    assert (
        notifications.keep(session, "file", [server("instance.create.end", ago(5), "k", tenant_id="other")], NOW) == 0
    )
    assert notifications.keep(session, "file", [server("instance.power_off.end", ago(5000))], NOW) == 0


def test_a_reading_leaves_what_was_told_meanwhile(session: Session) -> None:
    told = reconcile.Told(1, NOW, ago(110), ago(30), "us", reconcile.look_up(session, 1, ago(110)))
    found = cloud_notifications.read(server("instance.power_on.end", ago(90)))
    assert found
    told.found["server", "s"] = found.found
    assert heard(session, server("instance.power_off.end", ago(1))) == [("stopped", ago(1))]
    assert reconcile.write(session, told) == 0


def write(path: Path, *messages: Any) -> None:
    with path.open("a") as file:
        file.writelines(json.dumps(message) + "\n" for message in messages)


def test_a_file_is_read_on_from_where_it_was(session: Session, worker: sa.Engine, settings: Settings) -> None:
    session.commit()
    runtime = Runtime(settings, worker, Cloud(None, settings))
    path = settings.state_dir / "feed.jsonl"
    assert not cloud_feeds.read_file(runtime, path)  # nothing was told yet

    def kept() -> tuple[int, int]:
        cloud_feeds.read_file(runtime, path)
        with territory_session(worker, "test") as after:
            feed = after.get_one(CloudFeed, "file")
            return after.scalars(sa.select(sa.func.count(CloudNotification.id))).one(), feed.position

    write(path, server("instance.power_off.end", ago(20)))
    with path.open("a") as file:
        file.write("{ no JSON\n[]\n")
        file.write(json.dumps(server("instance.power_on.end", ago(10))))  # its end is not written yet
    first = kept()
    assert first[0] == 1
    assert kept() == first
    with path.open("a") as file:
        file.write("\n")
    assert kept() == (2, path.stat().st_size)
    path.unlink()  # the cloud was made anew
    write(path, server("instance.power_off.end", ago(5)))
    assert kept() == (3, path.stat().st_size)


def test_without_the_comparison_nothing_is_read(worker: sa.Engine, settings: Settings) -> None:
    off = settings.model_copy(update={"notifications_url": SecretStr("file:///dev/null"), "cloud_reading_minutes": 0})
    assert cloud_feeds.run(Runtime(off, worker, Cloud(None, off))) == 0
    with pytest.raises(ValidationError):
        Settings(notifications_url="amqp", _env_file=None)


def test_a_queue_needs_oslo_messaging(worker: sa.Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "oslo_messaging", None)
    with pytest.raises(InvalidInput) as told:
        cloud_feeds.listener(Runtime(settings, worker, Cloud(None, settings)), "rabbit://localhost/")
    assert told.value.code == "notifications_not_installed"


def test_old_notifications_go(session: Session, worker: sa.Engine, settings: Settings) -> None:
    heard(session, server("instance.power_off.end", ago(20)))
    session.execute(sa.update(CloudNotification).values(read_at=NOW - timedelta(days=3)))
    session.commit()
    assert notifications.judge(Runtime(settings, worker, Cloud(None, settings))) == 0
    with territory_session(worker, "test") as after:
        assert after.scalars(sa.select(CloudNotification)).all() == []
