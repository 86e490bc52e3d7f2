"""The steps that make a guest what was ordered; of a stack also its secrets, and whether the application is well."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from orchestrator import entry, readiness, service_secrets, steps_entry
from orchestrator import steps_guest as guest
from orchestrator.ansible import Outcome
from orchestrator.errors import ClocherError
from orchestrator.steps import Run, Write, nothing
from orchestrator.tables import Member


def runs_one(run: Run) -> bool:
    """Whether the service runs a stack."""
    return "stack" in run.specification


def make_secrets(run: Run) -> Write:
    """Make the secrets that the stack wants; those that are there stay."""
    declared = run.specification["stack"]["secrets"]
    return lambda session: service_secrets.make(session, run.runtime.settings, run.owner, declared)


def forget_secrets(run: Run) -> Write:
    """Drop the secrets of a service that is gone, or never was."""
    return lambda session: service_secrets.forget(session, run.owner.service_id)


def propose_secret(run: Run) -> Write:
    """Make what is to take a secret's place."""
    name, settings = run.parameters["secret"], run.runtime.settings
    length = service_secrets.length_of(run.specification, name)
    return lambda session: service_secrets.propose(session, settings, run.owner.service_id, name, length)


def withdraw_secret(run: Run) -> Write:
    """Leave a secret as it was."""
    return lambda session: service_secrets.withdraw(session, run.owner.service_id, run.parameters["secret"])


def adopt_secret(run: Run, session: Session) -> None:
    """The new secret is the service's, from now on."""
    service_secrets.adopt(session, run.owner, run.parameters["secret"])


def configure(run: Run, *, renewed: str = "", name: str | None = None) -> Write:
    """Run the service's play in the guest; each of its events is stored as it comes.

    renewed: the secret of which the new one is given; name: the service's new one.
    """
    given = variables(run, renewed, name)
    if steps_entry.is_entry(run):
        return steps_entry.configure(run, given)
    return guest.play(run, run.specification["play"], hostname=name, **given)


def variables(run: Run, renewed: str = "", name: str | None = None) -> dict[str, Any]:
    """What plays of a stack are given beside the variables of every play; secrets are masked in what comes back."""
    if not runs_one(run):
        return {}
    name = name or run.facts["name"]
    wanted, settings = run.specification, run.runtime.settings
    with run.session() as session:
        member = session.get_one(Member, run.owner.member_id)
        host = entry.host_of(session, name, member.slug) if wanted["stack"].get("web") else ""
        secrets = service_secrets.opened(session, settings, run.owner.service_id, renewed=renewed)
        return {
            "member": {"slug": member.slug, "name": member.name, "siret": member.siret},
            # Without an entry it has no name of its own: plays make their addresses from where they are asked.
            "service": {
                "name": name, "ref": run.facts["ref"], "host": host, "url": host and f"https://{host}/",
                "test": "copy_of" in wanted,  # it must not write to people as if it were the real one
            },
            "answers": wanted["answers"],
            "secrets": secrets,
            "version": wanted["stack"]["version"],
            "sources": settings.sources_of(wanted["stack"]["slug"]),
            "operation": run.operation,
        } | entry.variables_of(session, run.owner.service_id)  # fmt: skip


def check_health(run: Run) -> Write:
    """The application answers as its stack says."""
    ask(run, guest.address(run))
    return nothing


def ask(run: Run, address: str) -> None:
    """Ask the application at an address what its stack says. Raises what `readiness.check_web` raises."""
    for check in run.specification["stack"]["health"]:
        readiness.check_web(address, **check)


def counted(outcome: Outcome) -> dict[str, int]:
    """The business meters that the play `usage` gave back. Raises `usage_missing` when they are no whole numbers."""
    meters = outcome.result.get("meters")
    if not isinstance(meters, dict) or not all(type(number) is int for number in meters.values()):
        raise ClocherError(
            "usage_missing", "L’application n’a pas compté ce qu’elle contient.", "Prévenez la DSI.",
            detail=f"usage.yml: meters {meters}",
        )  # fmt: skip
    return meters
