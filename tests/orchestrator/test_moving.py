"""On the real dev cloud: an application is copied for trial, then goes to another member with its data.

The workers are killed (SIGKILL) at every step boundary of both, and of what takes a failed one back. One valley serves
all: an order that fails leaves the original as it was, so the next part takes the same one.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import Range

from orchestrator import backups, cloud, ssh, sweep
from orchestrator.database import territory_session
from orchestrator.ssh import Guest
from orchestrator.tables import (
    AuditEntry,
    Flow,
    Place,
    Resource,
    Service,
)
from orchestrator.tables_backups import Backup
from tenants import catalogue, copies, metering, moves, orders, quotas
from tenants.tables import Budget, Meter, Order, Period, Price, Quota
from tests.orchestrator.flowing import Stage
from tests.orchestrator.test_day2_kill import ended
from tests.orchestrator.test_kill import MOMENTS, check_history, restart, run_to_the_end
from tests.orchestrator.vaulted import EXAMPLES, OURS, Valley, opened
from tests.tenants.ordering import HOURLY, QUOTA

pytestmark = [pytest.mark.cloud, pytest.mark.slow]

BUILD = ("project", "volume", "port", "server", "build", "attach", "secrets", "configure")
CLOSE = ("close", "off", "count", "backup")
SERVE = ("bring", "adapt", "health", "answer", "routes", "url", "activate")
COPY, MOVE = (*BUILD, *SERVE), (*BUILD, *CLOSE, *SERVE)
UNDONE = ("volume", "port", "server", "secrets")
VAULT = 1  # the id of the service that is ordered first
NEVER = datetime(2020, 1, 1, tzinfo=UTC)
KINDS = ["port", "server", "volume"]
# A restoration that loses a page: only the comparison with what was counted can notice.
LOSE = """
    - name: Lose a page
      ansible.builtin.file:
        path: /data/hello/known.txt
        state: absent
"""


@pytest.fixture
def valley(stage: Stage, tmp_path: Path) -> Iterator[Valley]:
    broken = tmp_path / "stacks" / "forgetful"
    shutil.copytree(EXAMPLES / "hello", broken)
    with (broken / "restore.yml").open("a") as play:
        play.write(LOSE)
    with opened(stage) as valley:
        # What can't be done is undone at once, so that the workers die of that too.
        update = {"stacks_dirs": (EXAMPLES, broken.parent), "hold_failures": False}
        stage.settings = stage.settings.model_copy(update=update)
        furnish(valley)
        yield valley


def furnish(valley: Valley) -> None:
    """Offers and their prices; what both members may hold."""
    with territory_session(valley.stage.owner, "tests") as session:
        catalogue.load(session, places=[EXAMPLES, OURS])
        meters = {meter.code: meter.id for meter in session.scalars(sa.select(Meter))}
        always = Range(datetime(2020, 1, 1, tzinfo=UTC), None)
        for code, hourly in HOURLY.items():
            session.add(Price(meter_id=meters[code], during=always, hourly=Decimal(hourly), book="tests"))
        for member_id in (valley.commune, valley.agglomeration):
            session.add(Quota(member_id=member_id, **QUOTA))
            session.add(Budget(member_id=member_id, year=datetime.now(UTC).year, amount=Decimal(60000)))


def test_an_application_is_copied_then_moved_by_workers_that_die(valley: Valley) -> None:
    source_id = ordered(valley)
    copy_id = copied(valley, source_id)
    left_where_it_was(valley, source_id, copy_id)
    moved(valley, source_id, copy_id)


def ordered(valley: Valley) -> int:
    """An application with known data and one backup, made by orders; its id."""
    stage = valley.stage
    worker = stage.start()
    at = datetime.now(UTC)
    with territory_session(stage.owner, "tests") as session:
        vault = {"name": "coffre", "disk_gib": 1, "public_address": True}
        orders.place(session, valley.agglomeration, "vault-small", vault, "k", at)
        wanted = {"name": "salut", "greeting": "Bonjour", "disk_gib": 1}
        app = orders.place(session, valley.commune, "hello", wanted, "k", at)
        service_id = cast(int, app.service_id)
    valley.settle()
    assert [flow.error_detail for flow in stage.rows(Flow)] == [None, None]
    valley.play(service_id, "test/put")
    valley.round()  # it becomes a client of the vault
    valley.round()  # and is backed up
    assert (valley.last().kind, valley.last().error_detail) == ("backup_service", None)
    worker.terminate()
    worker.join(30)
    return service_id


def copied(valley: Valley, source_id: int) -> int:
    """A test copy, by workers that die; its id."""
    stage = valley.stage
    before = (stage.service(source_id).changed_at, stage.events(source_id))
    copy_id, flow = copy(valley, source_id, "c")
    deaths(valley, COPY)
    check_history(stage, flow, COPY)
    assert (stage.service(source_id).changed_at, stage.events(source_id)) == before, "the original is not touched"
    assert cloud_of(valley, valley.commune) == things(valley, source_id, copy_id)
    valley.play(copy_id, "test/check")
    assert password(valley, copy_id) != password(valley, source_id), "it has secrets of its own"
    assert servers_held(valley) == (2, 1)
    return copy_id


def left_where_it_was(valley: Valley, source_id: int, copy_id: int) -> None:
    """A move whose data does not come over whole, and a copy of a backup that the vault does not have: both are taken
    back, by workers that die of that, and cut each other's plays.
    """
    stage, told = valley.stage, valley.stage.events(source_id)
    vault = stage.rows(Backup)[0].vault_id
    with territory_session(stage.owner, "tests") as session:
        lost = backups.declare(session, session.get_one(Service, source_id), vault, NEVER, scheduled=False)
        backups.keep(session, lost.id, NEVER, {"id": "f" * 64, "bytes": 1, "added": 1, "files": 1})
    order = move(valley, source_id, "m", play="stacks/forgetful")
    lost_copy = copy(valley, source_id, "d", "perdu-essai", lost.id)
    for boundary in (f"{step}.{moment}" for step in MOVE for moment in MOMENTS):
        (stage.plan / boundary).touch()
    deaths(valley, (), undone=(*UNDONE, "close"))
    check_undone(valley, *order, "data_missing", (*UNDONE, "close"))
    check_undone(valley, *lost_copy, "copy_failed", UNDONE)
    assert (stage.service(source_id).state, stage.events(source_id)) == ("active", told)
    assert states(valley, source_id)[-2:] == ["moving", "active"]
    valley.play(source_id, "test/check")
    assert cloud_of(valley, valley.commune) == things(valley, source_id, copy_id)
    assert cloud_of(valley, valley.agglomeration) == vaulted(valley)
    assert servers_held(valley) == (2, 1)


def moved(valley: Valley, source_id: int, copy_id: int) -> None:
    """The same move, whole, by workers that die; the old service's deletion, too, where it has steps of its own."""
    stage = valley.stage
    write(valley, source_id, "since.html")  # what no backup has
    moved_id, flow = move(valley, source_id, "n")
    for boundary in (f"{step}.{moment}" for step in BUILD for moment in MOMENTS):
        (stage.plan / boundary).touch()  # whoever made the copy died there already
    deaths(valley, (*CLOSE, *SERVE), more=("address", "release"))
    check_history(stage, flow, MOVE)
    deleted = valley.last()
    assert (deleted.kind, deleted.state, deleted.service_id) == ("delete_server", "done", source_id)
    assert (stage.service(source_id).state, stage.service(moved_id).state) == ("deleted", "active")
    assert states(valley, source_id)[-4:] == ["moving", "active", "deleting", "deleted"]
    assert cloud_of(valley, valley.commune) == things(valley, copy_id)
    assert cloud_of(valley, valley.agglomeration) == sorted(vaulted(valley) + things(valley, moved_id))
    valley.play(moved_id, "test/check")
    assert read(valley, moved_id, "since.html") == "since", "what was written last came along"
    assert servers_held(valley) == (1, 2)
    billed_to_one_of_the_two(valley, source_id, moved_id, copy_id)


def deaths(valley: Valley, steps: Sequence[str], *, undone: Sequence[str] = (), more: Sequence[str] = ()) -> None:
    """Let workers die at each boundary of these steps, at each moment of taking those back, and nowhere else."""
    stage = valley.stage
    marks = {f"{step}.{moment}" for step in (*steps, *more) for moment in MOMENTS}
    marks |= {f"{step}.{moment}" for step in undone for moment in ("untold", "undone")}
    count = run_to_the_end(stage, restart, partial(ended, stage, steps[-1]) if steps else None)
    assert marks <= {mark.name for mark in stage.plan.iterdir()}
    assert count == len(marks)
    for mark in stage.plan.iterdir():
        mark.unlink()


def check_undone(valley: Valley, service_id: int, flow_id: int, code: str, steps: Sequence[str]) -> None:
    """Nothing is left of what the flow made, and it says why; nobody pays for what never served."""
    stage = valley.stage
    [flow] = stage.rows(Flow, Flow.id == flow_id)
    assert (flow.state, flow.error_code, stage.service(service_id).state) == ("failed", code, "failed")
    told = stage.steps(flow_id)
    assert {name for name, state in told.items() if state == "undone"} == set(steps)
    assert told["bring"] == "failed"
    resources = stage.rows(Resource, Resource.service_id == service_id)
    assert sorted(row.kind for row in resources) == KINDS and all(row.deleted_at for row in resources)
    assert not [row for row in usage(valley) if row.service_id == service_id and row.meter_id != compared(valley)]


def billed_to_one_of_the_two(valley: Valley, old_id: int, new_id: int, copy_id: int) -> None:
    """To the second, without hole or overlap; the copy to who ordered it."""
    stage = valley.stage
    told = stage.rows(AuditEntry, AuditEntry.action == "service.move")
    assert [entry.member_id for entry in told] == [valley.commune, valley.agglomeration]
    [at] = {datetime.fromisoformat(entry.detail["at"]) for entry in told}
    rows = [row for row in usage(valley) if row.meter_id != compared(valley)]
    of = {service: {row.meter_id: row for row in rows if row.service_id == service} for service in (old_id, new_id)}
    assert len(of[old_id]) == 3 and of[old_id].keys() == of[new_id].keys(), "processor, memory, volume"
    for meter, before in of[old_id].items():
        after = of[new_id][meter]
        assert (before.member_id, after.member_id) == (valley.commune, valley.agglomeration)
        assert (before.during.upper, before.quantity) == (at, after.quantity) == (after.during.lower, before.quantity)
    per_service = [row.service_id for row in rows]
    assert {per_service.count(service) for service in (old_id, new_id, copy_id)} == {3}
    assert {row.member_id for row in rows if row.service_id == copy_id} == {valley.commune}
    gone = stage.rows(Resource, Resource.service_id == old_id)
    assert all(row.deleted_at and row.deleted_at > at for row in gone), "the cloud's deletion comes after it"


def usage(valley: Valley) -> Sequence[Any]:
    """What was used until now, as statements count it."""
    now = datetime.now(UTC)
    period = Period(during=Range(now - timedelta(days=1), now), sample=False, id=1)
    with territory_session(valley.stage.owner, "tests") as session:
        return metering.derive(session, period, now)


def compared(valley: Valley) -> int:
    """The meter that is compared with the cloud's own and never billed."""
    [meter] = valley.stage.rows(Meter, Meter.code == "server")
    return meter.id


def copy(
    valley: Valley, source_id: int, key: str, name: str | None = None, backup: int | None = None
) -> tuple[int, int]:
    """Order a test copy; the new service and its flow."""
    with territory_session(valley.stage.owner, "tests") as session:
        return of_order(copies.place(session, source_id, name, backup, key, datetime.now(UTC)))


def move(valley: Valley, source_id: int, key: str, **specified: Any) -> tuple[int, int]:
    """Order a move to the agglomeration; the new service and its flow. specified: of what else it is made."""
    with territory_session(valley.stage.owner, "tests") as session:
        order = moves.place(session, source_id, "agglo", None, [], key, datetime.now(UTC))
        service = session.get_one(Service, order.service_id)
        service.specification = service.specification | specified
        return of_order(order)


def of_order(order: Order) -> tuple[int, int]:
    """The service and the flow of an order that was let through."""
    assert order.service_id and order.flow_id
    return order.service_id, order.flow_id


def servers_held(valley: Valley) -> tuple[int, int]:
    """How many machines count in the quotas of commune and agglomeration."""
    with territory_session(valley.stage.owner, "tests") as session:
        commune, house = (quotas.held(session, each)[0]["servers"] for each in (valley.commune, valley.agglomeration))
    return commune, house


def cloud_of(valley: Valley, member_id: int) -> list[tuple[str, str]]:
    """What the cloud has in a member's project: (service's ref, kind)."""
    settings = valley.stage.settings
    with territory_session(valley.stage.owner, "tests") as session:
        project_id = session.get_one(Place, member_id).project_id
    seen = sweep.look_into(cloud.connect(settings).project(project_id), project_id, settings.territory)
    return sorted((thing.tag.service, thing.kind) for thing in seen)


def things(valley: Valley, *service_ids: int) -> list[tuple[str, str]]:
    """One of each that an application is made of."""
    return sorted((ref(valley, service_id), kind) for service_id in service_ids for kind in KINDS)


def vaulted(valley: Valley) -> list[tuple[str, str]]:
    """What the agglomeration has of its own."""
    return sorted([*things(valley, VAULT), (ref(valley, VAULT), "floating_ip")])


def ref(valley: Valley, service_id: int) -> str:
    return str(valley.stage.service(service_id).ref)


def states(valley: Valley, service_id: int) -> list[str]:
    """The states that a service came to, by its audit entries."""
    subject = AuditEntry.subject == f"service {service_id}"
    return [
        entry.detail["to"] for entry in valley.stage.rows(AuditEntry, subject, AuditEntry.action == "service.state")
    ]


def guest(valley: Valley, service_id: int) -> Guest:
    service = valley.stage.service(service_id)
    return Guest(address=service.address or "", hostname=service.name, ref=service.ref)


def write(valley: Valley, service_id: int, name: str) -> None:
    ssh.run(valley.stage.settings, guest(valley, service_id), "sudo", "sh", "-c", f"printf since > /data/hello/{name}")


def read(valley: Valley, service_id: int, name: str) -> str:
    return ssh.run(valley.stage.settings, guest(valley, service_id), "sudo", "cat", f"/data/hello/{name}")


def password(valley: Valley, service_id: int) -> str:
    return ssh.run(valley.stage.settings, guest(valley, service_id), "sudo", "cat", "/etc/nginx/hello.password")
