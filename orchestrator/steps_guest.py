"""The steps inside the guest: Ansible configures it, then it must answer as what it should be."""

from __future__ import annotations

import time
from typing import Any
from uuid import UUID

import sqlalchemy as sa
import structlog
from sqlalchemy.dialects.postgresql import insert

from orchestrator import ansible, readiness, ssh
from orchestrator.ansible import Outcome, PlayEvent
from orchestrator.errors import ClocherError, Conflict, Unavailable, WaitedTooLong
from orchestrator.ssh import Guest
from orchestrator.steps import Run, Write, nothing
from orchestrator.tables import AnsibleEvent, Resource, Service

log = structlog.get_logger()

PAUSE_SECONDS = 1.0  # before a play is run again in a guest that went away
ANSWERED = {"ok", "changed", "failed", "ignored"}  # outcomes of a task that the guest has run
OURS = "Validating arguments"  # how the names of tasks begin that Ansible runs here, without asking the guest


def mount_volumes(run: Run, *, without: str | None = None) -> Write:
    """Have the guest mount the service's data volumes at their whole size, and no other, nor that of a role."""
    return play(run, "volumes", volumes=_volumes(run, without))


def unmount_volume(run: Run, *, role: str) -> Write:
    """Have the guest let go of the volume of a role. Raises Conflict `volume_busy` when it does not."""
    try:
        return mount_volumes(run, without=role)
    except ClocherError as error:
        if error.code != "play_failed":
            raise
        raise volume_busy(error.detail) from error


def volume_busy(detail: str) -> Conflict:
    """The error for a volume that programs of the guest still use."""
    return Conflict(
        "volume_busy",
        "Le volume est en cours d’utilisation dans la machine.",
        "Arrêtez les programmes qui l’utilisent, puis recommencez.",
        detail=detail,
    )


def write_keys(run: Run) -> Write:
    """Let the new keys, and only these, open the member's account."""
    return play(run, "keys", ssh_keys=run.parameters["ssh_keys"])


def restore_keys(run: Run) -> Write:
    """Let the former keys open the member's account."""
    return play(run, "keys")


def rename(run: Run) -> Write:
    """Give the guest its new host name."""
    return play(run, "rename", hostname=run.parameters["name"])


def restore_name(run: Run) -> Write:
    """Give the guest its former host name back."""
    return play(run, "rename")


def play(run: Run, name: str, *, hostname: str | None = None, **changes: Any) -> Write:
    """Run the play `name` in the guest with the service's variables, some of them changed."""
    perform(run, name, hostname=hostname, **changes)
    return nothing


def perform(
    run: Run,
    name: str,
    act: str = "site",
    *,
    hostname: str | None = None,
    within: float | None = None,
    check: bool = False,
    **changes: Any,
) -> Outcome:
    """Run `<act>.yml` of a play in the guest, with the service's variables, some of them changed or more.

    hostname: when it has another than the flow found; within: seconds, check: as for `perform_in`.
    """
    return perform_in(run, reached(run, hostname), name, act, _variables(run) | changes, within=within, check=check)


def perform_in(
    run: Run,
    guest: Guest,
    name: str,
    act: str,
    variables: dict[str, Any],
    *,
    within: float | None = None,
    check: bool = False,
) -> Outcome:
    """Run `<act>.yml` of a play in a guest, in the name of the flow's service, with just these variables.

    A guest that goes away meanwhile is waited for and the play run again, until the step's one deadline: `within`
    seconds of its beginning, or as long as configuring may take. check: only say what the play would change.
    """
    settings, owner = run.runtime.settings, UUID(run.facts["ref"])
    heard = Answers(run, within or settings.configure_timeout)
    while True:
        readiness.wait_for_ssh(guest.address, heard.seconds_left())
        try:
            seconds = heard.seconds_of_step()
            return ansible.configure(
                settings, name, guest, variables, heard.take, act=act, seconds=seconds, owner=owner, check=check
            )
        except Unavailable as error:
            if error.code != "guest_unreachable":
                raise
            if heard.seconds_left() < PAUSE_SECONDS:
                raise WaitedTooLong(error.code, error.sentence, readiness.AGAIN, detail=error.detail) from error
        run.check()
        time.sleep(PAUSE_SECONDS)


class Answers:
    """What a guest answers to its play, stored as it comes, and how long it may still be silent."""

    def __init__(self, run: Run, within: float) -> None:
        self.run, self.within = run, within
        self.last = time.monotonic()

    def take(self, event: PlayEvent) -> None:
        """Store an event of the play; the flow's cancellation stops the play here."""
        if event.outcome in ANSWERED and not (event.task or "").startswith(OURS):
            self.last = time.monotonic()
        self.run.check()
        with self.run.session() as session:
            session.execute(insert(AnsibleEvent).values(**_row(self.run, event)).on_conflict_do_nothing())

    def seconds_of_step(self) -> float:
        """Until the step's deadline."""
        return max(0.0, self.run.began + self.within - time.monotonic())

    def seconds_left(self) -> float:
        """Until the guest has been silent for too long, or the step's deadline."""
        silence = self.last + self.run.runtime.settings.ssh_timeout - time.monotonic()
        return max(0.0, min(silence, self.seconds_of_step()))


def flush(run: Run) -> Write:
    """Have the guest write what it holds in memory to its disks. One that does not answer is kept as its disks are."""
    try:
        ssh.run(run.runtime.settings, reached(run), "sync")
    except ClocherError as error:
        log.warning("not flushed", flow=run.flow_id, code=error.code, detail=error.detail)
    return nothing


def check_health(run: Run, *, hostname: str | None = None) -> Write:
    """The guest answers, tells its own name and has its data volumes."""
    settings, guest = run.runtime.settings, reached(run, hostname)
    readiness.wait_for_ssh(guest.address, settings.ssh_timeout)
    readiness.check_health(settings, guest, [volume["mount"] for volume in _volumes(run)])
    return nothing


def expect(run: Run) -> None:
    """Wait for the guest that boots again. One that stays silent is told in the log."""
    settings, guest = run.runtime.settings, reached(run)
    try:
        readiness.wait_for_ssh(guest.address, settings.ssh_timeout)
    except ClocherError as error:
        log.error("silent after its size was given back", flow=run.flow_id, code=error.code, detail=error.detail)


def answers(run: Run) -> bool:
    """Whether the guest is one that we configure, and is on."""
    return bool(run.specification["play"]) and run.facts["began_from"] != "stopped"


def _row(run: Run, event: PlayEvent) -> dict[str, Any]:
    return {
        "flow_id": run.flow_id,
        "member_id": run.owner.member_id,
        "uuid": event.uuid,
        "event": event.event,
        "task": event.task,
        "outcome": event.outcome,
        "message": event.message,
    }


def address(run: Run) -> str:
    """Where the guest is reached."""
    with run.session() as session:
        return session.get_one(Service, run.owner.service_id).address or ""


def reached(run: Run, hostname: str | None = None) -> Guest:
    """The service's guest, as SSH reaches it. hostname: when it has another than the flow found."""
    return Guest(address=address(run), hostname=hostname or run.facts["name"], ref=UUID(run.facts["ref"]))


def _variables(run: Run) -> dict[str, Any]:
    return {
        "admin": run.specification["admin"],
        "ssh_keys": run.specification["ssh_keys"],
        "volumes": _volumes(run),
    }


def _volumes(run: Run, without: str | None = None) -> list[dict[str, Any]]:
    """The service's data volumes: Cinder's id, where it is mounted, its size in GiB."""
    query = sa.select(Resource.role, Resource.cloud_id).where(
        Resource.service_id == run.owner.service_id, Resource.kind == "volume", Resource.deleted_at.is_(None),
        ~Resource.role.contains("/"),  # that one is another's, until or since the two changed places
    )  # fmt: skip
    with run.session() as session:
        found = session.execute(query.order_by(Resource.id)).all()
    return [
        {"id": cloud_id, "mount": mount_point(role), "gib": _size(run, role)}
        for role, cloud_id in found
        if role != without
    ]


def mount_point(role: str) -> str:
    """Where the guest has the volume of a role."""
    return "/data" if role == "main" else f"/srv/{role}"


def _size(run: Run, role: str) -> int:
    wanted = run.parameters
    if wanted.get("role") == role and "disk_gib" in wanted:
        return int(wanted["disk_gib"])
    specified = run.specification
    return int(specified["disk_gib"] if role == "main" else specified.get("volumes", {})[role]["disk_gib"])
