"""The steps inside the guest: Ansible configures it, then it must answer as what it should be."""

from __future__ import annotations

import time
from typing import Any
from uuid import UUID

from sqlalchemy.dialects.postgresql import insert

from orchestrator import ansible, events, readiness
from orchestrator.ansible import PlayEvent
from orchestrator.errors import Unavailable, WaitedTooLong
from orchestrator.ssh import Guest
from orchestrator.steps import Run, Write, nothing
from orchestrator.tables import AnsibleEvent, Service

PAUSE_SECONDS = 1.0  # before a play is run again in a guest that went away
ANSWERED = {"ok", "changed", "failed", "ignored"}  # outcomes of a task that the guest has run


def configure(run: Run) -> Write:
    """Run the offer's play in the guest; each of its events is stored as it comes.

    A guest that goes away meanwhile is waited for and the play run again, until the step's one deadline.
    """
    guest, variables, answers = _guest(run), _variables(run), Answers(run)
    while True:
        readiness.wait_for_ssh(guest.address, answers.seconds_left())
        try:
            play, seconds = run.specification["play"], answers.seconds_of_step()
            ansible.configure(run.runtime.settings, play, guest, variables, answers.take, seconds=seconds)
            return nothing
        except Unavailable as error:
            if error.code != "guest_unreachable":
                raise
            if answers.seconds_left() < PAUSE_SECONDS:
                raise WaitedTooLong(error.code, error.sentence, readiness.AGAIN, detail=error.detail) from error
        run.check()
        time.sleep(PAUSE_SECONDS)


class Answers:
    """What a guest answers to its play, stored as it comes, and how long it may still be silent."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.last = time.monotonic()

    def take(self, event: PlayEvent) -> None:
        """Store an event of the play; the flow's cancellation stops the play here."""
        if event.outcome in ANSWERED:
            self.last = time.monotonic()
        self.run.check()
        with self.run.session() as session:
            session.execute(insert(AnsibleEvent).values(**_row(self.run, event)).on_conflict_do_nothing())

    def seconds_of_step(self) -> float:
        """Until the step's deadline."""
        return max(0.0, self.run.began + self.run.runtime.settings.configure_timeout - time.monotonic())

    def seconds_left(self) -> float:
        """Until the guest has been silent for too long, or the step's deadline."""
        silence = self.last + self.run.runtime.settings.ssh_timeout - time.monotonic()
        return max(0.0, min(silence, self.seconds_of_step()))


def check_health(run: Run) -> Write:
    """The guest answers, tells its own name and has its data volume."""
    readiness.check_health(run.runtime.settings, _guest(run), _variables(run))
    return nothing


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


def _guest(run: Run) -> Guest:
    with run.session() as session:
        address = session.get_one(Service, run.owner.service_id).address
    return Guest(address=address or "", hostname=run.facts["name"], ref=UUID(run.facts["ref"]))


def _variables(run: Run) -> dict[str, Any]:
    variables = {"admin": run.specification["admin"], "ssh_keys": run.specification["ssh_keys"]}
    with run.session() as session:
        volume = events.find_resource(session, run.owner.service_id, "volume")
    return variables | ({"data_volume": volume.cloud_id} if volume else {})
