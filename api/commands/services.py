"""`clocher services`."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from api import words
from api.asking import confirm, yes_option
from api.commands import services_backups, services_copies, services_exports
from api.commands.services_day2 import COMMANDS, tell_flow
from api.formats import cell
from api.output import json_option, print_json, print_rows
from api.staff import staff_session
from orchestrator import settings
from orchestrator.tables import Flow, Service
from tenants import addresses, applications, deletions, operations, reading

service_argument = click.argument("service_id", type=click.IntRange(1, 2**63 - 1))


@click.group("services", short_help="What members own: list, operate, change, delete.")
def command() -> None:
    """What members own."""


@command.command("list")
@click.option("--member", help="Of this member only.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1000), help="How many at most.")
@click.option("--after", type=click.IntRange(1, 2**63 - 1), help="Services older than this one.")
@click.option("--all", "everything", is_flag=True, help="Deleted and failed ones too.")
@json_option
def list_(member: str | None, limit: int, after: int | None, everything: bool, as_json: bool) -> None:
    """The living services, newest first."""
    with staff_session() as session:
        rows, _ = reading.page(session, Service, after=after, limit=limit, member=member, living=not everything)
    print_services(rows, as_json)


def print_services(rows: list[dict[str, Any]], as_json: bool) -> None:
    """Services as a table."""
    print_rows(
        rows,
        [("id", "N°"), ("member", "Membre"), ("name", "Nom"), ("state", "État", "service"), ("address", "Adresse"),
         ("public_address", "Adresse publique")],
        as_json=as_json,
        empty="Aucun service. Commandez-en un : clocher orders place --help",
    )  # fmt: skip


@command.command()
@service_argument
@json_option
def show(service_id: int, as_json: bool) -> None:
    """One service and what happened to it."""
    with staff_session() as session:
        service = reading.show(session, Service, service_id)
        events = reading.events(session, service_id)
        seen = (session, reading.find(session, Service, service_id), datetime.now(UTC), settings.load().timezone)
        found, runs = addresses.of(*seen), applications.of(*seen)
    tell(service, events, found.url if found else None, asdict(runs) if runs else None, as_json)


def tell(
    service: dict[str, Any], events: list[dict[str, Any]], url: str | None, runs: dict[str, Any] | None, as_json: bool
) -> None:
    """One service and what happened to it. url: where the web finds what it runs; runs: what that is."""
    if as_json:
        print_json({**service, "ref": str(service["ref"]), "url": url, "application": runs, "events": events})
        return
    size = f"{service['specification']['vcpus']} vCPU, {service['specification']['ram_mib']} Mio"
    click.echo(f"{service['name']} ({service['member']}) : {words.french(service['state'], 'service')}, {size}")
    if runs:
        _tell_application(runs)
    if url:
        click.echo(f"Adresse web {url}")
    click.echo(f"Adresse {cell(service['address'])}, adresse publique {cell(service['public_address'])}")
    print_rows(
        events,
        [("at", "Quand"), ("resource", "Ressource"), ("kind", "Événement")],
        as_json=False,
        empty="Rien ne lui est encore arrivé.",
    )


def _tell_application(runs: dict[str, Any]) -> None:
    """What it runs, its last days, and how old the oldest is that it keeps."""
    called = f" ({runs['upstream']})" if runs["upstream"] else ""
    click.echo(f"Version {runs['version']}{called}{'' if runs['offered'] else ', retirée du catalogue'}")
    for one in runs["deadlines"]:
        click.echo(f"{one['label']['fr']} : {cell(one['day'])}, {words.french(one['state'], 'deadline')}")
    if oldest := runs["oldest"]:
        click.echo(f"{oldest['label']['fr']} : {oldest['allowed']}")
        seen = f"{cell(oldest['days'])}, {words.french(oldest['state'], 'oldest')}"
        click.echo(f"Jours du plus ancien : {seen} (compté : {cell(oldest['at'])})")


@command.command()
@service_argument
@json_option
def stop(service_id: int, as_json: bool) -> None:
    """Ask for a server to be stopped."""
    _ask(service_id, "stop", as_json)


@command.command()
@service_argument
@json_option
def start(service_id: int, as_json: bool) -> None:
    """Ask for a server to be started."""
    _ask(service_id, "start", as_json)


@command.command()
@service_argument
@click.option("--now", is_flag=True, help="At once and for good, without the time of grace.")
@yes_option
@json_option
def delete(service_id: int, now: bool, yes: bool, as_json: bool) -> None:
    """Ask for a service to be deleted, with its disk. Stopped at once, gone after a time of grace."""
    hours = 0 if now else settings.load().delete_grace_hours
    if not yes:
        when = f"dans {hours} heures" if hours else "tout de suite"
        confirm(f"Supprimer {when} le service {service_id} et toutes ses données ?")
    with staff_session() as session:
        flow = deletions.delete(session, service_id, datetime.now(UTC), timedelta(hours=hours))
        told = reading.show(session, Flow, flow.id) if flow else None
        service = reading.show(session, Service, service_id)
    if as_json:
        print_json(told if now else {**service, "ref": str(service["ref"]), "flow": told})
    elif told and now:
        tell_flow(told, as_json=False)
    else:
        click.echo(f"« {service['name']} » s’arrête et sera supprimé le {cell(service['delete_after'])}.")
        click.echo(f"Pour changer d’avis : clocher services undelete {service_id}")


@command.command()
@service_argument
@json_option
def undelete(service_id: int, as_json: bool) -> None:
    """Take a deletion back during its time of grace."""
    with staff_session() as session:
        flow = deletions.restore_deleted(session, service_id)
        told = reading.show(session, Flow, flow.id) if flow else None
        service = reading.show(session, Service, service_id)
    if as_json:
        print_json({**service, "ref": str(service["ref"]), "flow": told})
        return
    click.echo("La suppression est annulée." + (" Le service redémarre." if flow else ""))


def _ask(service_id: int, verb: str, as_json: bool) -> None:
    with staff_session() as session:
        tell_flow(reading.show(session, Flow, operations.ask(session, service_id, verb).id), as_json)


for one in (*COMMANDS, *services_backups.COMMANDS, *services_copies.COMMANDS, *services_exports.COMMANDS):
    command.add_command(one)
