"""On the real dev cloud: an application is copied for trial, then goes to another member with its data."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from orchestrator import backups, ssh
from orchestrator.database import territory_session
from orchestrator.ssh import Guest
from orchestrator.tables import Flow, Resource, ResourceEvent, Service
from orchestrator.tables_backups import Backup
from tests.orchestrator.flowing import Stage
from tests.orchestrator.test_proving import backed_up
from tests.orchestrator.vaulted import Valley, opened

pytestmark = [pytest.mark.cloud, pytest.mark.slow]


@pytest.fixture
def valley(stage: Stage) -> Iterator[Valley]:
    with opened(stage) as valley:
        yield valley


def test_an_application_is_copied_then_moved(valley: Valley) -> None:
    source_id, stage = backed_up(valley), valley.stage
    source, [kept] = stage.service(source_id), stage.rows(Backup)
    before = (source.changed_at, stage.events(source_id))
    copy_id = another(valley, source, valley.commune, "salut-essai", "create_server", backup_id=kept.id)
    valley.settle()
    assert (valley.last().state, valley.last().error_detail) == ("done", None)
    assert (stage.service(source_id).changed_at, stage.events(source_id)) == before, "the original is not touched"
    valley.play(copy_id, "test/check")
    assert password(valley, copy_id) != password(valley, source_id), "it has secrets of its own"

    write(valley, source_id, "since.html")  # what the last backup does not have
    last = declared(valley, source)
    moved_id = another(valley, source, valley.agglomeration, "salut", "move_service", backup_id=last, takes_over=True)
    valley.settle()
    flows = {flow.kind: flow for flow in stage.rows(Flow)}
    assert (flows["move_service"].state, flows["move_service"].error_detail) == ("done", None)
    assert (flows["delete_server"].state, flows["delete_server"].service_id) == ("done", source_id)
    valley.play(moved_id, "test/check")
    assert read(valley, moved_id, "since.html") == "since", "what was written last came along"
    assert (stage.service(source_id).state, stage.service(moved_id).state) == ("deleted", "active")
    boundary(valley, source_id, moved_id)


def boundary(valley: Valley, old_id: int, new_id: int) -> None:
    """The meters of the old one end at the instant at which those of the new one begin."""
    rows = valley.stage.rows

    def told(service_id: int, *kinds: str) -> set[tuple[str, datetime]]:
        own = {row.id: row.kind for row in rows(Resource, Resource.service_id == service_id)}
        found = rows(ResourceEvent, ResourceEvent.resource_id.in_(own), ResourceEvent.kind.in_(kinds))
        return {(own[event.resource_id], event.at) for event in found if own[event.resource_id] != "port"}

    ended, begun = told(old_id, "deleted"), told(new_id, "created", "serving")
    assert ended == begun and {kind for kind, _ in ended} == {"server", "volume"}
    assert len({at for _, at in ended}) == 1
    gone = rows(Resource, Resource.service_id == old_id)
    assert all(row.deleted_at and row.deleted_at > next(iter(ended))[1] for row in gone), "deleted after it"


def another(valley: Valley, source: Service, member_id: int, name: str, kind: str, **given: object) -> int:
    """A service that is made from the source's backup, as its order makes it; its id."""
    with territory_session(valley.stage.owner, "tests") as session:
        made = Service(member_id=member_id, name=name, specification=source.specification)
        session.add(made)
        session.flush()
        parameters = {"copies": source.id, **given}
        session.add(Flow(member_id=member_id, service_id=made.id, kind=kind, parameters=parameters, requested_by="t"))
        return made.id


def declared(valley: Valley, source: Service) -> int:
    """The last backup of the source, which the move makes."""
    with territory_session(valley.stage.owner, "tests") as session:
        vault_id = session.scalars(sa.select(Backup.vault_id)).first()
        assert vault_id
        return backups.declare(session, source, vault_id, datetime.now(UTC), scheduled=False).id


def guest(valley: Valley, service_id: int) -> Guest:
    service = valley.stage.service(service_id)
    return Guest(address=service.address or "", hostname=service.name, ref=service.ref)


def write(valley: Valley, service_id: int, name: str) -> None:
    ssh.run(valley.stage.settings, guest(valley, service_id), "sudo", "sh", "-c", f"printf since > /data/hello/{name}")


def read(valley: Valley, service_id: int, name: str) -> str:
    return ssh.run(valley.stage.settings, guest(valley, service_id), "sudo", "cat", f"/data/hello/{name}")


def password(valley: Valley, service_id: int) -> str:
    return ssh.run(valley.stage.settings, guest(valley, service_id), "sudo", "cat", "/etc/nginx/hello.password")
