"""`clocher --url … services`."""

from __future__ import annotations

from typing import Any

import click

from api.asking import confirm, yes_option
from api.commands.remote import (
    client,
    pages,
    read,
    services_backups,
    services_copies,
    services_exports,
    services_secrets,
)
from api.commands.remote.services_day2 import COMMANDS
from api.commands.services import print_services, service_argument, tell
from api.commands.services_day2 import tell_flow
from api.formats import cell
from api.output import json_option, print_json
from api.v1.schemas import EventOut, FlowOut, ServiceOut
from api.v1.schemas_services import ApplicationShown, DeletedOut


@click.group("services", short_help="What members own: list, show, operate, delete.")
def command() -> None:
    """What members own, there."""


@command.command("list")
@click.option("--member", help="Of this member only.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1000))
@click.option("--after", type=click.IntRange(1, 2**63 - 1), help="Services older than this one.")
@click.option("--all", "everything", is_flag=True, help="Deleted and failed ones too.")
@json_option
def list_(member: str | None, limit: int, after: int | None, everything: bool, as_json: bool) -> None:
    """The living services, newest first."""
    living = None if everything else "true"
    found = pages(client(), "/services", limit, member=member, after=after, living=living)
    print_services([read(ServiceOut, row) for row in found], as_json)


@command.command()
@service_argument
@json_option
def show(service_id: int, as_json: bool) -> None:
    """One service and what happened to it."""
    far = client()
    service = read(ServiceOut, far.call("GET", f"/services/{service_id}"))
    events = far.call("GET", f"/services/{service_id}/events")["items"]
    address = far.call("GET", f"/services/{service_id}/address")["address"]
    runs = read(ApplicationShown, far.call("GET", f"/services/{service_id}/application"))["application"]
    tell(service, [read(EventOut, event) for event in events], address and address["url"], runs, as_json)


def _operation(verb: str, said: str) -> None:
    @command.command(verb, help=said)
    @service_argument
    @json_option
    def ask(service_id: int, as_json: bool) -> None:
        _queue(service_id, verb, {}, as_json)


def _queue(service_id: int, verb: str, body: dict[str, Any], as_json: bool) -> None:
    tell_flow(read(FlowOut, client().call("POST", f"/services/{service_id}/{verb}", body)), as_json)


for name, told in {"stop": "Ask for a server to be stopped.", "start": "Ask for a server to be started."}.items():
    _operation(name, told)


@command.command()
@service_argument
@click.option("--hard", is_flag=True, help="Cut its power.")
@json_option
def reboot(service_id: int, hard: bool, as_json: bool) -> None:
    """Ask for a server to be restarted."""
    _queue(service_id, "reboot", {"hard": hard}, as_json)


@command.command()
@service_argument
@click.option("--now", is_flag=True, help="At once and for good, without the time of grace.")
@yes_option
@json_option
def delete(service_id: int, now: bool, yes: bool, as_json: bool) -> None:
    """Ask for a service to be deleted, with its disk: stopped at once, gone after a time of grace."""
    if not yes:
        confirm(f"Supprimer le service {service_id} et toutes ses données ?")
    gone = read(DeletedOut, client().call("POST", f"/services/{service_id}/delete", {"now": now}))
    if as_json:
        print_json(gone)
    elif now and gone["flow"]:
        tell_flow(gone["flow"], as_json)
    else:
        click.echo(f"« {gone['name']} » s’arrête et sera supprimé le {cell(gone['delete_after'])}.")


@command.command()
@service_argument
@json_option
def undelete(service_id: int, as_json: bool) -> None:
    """Take a deletion back during its time of grace."""
    back = read(DeletedOut, client().call("POST", f"/services/{service_id}/undelete"))
    if as_json:
        print_json(back)
    else:
        click.echo("La suppression est annulée." + (" Le service redémarre." if back["flow"] else ""))


PARTS = (services_backups, services_copies, services_exports, services_secrets)
for one in (*COMMANDS, *(command for part in PARTS for command in part.COMMANDS)):
    command.add_command(one)
