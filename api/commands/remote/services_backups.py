"""`clocher --url … services` for the backups of applications; as `api.commands.services_backups` does it here."""

from __future__ import annotations

from typing import Any

import click

from api.commands.remote import client, read
from api.commands.services_backups import backup_argument, print_backups, print_versions, restoring, switching
from api.commands.services_day2 import service_argument, tell_flow
from api.output import json_option
from api.v1.schemas import FlowOut, ServiceOut
from api.v1.schemas_services import BackupOut


@click.command("backups")
@service_argument
@json_option
def list_(service_id: int, as_json: bool) -> None:
    """The backups of a service, newest first."""
    found = client().call("GET", f"/services/{service_id}/backups")["items"]
    print_backups(service_id, [read(BackupOut, row) for row in found], as_json)


@click.command()
@service_argument
@json_option
def backup(service_id: int, as_json: bool) -> None:
    """Put a copy of an application's data, or of a machine's files, into the vault now."""
    made = client().call("POST", f"/services/{service_id}/backups")
    tell_flow(read(FlowOut, made["flow"]), as_json)


@click.command("prove-backup")
@service_argument
@backup_argument
@json_option
def prove(service_id: int, backup_id: int, as_json: bool) -> None:
    """Restore a backup in a place of its own, to see that it is whole; the service is not touched."""
    flow = client().call("POST", f"/services/{service_id}/backups/{backup_id}/prove")
    tell_flow(read(FlowOut, flow), as_json)


@restoring
def restore(service_id: int, backup_id: int) -> dict[str, Any]:
    """By the API there."""
    return read(FlowOut, client().call("POST", f"/services/{service_id}/backups/{backup_id}/restore"))


@click.command()
@service_argument
@click.option("--dry-run", is_flag=True, help="Say what the newer versions bring; change nothing.")
@json_option
def upgrade(service_id: int, dry_run: bool, as_json: bool) -> None:
    """Bring an application to its newest version; it goes back by itself when that fails. Needs a proof of the day."""
    if dry_run:
        print_versions(client().call("GET", f"/services/{service_id}/upgrade")["versions"], as_json)
        return
    tell_flow(read(FlowOut, client().call("POST", f"/services/{service_id}/upgrade")), as_json)


@switching
def switch(service_id: int, on: bool) -> dict[str, Any]:
    """By the API there."""
    return read(ServiceOut, client().call("POST", f"/services/{service_id}/backups/{'start' if on else 'stop'}"))


COMMANDS = (list_, backup, prove, restore, upgrade, switch)
