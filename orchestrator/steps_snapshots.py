"""The steps that keep a service as it is, let that go again, and bring a server back to it.

A snapshot's parts are resources of the service: one image, one volume snapshot for each data volume.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator import cloud_images as images
from orchestrator import cloud_servers as servers
from orchestrator import cloud_volumes as volumes
from orchestrator import runs, snapshots, ssh
from orchestrator import steps_cloud as machine
from orchestrator import steps_resources as resources
from orchestrator.cloud import Cloud, Tag
from orchestrator.errors import CloudError
from orchestrator.events import Size
from orchestrator.steps import Run, Write, nothing
from orchestrator.tables import Resource


def image_role(snapshot_id: int) -> str:
    """The role of a snapshot's image."""
    return f"snapshot-{snapshot_id}"


def volume_role(snapshot_id: int, role: str) -> str:
    """The role of a snapshot's copy of the volume that has a role."""
    return f"snapshot-{snapshot_id}/{role}"


def _made(run: Run) -> int:
    """The snapshot that this flow makes."""
    return int(run.parameters.get("safety_id") or run.parameters["snapshot_id"])


def make_image(run: Run) -> Write:
    """Have the server's own disk kept as an image, and wait until it is."""
    role = image_role(_made(run))
    found = resources.find(run, "image", images.get_image, partial(_seek_image, run), role)
    image_id = found.id if found else _ask_image(run, role)
    image = resources.wait(
        run, lambda: images.get_image(run.cloud, image_id), lambda seen: seen.status not in {"queued", "saving"}
    )
    machine.at_rest(run, resources.known(run, "server"))
    if image.status != "active":
        raise _not_kept(f"image {image.id} is {image.status}")
    return lambda session: resources.keep(session, run, "image", image.id, role)


def _ask_image(run: Run, role: str) -> str:
    server = machine.at_rest(run, resources.known(run, "server"))
    return servers.snapshot_server(run.cloud, server.id, f"{run.facts['name']}-{role}", tag=run.tag(role))


def make_volume_snapshot(run: Run, *, volume: str) -> Write:
    """Have a data volume kept as it is, and wait until it is."""
    role = volume_role(_made(run), volume)
    found = resources.find(run, "volume_snapshot", volumes.get_snapshot, volumes.find_snapshot, role)
    if found is None:
        name, volume_id = f"{run.facts['name']}-{role}", resources.known(run, "volume", volume)
        found = volumes.create_snapshot(run.cloud, name, volume_id, tag=run.tag(role))
    kept = found.id
    seen = resources.wait(
        run, lambda: volumes.get_snapshot(run.cloud, kept), lambda seen: seen.status not in {"creating", "backing-up"}
    )
    if seen.status != "available":
        raise _not_kept(f"volume snapshot {kept} is {seen.status}")
    return lambda session: resources.keep(session, run, "volume_snapshot", kept, role)


def _not_kept(detail: str) -> CloudError:
    return CloudError(
        "snapshot_failed",
        "Le nuage n’a pas pu faire l’instantané.",
        "Recommencez ; si cela se répète, prévenez la DSI.",
        detail=detail,
    )


def mark_ready(run: Run) -> Write:
    """The snapshot is ready, and its meter begins, from this instant."""
    snapshot_id, at = _made(run), datetime.now(UTC)
    sizes: dict[tuple[str, str], int] = {}
    for kind, role, cloud_id in _parts(run, snapshot_id):
        made = images.get_image if kind == "image" else volumes.get_snapshot
        sizes[kind, role] = max(1, made(run.cloud, cloud_id).size_gib)

    def change(session: Session) -> None:
        for (kind, role), gib in sizes.items():
            resources.tell(session, run, kind, "created", at, Size(disk_gib=gib), role)
        snapshots.change_state(session, snapshot_id, "ready", at, size_gib=sum(sizes.values()))

    return change


def finish(run: Run) -> Write:
    """The snapshot is ready, and that was all."""
    return runs.finish_as(None, mark_ready(run))(run)


def remove_image(run: Run) -> Write:
    """Delete the image that this flow made; one of a snapshot that is ready stays."""
    return nothing if _is_ready(run) else _remove_image(run, image_role(_made(run)))


def remove_volume_snapshot(run: Run, *, volume: str) -> Write:
    """Delete the volume snapshot that this flow made; one of a snapshot that is ready stays."""
    return nothing if _is_ready(run) else _remove_volume_snapshot(run, volume_role(_made(run), volume))


def _is_ready(run: Run) -> bool:
    with run.session() as session:
        return snapshots.find(session, _made(run), run.owner.service_id).state == "ready"


def begin_removal(run: Run) -> Write:
    """Show the snapshot as going."""
    snapshot_id, at = run.parameters["snapshot_id"], datetime.now(UTC)

    def write(session: Session) -> None:
        snapshots.find(session, snapshot_id, run.owner.service_id)
        snapshots.change_state(session, snapshot_id, "deleting", at)

    return write


def remove_parts(run: Run, *, snapshot_id: int) -> Write:
    """Delete all that a snapshot is made of."""
    writes = [
        _remove_image(run, role) if kind == "image" else _remove_volume_snapshot(run, role)
        for kind, role, _ in _parts(run, snapshot_id)
    ]

    def write(session: Session) -> None:
        for each in writes:
            each(session)

    return write


def remove_with_service(run: Run, *, snapshot_id: int) -> Write:
    """A snapshot of a service that is deleted goes with it."""
    removed, at = remove_parts(run, snapshot_id=snapshot_id), datetime.now(UTC)

    def write(session: Session) -> None:
        removed(session)
        snapshots.end(session, snapshot_id, at)

    return write


def finish_removal(run: Run) -> Write:
    """The snapshot is gone, its meter has ended."""
    snapshot_id, at = run.parameters["snapshot_id"], datetime.now(UTC)
    return runs.finish_as(None, lambda session: snapshots.change_state(session, snapshot_id, "deleted", at))(run)


def check_ready(run: Run) -> Write:
    """The snapshot that the server goes back to is this service's, and whole."""
    with run.session() as session:
        snapshots.check_ready(snapshots.find(session, run.parameters["snapshot_id"], run.owner.service_id))
    return nothing


def rebuild_server(run: Run, *, status: str = "ACTIVE") -> Write:
    """Make the server anew from the image of the snapshot; port, addresses and volumes stay.

    status: the server's, before and after. Its host keys are of the image or new: either way others than those we know.
    """
    server_id = resources.known(run, "server")
    image_id = resources.known(run, "image", image_role(run.parameters["snapshot_id"]))
    server = machine.at_rest(run, server_id)
    if server.restored_by != run.flow_id or server.status != status:
        servers.rebuild_server(run.cloud, server, image_id, flow_id=run.flow_id)
        # One that was off is on for a moment before Nova switches it off again.
        server = machine.at_rest(
            run, server_id, {"ERROR", status} if status == "SHUTOFF" else {*machine.SETTLED, "ERROR"}
        )
    if server.status != status:
        raise CloudError(
            "server_not_restored",
            "Le nuage n’a pas pu remettre la machine dans l’état de l’instantané : elle est peut-être inutilisable.",
            "La DSI s’en occupe ; vos volumes de données ne sont pas touchés.",
            detail=server.fault or f"server {server_id} is {server.status}",
        )
    ssh.forget(run.runtime.settings, UUID(run.facts["ref"]))
    return lambda session: machine.tell_launched(session, run, server)


def _parts(run: Run, snapshot_id: int) -> list[tuple[str, str, str]]:
    """(kind, role, cloud's id) of the living parts of a snapshot, the copies of volumes first."""
    base = image_role(snapshot_id)
    query = (
        sa.select(Resource.kind, Resource.role, Resource.cloud_id)
        .where(
            Resource.service_id == run.owner.service_id,
            Resource.deleted_at.is_(None),
            (Resource.role == base) | Resource.role.startswith(f"{base}/"),
        )
        .order_by(Resource.kind.desc(), Resource.role)
    )
    with run.session() as session:
        return [(kind, role, cloud_id) for kind, role, cloud_id in session.execute(query)]


def _seek_image(run: Run, cloud: Cloud, tag: Tag) -> images.Image | None:
    return images.find_image(cloud, tag, run.place["project_id"])


def _remove_image(run: Run, role: str) -> Write:
    def delete(cloud: Cloud, image_id: str) -> None:
        machine.at_rest(run, resources.known(run, "server"))  # Nova may still be writing it
        images.delete_image(cloud, image_id)

    return resources.remove(run, "image", partial(_seek_image, run), images.get_image, delete, role)


def _remove_volume_snapshot(run: Run, role: str) -> Write:
    def delete(cloud: Cloud, snapshot_id: str) -> None:
        resources.wait(run, lambda: volumes.get_snapshot(cloud, snapshot_id), lambda seen: seen.status != "creating")
        volumes.delete_snapshot(cloud, snapshot_id)

    return resources.remove(run, "volume_snapshot", volumes.find_snapshot, volumes.get_snapshot, delete, role)
