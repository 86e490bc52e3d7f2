"""The steps that make, wait for, stop and remove what a service is made of in the cloud.

Each one looks for a row, then for the service's tag in the cloud, and adopts what it finds before it makes anything.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Protocol, TypeVar
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator import cloud_network as network
from orchestrator import cloud_servers as servers
from orchestrator import cloud_volumes as volumes
from orchestrator import events, ssh
from orchestrator.cloud import Cloud, Tag
from orchestrator.errors import CloudError, CloudNotFound, WaitedTooLong
from orchestrator.events import Size
from orchestrator.steps import Run, Write, nothing
from orchestrator.tables import Service

PAUSE = 0.25  # seconds between two looks at something that is being made


class Thing(Protocol):
    """What all cloud resources have."""

    @property
    def id(self) -> str: ...
    @property
    def created_at(self) -> datetime | None: ...


T = TypeVar("T", bound=Thing)


def check_place(run: Run) -> Write:
    """The member has a project and a network, and the cloud lets us in."""
    network.check_network(run.cloud, run.place["network_id"])
    return nothing


def make_volume(run: Run) -> Write:
    """Ask for the data volume; nobody waits for it before it must be attached."""
    volume = _find(run, "volume", volumes.get_volume, volumes.find_volume)
    size = int(run.specification["disk_gib"])
    if volume is None:
        volume = volumes.create_volume(run.cloud, f"{run.facts['name']}-data", size, tag=run.tag)
    return _recorded(run, "volume", volume, Size(disk_gib=size))


def make_port(run: Run) -> Write:
    """The network card: it has its address at once, so that a public address can lead to it early."""
    port = _find(run, "port", network.get_port, network.find_port)
    if port is None:
        place = run.place
        port = network.create_port(
            run.cloud, run.facts["name"], place["network_id"], place["security_group_id"], tag=run.tag
        )
    recorded, address = _recorded(run, "port", port, Size()), port.address

    def write(session: Session) -> None:
        recorded(session)
        _set(session, run, address=address)

    return write


def make_server(run: Run) -> Write:
    """Ask for the server on its port; it builds while the next steps run. Its meters wait for `launched`."""
    server = _find(run, "server", servers.get_server, servers.find_server)
    server_id = server.id if server else _create_server(run)
    return lambda session: _keep(session, run, "server", server_id)


def _create_server(run: Run) -> str:
    return servers.create_server(
        run.cloud,
        run.facts["name"],
        tag=run.tag,
        flavor_id=servers.find_flavor(run.cloud, run.specification["flavor"]),
        image_id=servers.find_image(run.cloud, run.specification["image"]),
        port_id=_known(run, "port"),
        keypair=servers.import_keypair(run.cloud, "clocher", ssh.public_key(run.runtime.settings)),
    )


def make_address(run: Run) -> Write:
    """A public address that leads to the port from the call that creates it."""
    found = _find(run, "floating_ip", network.get_floating_ip, network.find_floating_ip)
    if found is None:
        external = network.find_network(run.cloud, run.runtime.settings.external_network)
        found = network.create_floating_ip(run.cloud, external, _known(run, "port"), tag=run.tag)
    recorded, address = _recorded(run, "floating_ip", found, Size()), found.address

    def write(session: Session) -> None:
        recorded(session)
        _set(session, run, public_address=address)

    return write


def wait_until_built(run: Run) -> Write:
    """Wait until Nova runs the server; the event is at Nova's own instant, so that both count the same hours."""
    server_id = _known(run, "server")
    server = _wait(run, lambda: servers.get_server(run.cloud, server_id), lambda found: found.status != "BUILD")
    if server.status != "ACTIVE" or server.launched_at is None:
        raise _not_built(server)
    launched_at, size = server.launched_at, Size(run.specification["vcpus"], run.specification["ram_mib"])
    return lambda session: _tell(session, run, "server", "launched", launched_at, size)


def _not_built(server: servers.Server) -> CloudError:
    if "No valid host" in server.fault:
        return CloudError(
            "cloud_no_capacity",
            "Le nuage n’a plus assez de place pour ce serveur.",
            "Choisissez une taille plus petite ou demandez à la DSI quand il y en aura.",
            detail=server.fault,
        )
    return CloudError(
        "server_not_built",
        "Le nuage n’a pas pu construire le serveur.",
        "Recommencez ; si cela se répète, prévenez la DSI.",
        detail=server.fault or f"server {server.id} is {server.status}",
    )


def attach_volume(run: Run) -> Write:
    """Attach the data volume as soon as both are ready."""
    server_id, volume_id = _known(run, "server"), _known(run, "volume")

    def look() -> volumes.Volume:
        return volumes.get_volume(run.cloud, volume_id)

    volume = _wait(run, look, lambda found: found.status not in {"creating", "attaching"})
    if server_id not in volume.server_ids:
        servers.attach_volume(run.cloud, server_id, volume_id)
        volume = _wait(run, look, lambda found: found.status not in {"available", "reserved", "attaching"})
    if volume.status != "in-use":
        raise CloudError(
            "volume_not_attached",
            "Le nuage n’a pas pu brancher le volume de données.",
            "Recommencez ; si cela se répète, prévenez la DSI.",
            detail=f"volume {volume_id} is {volume.status}",
        )
    return nothing


def remove_server(run: Run) -> Write:
    """Delete the server and wait until Nova no longer knows it; its host keys are worth nothing then."""
    ssh.forget(run.runtime.settings, UUID(run.facts["ref"]))
    return _remove(run, "server", servers.find_server, servers.get_server, servers.delete_server)


def remove_address(run: Run) -> Write:
    """Give the public address back."""
    return _remove(run, "floating_ip", network.find_floating_ip, network.get_floating_ip, network.delete_floating_ip)


def remove_port(run: Run) -> Write:
    """Delete the network card."""
    return _remove(run, "port", network.find_port, network.get_port, network.delete_port)


def remove_volume(run: Run) -> Write:
    """Delete the data volume, once the cloud has let go of it."""

    def delete(cloud: Cloud, volume_id: str) -> None:
        busy = {"in-use", "attaching", "detaching", "reserved", "creating"}
        _wait(run, lambda: volumes.get_volume(cloud, volume_id), lambda found: found.status not in busy)
        volumes.delete_volume(cloud, volume_id)

    return _remove(run, "volume", volumes.find_volume, volumes.get_volume, delete)


def stop_server(run: Run) -> Write:
    """Stop the server and wait until it is off."""
    return _switch(run, servers.stop_server, "SHUTOFF")


def start_server(run: Run) -> Write:
    """Start the server and wait until it runs."""
    return _switch(run, servers.start_server, "ACTIVE")


def _switch(run: Run, ask: Callable[[Cloud, str], None], wanted: str) -> Write:
    server_id = _known(run, "server")

    def look() -> servers.Server:
        return servers.get_server(run.cloud, server_id)

    server = _wait(run, look, lambda found: found.task_state is None)
    if server.status != wanted:
        ask(run.cloud, server_id)
        server = _wait(run, look, lambda found: found.task_state is None and found.status in {wanted, "ERROR"})
    if server.status != wanted:
        raise CloudError(
            "server_in_error",
            "Le nuage n’a pas pu changer l’état du serveur.",
            "Prévenez la DSI.",
            detail=server.fault or f"server {server_id} is {server.status}",
        )
    return nothing


def _known(run: Run, kind: str) -> str:
    """The cloud's id of the service's living resource of a kind; an earlier step recorded it."""
    with run.session() as session:
        found = events.find_resource(session, run.owner.service_id, kind)
    if found is None:
        raise CloudNotFound("cloud_not_found", "Une partie du service manque.", "Prévenez la DSI.", detail=f"no {kind}")
    return found.cloud_id


def _find(run: Run, kind: str, get: Callable[[Cloud, str], T], find: Callable[[Cloud, Tag], T | None]) -> T | None:
    """What an earlier attempt made: by its row, else by its tag. Nothing, when there was no earlier attempt."""
    if run.first_try:
        return None
    with run.session() as session:
        row = events.find_resource(session, run.owner.service_id, kind)
    return get(run.cloud, row.cloud_id) if row else find(run.cloud, run.tag)


def _recorded(run: Run, kind: str, made: Thing, size: Size) -> Write:
    """Write the row of a resource and its `created` event, at the cloud's own instant."""
    cloud_id, at = made.id, made.created_at or datetime.now(UTC)

    def write(session: Session) -> None:
        _keep(session, run, kind, cloud_id)
        _tell(session, run, kind, "created", at, size)

    return write


def _keep(session: Session, run: Run, kind: str, cloud_id: str) -> None:
    events.record_resource(session, run.owner, kind, cloud_id)


def _tell(session: Session, run: Run, kind: str, event: str, at: datetime, size: Size) -> None:
    resource = events.find_resource(session, run.owner.service_id, kind)
    if resource is not None:
        events.record_event(session, resource.id, event, at, flow_id=run.flow_id, size=size)


def _set(session: Session, run: Run, **columns: str) -> None:
    session.execute(sa.update(Service).where(Service.id == run.owner.service_id).values(**columns))


def _remove(
    run: Run,
    kind: str,
    find: Callable[[Cloud, Tag], T | None],
    get: Callable[[Cloud, str], T],
    delete: Callable[[Cloud, str], None],
) -> Write:
    """Delete the resource that has a row and the one that has only a tag; wait until the cloud knows neither."""
    with run.session() as session:
        row = events.find_resource(session, run.owner.service_id, kind)
    tagged = find(run.cloud, run.tag)
    doomed = {row.cloud_id} if row else set()
    doomed |= {tagged.id} if tagged else set()
    for cloud_id in doomed:
        try:
            delete(run.cloud, cloud_id)
            _wait(run, partial(get, run.cloud, cloud_id), lambda _found: False)
        except CloudNotFound:
            continue  # gone, by us or before us
    at = datetime.now(UTC)

    def write(session: Session) -> None:
        for cloud_id in doomed:
            events.record_deletion(session, kind, cloud_id, at, flow_id=run.flow_id)

    return write


def _wait(run: Run, look: Callable[[], T], ready: Callable[[T], bool]) -> T:
    """Look until `ready`; WaitedTooLong `cloud_too_slow` after `settings.build_timeout` seconds."""
    deadline = time.monotonic() + run.runtime.settings.build_timeout
    while not ready(found := look()):
        if time.monotonic() > deadline:
            raise WaitedTooLong(
                "cloud_too_slow",
                "Le nuage n’a pas fini à temps.",
                "Recommencez plus tard ; si cela se répète, prévenez la DSI.",
                detail=f"{found} after {run.runtime.settings.build_timeout} s",
            )
        run.check()
        time.sleep(PAUSE)
    return found
