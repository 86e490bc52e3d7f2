"""The steps by which the territory's entry is made, learns of an application and forgets it again."""

from __future__ import annotations

from typing import Any

import structlog
from sqlalchemy.orm import Session

from orchestrator import entry, entry_certificates, readiness, services
from orchestrator import steps_guest as guest
from orchestrator.errors import ClocherError, Conflict
from orchestrator.steps import Run, Write, nothing
from orchestrator.tables import Flow, Member, Service

log = structlog.get_logger()


def is_entry(run: Run) -> bool:
    """Whether the service is the territory's entry."""
    return bool(run.specification.get("stack", {}).get("provides") == "entry")


def has_web(run: Run) -> bool:
    """Whether the service runs an application that has a face for the web."""
    return bool(run.specification.get("stack", {}).get("web"))


def configure(run: Run, given: dict[str, Any]) -> Write:
    """Make or mend the entry, with all that it has to lead to; nobody else tells it anything meanwhile."""
    domain = run.runtime.settings.entry_domain
    if not domain:
        raise ClocherError(
            "no_entry_domain",
            "L’entrée web n’a pas de domaine.",
            "La DSI règle CLOCHER_ENTRY_DOMAIN pour les exécutants, puis reprend l’opération.",
        )
    trusted = entry_certificates.trusted(run.runtime.settings.entry_authority)
    with entry.turn(run.runtime.engine, run.check):
        with run.session() as session:
            _refuse_second(entry.find(session), run)
            routes = entry.wanted(session, domain)
        told = guest.perform(run, run.specification["play"], **given | entry.variables(domain, routes, trusted))
        authority, certificates = told.result.get("authority") or None, told.result.get("certificates", [])
        with run.session() as session:
            entry.keep(session, run.owner.service_id, domain, authority, routes, certificates)
    return nothing


def _refuse_second(known: entry.Known | None, run: Run) -> None:
    if known and known.service_id != run.owner.service_id:
        raise Conflict("entry_taken", "Le territoire a déjà une entrée web.", "Supprimez l’autre d’abord.")


def forget(run: Run) -> Write:
    """It is no entry any more."""
    return lambda session: entry.forget(session, run.owner.service_id)


def lead(run: Run) -> Write:
    """The entry leads to the application, at its name."""
    entry.settle(run.runtime, run.check)
    return nothing


def tell(run: Run) -> Write:
    """As `lead`; an entry that can't be told stands in nobody's way: the worker's duty tells it later."""
    try:
        return lead(run)
    except ClocherError as error:
        log.warning("entry not told", flow=run.flow_id, code=error.code, detail=error.detail)
        return nothing


def take_name(run: Run) -> Write:
    """The service has its new name, and its address with it. The flow keeps the former one for what may undo it."""

    def write(session: Session) -> None:
        flow = session.get_one(Flow, run.flow_id)
        flow.parameters = flow.parameters | {"former": run.facts["name"]}
        services.rename(session, run.owner.service_id, run.parameters["name"], flow_id=run.flow_id)

    return write


def give_name_back(run: Run) -> Write:
    """The service has its former name, and its address with it."""
    return lambda session: services.rename(session, run.owner.service_id, run.facts["name"], flow_id=run.flow_id)


def check_address(run: Run) -> Write:
    """The application answers at its address as the web asks for it: by its name, through the entry, over TLS.

    A public authority certifies only what the whole world can look up, which is not for us to wait for; nor is one that
    refused: the DSI is told.
    """
    with run.session() as session:
        found = entry.find(session)
        host = _host(session, run, found.domain) if found else ""
    missing = found and any(one["host"] == host and not one["until"] for one in found.certificates)
    if found and found.state == "active" and found.authority and not missing:
        web = run.specification["stack"]["web"]
        readiness.check_url(found.address, host, found.authority, web["path"], web.get("title_contains"))
    return nothing


def _host(session: Session, run: Run, domain: str) -> str:
    service = session.get_one(Service, run.owner.service_id)
    return entry.host(service.name, session.get_one(Member, service.member_id).slug, domain)
