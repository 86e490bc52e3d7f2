"""A console is asked for by a row, read by a worker, and forgotten."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from openstack import exceptions as sdk

from orchestrator.cloud import Cloud
from orchestrator.database import member_session, territory_session
from orchestrator.errors import Conflict
from orchestrator.settings import Settings
from orchestrator.steps import Runtime
from orchestrator.tables import Place, Resource, Service
from tenants import consoles
from tenants.tables_consoles import ConsoleReading
from tests.tenants.ordering import NOW, member, seed
from tests.tenants.test_changes import create


class Compute:
    """Nova, as far as consoles go; it has a screen or not."""

    def __init__(self, *, screen: bool) -> None:
        self.screen = screen

    def get_server_console_output(self, server_id: str, length: int) -> dict[str, str]:
        return {"output": f"{server_id}: login:"}

    def create_server_remote_console(self, server_id: str, **_: Any) -> Any:
        if not self.screen:
            raise sdk.BadRequestException("not offered")
        return SimpleNamespace(url="https://cloud.example/vnc?token=1")


def runtime(settings: Settings, worker: sa.Engine, *, screen: bool = True) -> Runtime:
    connection = SimpleNamespace(compute=Compute(screen=screen))
    connection.connect_as = lambda **_: connection
    return Runtime(settings, worker, Cloud(connection, settings))


@pytest.fixture
def service(owner: sa.Engine, web: sa.Engine) -> tuple[int, int]:
    """A member's id and its service's, which is in the cloud."""
    seed(owner)
    brevaux = member(owner)
    made = create(owner, web, brevaux)
    with territory_session(owner, "tests") as session:
        ids = dict.fromkeys(("network_id", "subnet_id", "router_id", "security_group_id"), "x")
        session.add(Place(member_id=brevaux, project_id="p", **ids))
        session.add(Resource(member_id=brevaux, service_id=made, kind="server", cloud_id="nova-1"))
    return brevaux, made


def found(owner: sa.Engine, service_id: int) -> ConsoleReading | None:
    with territory_session(owner, "tests") as session:
        row = session.get(ConsoleReading, service_id)
        if row is not None:
            session.expunge(row)
        return row


@pytest.mark.slow
@pytest.mark.parametrize("screen", [True, False])
def test_it_is_read(
    settings: Settings, owner: sa.Engine, web: sa.Engine, worker: sa.Engine, service: tuple[int, int], screen: bool
) -> None:
    brevaux, service_id = service
    with member_session(web, brevaux, "agent") as session:
        consoles.ask(session, service_id, NOW)
        consoles.ask(session, service_id, NOW)
    consoles.run(runtime(settings, worker, screen=screen))
    row = found(owner, service_id)
    assert row is not None
    assert (row.state, row.log) == ("ready", "nova-1: login:")
    assert (row.screen is not None) == screen
    with territory_session(owner, "tests") as session:
        late = datetime.now(UTC) - timedelta(hours=1)
        session.execute(sa.update(ConsoleReading).values(read_at=late))
    consoles.run(runtime(settings, worker))
    assert found(owner, service_id) is None


@pytest.mark.slow
def test_what_is_not_in_the_cloud_is_said(
    settings: Settings, owner: sa.Engine, web: sa.Engine, worker: sa.Engine, service: tuple[int, int]
) -> None:
    brevaux, service_id = service
    with territory_session(owner, "tests") as session:
        session.execute(sa.delete(Resource))
    with member_session(web, brevaux, "agent") as session:
        consoles.ask(session, service_id, NOW)
    consoles.run(runtime(settings, worker))
    row = found(owner, service_id)
    assert row is not None
    assert (row.state, row.fault) == ("failed", "La machine n’existe pas encore dans le nuage.")


@pytest.mark.slow
def test_what_is_gone_has_none(owner: sa.Engine, web: sa.Engine, service: tuple[int, int]) -> None:
    brevaux, service_id = service
    with territory_session(owner, "tests") as session:
        session.execute(sa.update(Service).values(state="deleted"))
    with member_session(web, brevaux, "agent") as session, pytest.raises(Conflict) as refused:
        consoles.ask(session, service_id, NOW)
    assert refused.value.code == "not_allowed_now"
