"""What the owner of a service may ask for: each request queues one flow. The flow changes the service, not we.

What costs more or less is an order (`tenants.changes`); deleting has a time of grace (`tenants.deletions`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator import audit, services, snapshots
from orchestrator.errors import Conflict, InvalidInput, Text
from orchestrator.tables import FLOW_LIVE, Flow, Service, Snapshot
from tenants import carried, orders, parameters, quotas, reading, ssh_keys, starting

# What is asked for, the flow that does it, and the state through which the flow leads the service.
VERBS = {
    "stop": ("stop_server", "stopping"),
    "start": ("start_server", "starting"),
    "delete": ("delete_server", "deleting"),
}
CANCELLABLE = ("create_server",)  # what is half deleted or stopped is better ended than undone
LONGEST_NAME = 100  # characters of a snapshot's name


def ask(session: Session, service_id: int, verb: str) -> Flow:
    """Queue `stop`, `start` or `delete` (at once) of a service.

    Raises not_found, flow_running, not_allowed_now, service_protected (delete), deletion_planned (start).
    """
    service = reading.find(session, Service, service_id, lock=True)  # two requests at once: the second one waits
    starting.check_idle(session, service)
    kind, through = VERBS[verb]
    # A service left half way by a flow that failed may be asked again for the same.
    if service.state != through and through not in services.ALLOWED[service.state]:
        raise starting.not_allowed_now(service)
    if verb == "delete" and service.protected:
        raise starting.protected(service)
    if verb == "start" and service.delete_after is not None:
        raise starting.deletion_planned(service)
    return _queue(session, service, kind, {}, f"service.{verb}")


def _queue(session: Session, service: Service, kind: str, given: dict[str, Any], action: str, **detail: Any) -> Flow:
    """Queue a flow of a locked service, with its audit entry."""
    flow = starting.queue(session, service, kind, given, requested_by=session.info["actor"])
    audit.record(
        session, action, f"service {service.id}", member_id=service.member_id, detail={"flow": flow.id, **detail}
    )
    return flow


def _free(session: Session, service_id: int, *states: str, harmful: bool = False) -> Service:
    """The service, locked, if it may be acted on now. Raises not_found and what `starting.check_free` raises."""
    service = reading.find(session, Service, service_id, lock=True)
    starting.check_free(session, service, harmful=harmful)
    if states and service.state not in states:
        raise starting.not_allowed_now(service)
    return service


def reboot(session: Session, service_id: int, *, hard: bool = False) -> Flow:
    """Restart a running server: its system is asked to, or `hard`, its power is cut."""
    service = _free(session, service_id, "active")
    return _queue(session, service, "reboot_server", {"hard": hard}, "service.reboot", hard=hard)


def ask_for(session: Session, service_id: int, kind: str, action: str, *, harmful: bool = False, **given: Any) -> Flow:
    """Queue a flow of this kind on a running service; `given` are its parameters, and told in the audit entry.

    harmful: it takes something away. Raises not_found and what `starting.check_free` raises.
    """
    service = _free(session, service_id, "active", harmful=harmful)
    return _queue(session, service, kind, dict(given), action, **given)


def replace_keys(session: Session, service_id: int, keys: Sequence[str]) -> Flow:
    """Let these public keys in, and no others, on a running server. Raises invalid_ssh_key, invalid_keys."""
    if not 1 <= len(keys) <= parameters.MOST_KEYS:
        raise InvalidInput(
            "invalid_keys",
            Text("Il faut de 1 à {most} clés publiques.", most=parameters.MOST_KEYS),
            "Donnez une clé par ligne.",
        )
    read = list(dict.fromkeys(ssh_keys.read(line) for line in keys))
    service = _free(session, service_id, "active")
    return _queue(session, service, "replace_keys", {"ssh_keys": read}, "service.keys", keys=len(read))


def rename(session: Session, service_id: int, name: str) -> Flow:
    """Give a running server another name. Raises InvalidInput invalid_name or nothing_changes, Conflict name_taken."""
    if not parameters.NAME.fullmatch(name):
        raise InvalidInput(
            "invalid_name",
            "Un nom commence par une lettre et n’a que a-z, 0-9 et des tirets (40 au plus).",
            "Choisissez un autre nom.",
        )
    member_id = reading.find(session, Service, service_id).member_id
    quotas.lock(session, member_id)  # no order takes the name meanwhile
    service = _free(session, service_id, "active")
    if service.name == name:
        raise InvalidInput("nothing_changes", "Le service porte déjà ce nom.", "Donnez-en un autre.")
    if carried.copied_from(service) and not name.endswith(carried.SUFFIX):
        raise carried.invalid_name()
    orders.check_name(session, member_id, name)
    return _queue(session, service, "rename_server", {"name": name}, "service.rename_asked", name=name)


def protect(session: Session, service_id: int, on: bool) -> Service:
    """Protect a service from what would take something away, or lift that; nothing happens when it is so already."""
    service = reading.find(session, Service, service_id, lock=True)
    if service.protected != on:
        service.protected = on
        session.flush()
        action = "service.protect" if on else "service.unprotect"
        audit.record(session, action, f"service {service.id}", member_id=service.member_id)
    return service


def snapshot(
    session: Session, service_id: int, name: str, *, most: int, scheduled: bool = False
) -> tuple[Snapshot, Flow]:
    """Keep a service as it is now under a name. `most`: how many a service may have.

    Raises InvalidInput invalid_name, Conflict snapshot_quota and what `starting.check_free` raises.
    """
    service = _free(session, service_id)
    made = _declare(session, service, name, most, scheduled=scheduled)
    given = {"snapshot_id": made.id}
    return made, _queue(session, service, "snapshot_server", given, "snapshot.make", snapshot=made.id, name=made.name)


def upgrade(
    session: Session, service_id: int, wanted: dict[str, Any], version: str, kept_as: str, *, most: int
) -> Flow:
    """Bring a running application to a version, with all that `wanted` changes in its specification.

    What is there today is kept first, as a snapshot of which the service may have `most`: what failed goes back to it.
    Raises snapshot_quota and what `starting.check_free` raises.
    """
    service = _free(session, service_id, "active")
    kept = _declare(session, service, kept_as, most)
    given = {"snapshot_id": kept.id, "safety_id": kept.id, "wanted": wanted}
    return _queue(session, service, "upgrade_service", given, "service.upgrade", version=version, snapshot=kept.id)


def _declare(session: Session, service: Service, name: str, most: int, *, scheduled: bool = False) -> Snapshot:
    name = name.strip()
    if not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
        raise InvalidInput(
            "invalid_name", "Le nom d’un instantané a de 1 à 100 caractères.", "Choisissez un autre nom."
        )
    kept = count_snapshots(session, service.id)
    if kept >= most:
        raise starting.snapshot_quota(service, kept, most)
    return snapshots.declare(session, service, name, scheduled=scheduled)


def count_snapshots(session: Session, service_id: int) -> int:
    """How many snapshots of a service exist or are being made."""
    query = sa.select(sa.func.count()).where(
        Snapshot.service_id == service_id, Snapshot.state.not_in(("deleted", "failed"))
    )
    return session.scalar(query) or 0


def delete_snapshot(session: Session, service_id: int, snapshot_id: int) -> Flow:
    """Delete a snapshot for good. Raises snapshot_not_found, snapshot_state or flow_running."""
    service = reading.find(session, Service, service_id, lock=True)
    if service.state not in ("active", "stopped"):
        raise starting.not_allowed_now(service)
    starting.check_idle(session, service)
    found = _ready(session, service, snapshot_id)
    given = {"snapshot_id": found.id}
    return _queue(session, service, "delete_snapshot", given, "snapshot.delete", snapshot=found.id, name=found.name)


def restore(
    session: Session,
    service_id: int,
    snapshot_id: int,
    *,
    volumes: bool = False,
    safety: str | None = None,
    most: int = 0,
) -> Flow:
    """Bring a running service back to a snapshot: what changed since is lost (`tenants.restoring` tells).

    volumes: its data volumes too, those of which the snapshot holds a copy; safety: keep what is there today first, as
    a snapshot of this name, of which the service may have `most`. Raises snapshot_not_found, snapshot_state,
    no_volume_copies, service_protected, invalid_name, snapshot_quota and what `starting.check_free` raises.
    """
    service = _free(session, service_id, "active", harmful=True)
    found = _ready(session, service, snapshot_id)
    given: dict[str, Any] = {"snapshot_id": found.id}
    if volumes:
        given["volumes"] = _copied(session, found)
    if safety is not None:
        given["safety_id"] = _declare(session, service, safety, most).id
    more = {key: given[key] for key in ("volumes", "safety_id") if key in given}
    return _queue(
        session, service, "restore_server", given, "service.restore", snapshot=found.id, name=found.name, **more
    )


def _copied(session: Session, snapshot: Snapshot) -> list[str]:
    found = snapshots.volumes_of(session, snapshot)
    if not found:
        raise Conflict(
            "no_volume_copies",
            Text("L’instantané « {name} » ne garde aucun volume de données.", name=snapshot.name),
            "Restaurez le disque du système seulement.",
        )
    return found


def _ready(session: Session, service: Service, snapshot_id: int) -> Snapshot:
    found = snapshots.find(session, min(snapshot_id, reading.BEYOND), service.id)
    if found.state != "ready":
        raise Conflict(
            "snapshot_state",
            Text("L’instantané « {name} » n’est pas prêt.", name=found.name),
            "Choisissez-en un autre.",
            facts={"state": found.state},
        )
    return found


def cancellable(session: Session, flow_id: int, *, lock: bool = False) -> Flow:
    """The flow, when it may be cancelled now. Raises not_found, Conflict flow_ended or not_cancellable."""
    flow = reading.find(session, Flow, flow_id, lock=lock)
    if flow.state not in FLOW_LIVE:
        raise Conflict("flow_ended", "Cette opération est déjà finie.", "Voyez l’état du service.")
    if flow.kind not in CANCELLABLE and flow.state != "held":
        raise Conflict("not_cancellable", "Seule une création s’annule.", "Attendez la fin, puis agissez à nouveau.")
    return flow


def cancel(session: Session, flow_id: int) -> Flow:
    """Ask a live flow to stop and undo what it made: one that is held does so at once, others before their next step.

    Raises what `cancellable` does.
    """
    flow = cancellable(session, flow_id, lock=True)
    if not flow.cancel_requested:
        flow.cancel_requested = True
        session.flush()
        audit.record(session, "flow.cancel", f"flow {flow.id}", member_id=flow.member_id)
    return flow
