"""The sweeper: what is ours and belongs to nothing goes at the second sighting; nothing else is touched."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest
import sqlalchemy as sa

from orchestrator import cloud, sweep
from orchestrator import cloud_network as network
from orchestrator.cloud import Cloud, Tag
from orchestrator.database import territory_session
from orchestrator.steps import Runtime
from orchestrator.tables import AuditEntry, Resource, Service, Sighting
from tests.orchestrator.flowing import Stage

pytestmark = pytest.mark.cloud


@pytest.fixture
def runtime(stage: Stage, worker: sa.Engine) -> Runtime:
    """What the worker's sweeper gets; an orphan is ripe at its second sighting."""
    settings = stage.settings.model_copy(update={"sweep_patience_seconds": 0.001})
    return Runtime(settings, worker, cloud.connect(settings))


@pytest.fixture
def project(runtime: Runtime, stage: Stage) -> Cloud:
    """The member's project."""
    return runtime.cloud.project(stage.ids.project_id)


@pytest.fixture
def foreign(project: Cloud, stage: Stage) -> Iterator[set[str]]:
    """Ports of another territory and of nobody; their ids."""
    tags = Tag("ailleurs", str(uuid4()), 1), Untagged("", "", 0)
    made = [
        network.create_port(project, "foreign", stage.ids.network_id, stage.ids.security_group_id, tag=tag)
        for tag in tags
    ]
    yield {port.id for port in made}
    for port in made:
        network.delete_port(project, port.id)


class Untagged(Tag):
    """A tag that leaves no mark."""

    def description(self) -> str:
        return "somebody else's"


def port_for(project: Cloud, stage: Stage, service: str) -> str:
    """A port with our tag."""
    tag = Tag(stage.settings.territory, service, 1)
    ids = stage.ids
    return network.create_port(project, "swept", ids.network_id, ids.security_group_id, tag=tag).id


def failed_service(stage: Stage) -> str:
    """The reference of a service that failed and should have left nothing."""
    with territory_session(stage.owner, "tests") as session:
        service = Service(member_id=stage.member_id, name="web", specification={}, state="failed")
        session.add(service)
        session.flush()
        return str(service.ref)


def ports(project: Cloud) -> set[str]:
    """The ids of the project's ports."""
    return {port.id for port in network.list_ports(project)}


def test_an_orphan_goes_at_the_second_sighting(
    stage: Stage, runtime: Runtime, project: Cloud, foreign: set[str]
) -> None:
    orphan = port_for(project, stage, failed_service(stage))
    assert sweep.run(runtime) == []
    assert {orphan, *foreign} <= ports(project)
    (sighting,) = sightings(stage)
    assert (sighting.kind, sighting.cloud_id) == ("port", orphan)

    assert [(seen.kind, seen.cloud_id) for seen in sweep.run(runtime)] == [("port", orphan)]
    assert foreign <= ports(project)
    assert orphan not in ports(project)
    assert [entry.subject for entry in stage.rows(AuditEntry)] == [f"port {orphan}"]
    sweep.run(runtime)
    assert sightings(stage) == []


def test_what_another_database_made_stays(stage: Stage, runtime: Runtime, project: Cloud) -> None:
    port = port_for(project, stage, str(uuid4()))
    for _ in range(2):
        assert sweep.run(runtime) == []
    assert port in ports(project)
    network.delete_port(project, port)


def test_patience(stage: Stage, runtime: Runtime, project: Cloud) -> None:
    orphan = port_for(project, stage, failed_service(stage))
    patient = Runtime(stage.settings, runtime.engine, runtime.cloud)
    for _ in range(3):
        assert sweep.run(patient) == []
    assert orphan in ports(project)


def test_what_a_live_flow_is_about_to_record_stays(stage: Stage, runtime: Runtime, project: Cloud) -> None:
    service_id, _ = stage.order("web")
    port = port_for(project, stage, str(stage.service(service_id).ref))
    for _ in range(2):
        assert sweep.run(runtime) == []
    assert port in ports(project)
    assert sightings(stage) == []


def test_what_a_failed_service_left_goes_and_its_row_says_so(stage: Stage, runtime: Runtime, project: Cloud) -> None:
    with territory_session(stage.owner, "tests") as session:
        service = Service(member_id=stage.member_id, name="web", specification={}, state="failed")
        session.add(service)
        session.flush()
        port = port_for(project, stage, str(service.ref))
        session.add(Resource(member_id=stage.member_id, service_id=service.id, kind="port", cloud_id=port))
    sweep.run(runtime)
    sweep.run(runtime)
    assert port not in ports(project)
    (row,) = stage.rows(Resource)
    assert row.deleted_at
    assert stage.events(service.id) == [("port", "deleted")]


def test_what_a_living_service_owns_stays(stage: Stage, runtime: Runtime, project: Cloud) -> None:
    with territory_session(stage.owner, "tests") as session:
        service = Service(member_id=stage.member_id, name="web", specification={}, state="active")
        session.add(service)
        session.flush()
        port = port_for(project, stage, str(service.ref))
        session.add(Resource(member_id=stage.member_id, service_id=service.id, kind="port", cloud_id=port))
    for _ in range(2):
        assert sweep.run(runtime) == []
    assert port in ports(project)


def sightings(stage: Stage) -> list[Sighting]:
    """What the sweeper has seen once."""
    with territory_session(stage.owner, "tests") as session:
        return list(session.scalars(sa.select(Sighting)))
