"""The step that proves a backup: the application is built anew elsewhere, given its data back, and nothing is missing.

All of it is one step: a worker that takes it over clears what the other one left in the cloud, and begins again.
"""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from orchestrator import backups, readiness, trial
from orchestrator import steps_backups as keeping
from orchestrator import steps_copying as copying
from orchestrator import steps_guest as guest
from orchestrator import steps_stack as stack
from orchestrator.ansible import Outcome
from orchestrator.errors import ClocherError
from orchestrator.steps import Run, Write
from orchestrator.tables import Member
from orchestrator.tables_backups import Backup
from orchestrator.trial import Machine, Trial

GIB = 1 << 30


def try_out(run: Run) -> Write:
    """Restore the backup in a guest like the service's own. The service itself is neither asked nor told anything."""
    vault, backup = keeping.restored_from(run)
    started = time.monotonic()
    try:
        with trial.opened(run.runtime.settings, _name(run), _subnets(run)) as place:
            _restore(run, place, vault, backup)
            seconds = time.monotonic() - started
    except ClocherError as error:
        if error.retryable:  # it says nothing of the backup
            raise
        raise ClocherError(
            "proof_failed", "La restauration d’essai a échoué : rien ne prouve que cette sauvegarde est bonne.",
            "La DSI en a le détail ; le service n’a pas été touché.", detail=f"{error.code}: {error.detail}",
        ) from error  # fmt: skip
    at = datetime.now(UTC)
    return lambda session: backups.prove(session, backup.id, at, seconds)


def give_up(run: Run) -> Write:
    """Leave nothing of the trial, and say that there is no proof."""
    trial.remove(run.runtime.settings, _name(run))
    backup_id, at = run.parameters["backup_id"], datetime.now(UTC)
    return lambda session: backups.refute(session, backup_id, at)


def _name(run: Run) -> str:
    return f"trial-{run.runtime.settings.territory}-{run.flow_id}"


def _subnets(run: Run) -> list[str]:
    query = sa.select(Member.subnet_cidr).where(Member.subnet_cidr.is_not(None))
    with run.session() as session:
        return [cidr for cidr in session.scalars(query) if cidr]


def _restore(run: Run, place: Trial, vault: dict[str, Any], backup: Backup) -> None:
    wanted = run.specification
    machine = trial.build(place, run.facts["name"], wanted["flavor"], _room(run, backup), wanted["image"])
    _play(run, place, machine, "site")
    within = run.runtime.settings.backup_timeout
    _play(run, place, machine, "restore", within=within, vault=vault, archive=backup.archive)
    if stack.runs_one(run):
        # Counted before anybody asks it something: that may be counted too.
        copying.compare(run, backup, stack.counted(_play(run, place, machine, "usage")))
    readiness.check_health(place.settings, machine.guest, [str(volume["mount"]) for volume in machine.volumes])
    if stack.runs_one(run):
        stack.ask(run, machine.guest.address)


def _room(run: Run, backup: Backup) -> int:
    """GiB of the volume: an application's own, and for a machine's files as much as they take."""
    return int(run.specification["disk_gib"]) if stack.runs_one(run) else (backup.bytes or 0) // GIB + 2


def _play(run: Run, place: Trial, machine: Machine, act: str, *, within: float | None = None, **more: Any) -> Outcome:
    """Run a play of the stack in the trial's guest as in the service's own, for as long as it may take there."""
    there = replace(run, runtime=replace(run.runtime, settings=place.settings), began=time.monotonic())
    # No keys: the member's people have no business in there.
    own = {"admin": run.specification["admin"], "ssh_keys": [], "volumes": list(machine.volumes)}
    given = own | stack.variables(run) | more
    if "entry" in given:  # one that leads nowhere: no authority is asked to certify it
        given["entry"] |= {"routes": []}
    return guest.perform_in(there, machine.guest, run.specification["play"], act, given, within=within)
