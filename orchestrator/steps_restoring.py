"""The steps that bring data volumes back to a snapshot: each is copied anew and takes the place of the present one.

A new volume stands beside the old one, under a role of its own (`restored-<flow>/<role>`), until the two change places.
Their meters change hands in the instant in which the flow ends: the usage of one goes on where the other's ends.
The old one has no living row then. Cinder lets no volume go of which there are snapshots, so the sweeper deletes it
as soon as none is left.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy.orm import Session

from orchestrator import cloud_volumes as volumes
from orchestrator import events
from orchestrator import steps_resources as resources
from orchestrator import steps_volumes as data
from orchestrator.errors import CloudError
from orchestrator.events import Size
from orchestrator.steps import Run, Write
from orchestrator.steps_snapshots import volume_role


def new_role(run: Run, role: str) -> str:
    """The role of the volume that is to take the place of the one that has `role`."""
    return f"restored-{run.flow_id}/{role}"


def old_role(run: Run, role: str) -> str:
    """The role of the one whose place it took."""
    return f"replaced-{run.flow_id}/{role}"


def copy_volume(run: Run, *, role: str) -> Write:
    """Have a new volume made of the snapshot's copy, as big as the present one, and wait until it is."""
    found = resources.find(run, "volume", volumes.get_volume, volumes.find_volume, new_role(run, role))
    if found is None:
        copy = resources.known(run, "volume_snapshot", volume_role(run.parameters["snapshot_id"], role))
        name, gib = f"{run.facts['name']}-{new_role(run, role)}", data.size_of(run, role)
        found = volumes.create_volume(run.cloud, name, gib, tag=run.tag(new_role(run, role)), snapshot_id=copy)
    volume_id = found.id
    made = data.at_rest(run, volume_id)
    if made.status not in ("available", "in-use"):
        raise CloudError(
            "volume_not_restored",
            "Le nuage n’a pas pu refaire un volume de données depuis l’instantané.",
            "La DSI s’en occupe ; vos données d’aujourd’hui ne sont pas touchées.",
            detail=f"volume {volume_id} is {made.status}",
        )
    return lambda session: resources.keep(session, run, "volume", volume_id, new_role(run, role))


def change_places(run: Run, *, roles: list[str]) -> Write:
    """From now on the new volumes are the service's."""

    def write(session: Session) -> None:
        for role in roles:
            _pass_on(session, run, role, to=old_role(run, role), taken_by=new_role(run, role))

    return write


def changed_places(run: Run, roles: list[str]) -> bool:
    """Whether the new volumes have taken their places already."""
    return any(resources.row_id(run, "volume", old_role(run, role)) for role in roles)


def change_back(run: Run, *, roles: list[str]) -> Write:
    """The old volumes are the service's again."""

    def write(session: Session) -> None:
        for role in roles:
            _pass_on(session, run, role, to=new_role(run, role), taken_by=old_role(run, role))

    return write


def _pass_on(session: Session, run: Run, role: str, *, to: str, taken_by: str) -> None:
    """The volume that has a role gets the role `to`, and the one of the role `taken_by` takes its own; only once."""
    service_id = run.owner.service_id
    present = events.find_resource(session, service_id, "volume", role)
    following = events.find_resource(session, service_id, "volume", taken_by)
    if present is None or following is None:
        return
    present.role = to
    session.flush()  # no two living ones ever have the same role
    following.role = role
    session.flush()


def settle(run: Run, *, roles: list[str]) -> Write:
    """The meters of the new volumes begin at the instant at which those of the old ones end."""
    at = datetime.now(UTC)

    def write(session: Session) -> None:
        for role in roles:
            old = events.find_resource(session, run.owner.service_id, "volume", old_role(run, role))
            if old is not None:
                events.record_deletion(session, "volume", old.cloud_id, at, flow_id=run.flow_id)
            resources.tell(session, run, "volume", "created", at, Size(disk_gib=data.size_of(run, role)), role)

    return write
