"""The sweeper: finds what carries our tag in the cloud and belongs to nothing, and deletes it at the second sighting.

It never touches what has no tag or another territory's, nor what a live flow may be about to record, nor what a service
that this database does not know made: after a restore, or with an empty database, that may be somebody's server.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import sqlalchemy as sa
import structlog
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from orchestrator import audit, events
from orchestrator import cloud_images as images
from orchestrator import cloud_network as network
from orchestrator import cloud_servers as servers
from orchestrator import cloud_volumes as volumes
from orchestrator.cloud import Cloud, Tag
from orchestrator.database import territory_session
from orchestrator.errors import ClocherError, CloudNotFound, CloudTokenLost
from orchestrator.steps import Runtime
from orchestrator.tables import FLOW_LIVE, Flow, Resource, Service, Sighting

log = structlog.get_logger()

SWEEP_LOCK = 0x434C0003  # advisory lock: one worker sweeps at a time
ACTOR = "sweeper"

# Both in this order: what is in use by something else goes after it.
DELETE: dict[str, Callable[[Cloud, str], None]] = {
    "volume_snapshot": volumes.delete_snapshot,
    "image": images.delete_image,
    "floating_ip": network.delete_floating_ip,
    "server": servers.delete_server,
    "volume": volumes.delete_volume,
    "port": network.delete_port,
}

Thing = servers.Server | volumes.Volume | volumes.VolumeSnapshot | images.Image | network.Port | network.FloatingIp
LIST: dict[str, Callable[[Cloud, str], Sequence[Thing]]] = {
    "volume_snapshot": lambda cloud, _project: volumes.list_snapshots(cloud),
    "image": images.list_images,
    "floating_ip": lambda cloud, _project: network.list_floating_ips(cloud),
    "server": lambda cloud, _project: servers.list_servers(cloud),
    "volume": lambda cloud, _project: volumes.list_volumes(cloud),
    "port": lambda cloud, _project: network.list_ports(cloud),
}


@dataclass(frozen=True)
class Seen:
    """A cloud resource that carries a tag. held: a volume of which there are snapshots; the cloud lets none such go."""

    kind: str
    cloud_id: str
    project_id: str
    tag: Tag
    held: bool = False


def run(runtime: Runtime) -> list[Seen]:
    """Look once at all projects; what was deleted."""
    seen = look(runtime.cloud, runtime.settings.territory)
    with territory_session(runtime.engine, ACTOR) as session:
        if not session.scalar(sa.select(sa.func.pg_try_advisory_xact_lock(SWEEP_LOCK))):
            return []
        doomed = _sight(session, _orphans(session, seen), runtime.settings.sweep_patience_seconds)
    return [orphan for orphan in doomed if _delete(runtime, orphan)]


def look(cloud: Cloud, territory: str) -> list[Seen]:
    """Everything in the members' projects that carries the territory's tag, in the order in which it could be deleted.

    Each project is looked at with a token of its own: no right over all projects is needed.
    """
    seen: list[Seen] = []
    for project_id in cloud.project_ids():
        try:
            seen += look_into(cloud.project(project_id), project_id, territory)
        except (CloudTokenLost, CloudNotFound) as error:
            # Deleted since it was listed, or no longer ours: nothing to sweep there now.
            log.info("project left out", project=project_id, code=error.code)
            cloud.forget(project_id)
    return seen


def look_into(project: Cloud, project_id: str, territory: str) -> list[Seen]:
    """Everything in one project that carries the territory's tag."""
    found = {kind: things(project, project_id) for kind, things in LIST.items()}
    copied = {copy.volume_id for copy in found["volume_snapshot"] if isinstance(copy, volumes.VolumeSnapshot)}
    return [
        Seen(kind, thing.id, project_id, thing.tag, held=kind == "volume" and thing.id in copied)
        for kind, things in found.items()
        for thing in things
        if thing.project_id == project_id and thing.tag and thing.tag.territory == territory
    ]


def _orphans(session: Session, seen: list[Seen]) -> list[Seen]:
    """What no living service owns, and no live flow works on, of the services that we know, and could go now."""
    refs = {thing.tag.service for thing in seen if _is_uuid(thing.tag.service)}
    known = {str(ref) for ref in session.scalars(sa.select(Service.ref).where(Service.ref.in_(refs)))}
    if strange := [thing.cloud_id for thing in seen if thing.tag.service not in known]:
        log.warning("tagged resources of services unknown here, left alone", ids=strange)
    living = sa.select(Resource.kind, Resource.cloud_id).join(Service, Service.id == Resource.service_id)
    living = living.where(Resource.deleted_at.is_(None), Service.state.not_in(("deleted", "failed")))
    owned = {(kind, cloud_id) for kind, cloud_id in session.execute(living)}
    flows = sa.select(Service.ref).join(Flow, Flow.service_id == Service.id).where(Flow.state.in_(FLOW_LIVE))
    busy = {str(ref) for ref in session.scalars(flows)}
    ours = [thing for thing in seen if thing.tag.service in known - busy]
    return [thing for thing in ours if (thing.kind, thing.cloud_id) not in owned and not thing.held]


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


def _sight(session: Session, orphans: list[Seen], patience: float) -> list[Seen]:
    """Write the first sighting of each orphan, forget what is no orphan any more; those seen long enough ago."""
    known = {(row.kind, row.cloud_id): row for row in session.scalars(sa.select(Sighting))}
    now = {(orphan.kind, orphan.cloud_id) for orphan in orphans}
    for key in known.keys() - now:
        session.delete(known[key])
    for orphan in orphans:
        session.execute(
            insert(Sighting)
            .values(kind=orphan.kind, cloud_id=orphan.cloud_id, project_id=orphan.project_id)
            .on_conflict_do_nothing()
        )
    ripe = datetime.now(UTC) - timedelta(seconds=patience)
    return [
        orphan
        for orphan in orphans
        if (row := known.get((orphan.kind, orphan.cloud_id))) is not None and row.first_seen_at <= ripe
    ]


def _delete(runtime: Runtime, orphan: Seen) -> bool:
    try:
        DELETE[orphan.kind](runtime.cloud.project(orphan.project_id), orphan.cloud_id)
    except CloudNotFound:
        pass  # somebody was faster
    except ClocherError as error:
        log.warning("not swept", kind=orphan.kind, id=orphan.cloud_id, code=error.code, detail=error.detail)
        return False
    with territory_session(runtime.engine, ACTOR) as session:
        events.record_deletion(session, orphan.kind, orphan.cloud_id, datetime.now(UTC))
        audit.record(
            session,
            "cloud.swept",
            f"{orphan.kind} {orphan.cloud_id}",
            detail={"project": orphan.project_id, "service": orphan.tag.service, "flow": orphan.tag.flow},
        )
    log.warning("swept", kind=orphan.kind, id=orphan.cloud_id, service=orphan.tag.service)
    return True
