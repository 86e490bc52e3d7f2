"""The steps inside the guest: Ansible configures it, then it must answer as what it should be."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy.dialects.postgresql import insert

from orchestrator import ansible, events, readiness
from orchestrator.ansible import PlayEvent
from orchestrator.ssh import Guest
from orchestrator.steps import Run, Write, nothing
from orchestrator.tables import AnsibleEvent, Service


def configure(run: Run) -> Write:
    """Run the offer's play in the guest; each of its events is stored as it comes."""
    settings, guest = run.runtime.settings, _guest(run)
    readiness.wait_for_ssh(settings, guest.address)

    def store(event: PlayEvent) -> None:
        run.check()
        with run.session() as session:
            session.execute(insert(AnsibleEvent).values(**_row(run, event)).on_conflict_do_nothing())

    ansible.configure(settings, run.specification["play"], guest, _variables(run), store)
    return nothing


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
