"""`clocher services` for the backups of applications, and the upgrades that need them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import click

from api.asking import confirm, yes_option
from api.commands.services_day2 import BIGGEST, service_argument, tell_flow
from api.output import json_option, print_json, print_rows
from api.staff import staff_session
from orchestrator import settings
from orchestrator.tables import Flow, Service
from orchestrator.tables_backups import Backup
from tenants import backups, reading, upgrades

HIDDEN = {"member_id", "vault_id", "borg_id"}  # as in the API
backup_argument = click.argument("backup_id", type=click.IntRange(1, BIGGEST))


@click.command("backups")
@service_argument
@json_option
def list_(service_id: int, as_json: bool) -> None:
    """The backups of a service, newest first."""
    with staff_session() as session:
        found = backups.listed(session, reading.find(session, Service, service_id).id)
        shown = [column.key for column in Backup.__table__.columns if column.key not in HIDDEN]
        rows = [{name: getattr(row, name) for name in shown} for row in found]
    print_backups(service_id, rows, as_json)


def print_backups(service_id: int, rows: list[dict[str, Any]], as_json: bool) -> None:
    """Backups as a table."""
    print_rows(
        rows,
        [("id", "N°"), ("state", "État"), ("made_at", "Faite le"), ("bytes", "Octets"), ("added", "Ajoutés"),
         ("files", "Fichiers"), ("scheduled", "Planifiée"), ("proved_at", "Prouvée le"),
         ("unproved_at", "Échec de la preuve")],
        as_json=as_json,
        empty=f"Aucune sauvegarde. Faites-en une : clocher services backup {service_id}",
    )  # fmt: skip


@click.command()
@service_argument
@json_option
def backup(service_id: int, as_json: bool) -> None:
    """Put a copy of an application's data, or of a machine's files, into the vault now."""
    with staff_session() as session:
        _, flow = backups.back_up(session, service_id, datetime.now(UTC))
        tell_flow(reading.show(session, Flow, flow.id), as_json)


@click.command("prove-backup")
@service_argument
@backup_argument
@json_option
def prove(service_id: int, backup_id: int, as_json: bool) -> None:
    """Restore a backup in a place of its own, to see that it is whole; the service is not touched."""
    with staff_session() as session:
        tell_flow(reading.show(session, Flow, backups.prove(session, service_id, backup_id).id), as_json)


def restoring(act: Callable[[int, int], dict[str, Any]]) -> click.Command:
    """The command `restore-backup`, which asks first; `act`, given service and backup, returns the flow."""

    @click.command("restore-backup")
    @service_argument
    @backup_argument
    @yes_option
    @json_option
    def command(service_id: int, backup_id: int, yes: bool, as_json: bool) -> None:
        """Bring a backup back. An application loses what was written since; a machine's files come back beside."""
        if not yes:
            confirm(
                "Tout ce qui a été écrit dans l’application depuis cette sauvegarde est perdu ; les fichiers d’une"
                " machine reviennent à côté, dans un dossier « clocher-restauration ». Restaurer ?"
            )
        tell_flow(act(service_id, backup_id), as_json)

    return command


@restoring
def restore(service_id: int, backup_id: int) -> dict[str, Any]:
    """By the database."""
    with staff_session() as session:
        return reading.show(session, Flow, backups.restore(session, service_id, backup_id).id)


@click.command()
@service_argument
@click.option("--dry-run", is_flag=True, help="Say what the newer versions bring; change nothing.")
@json_option
def upgrade(service_id: int, dry_run: bool, as_json: bool) -> None:
    """Bring an application to its newest version; it goes back by itself when that fails. Needs a proof of the day."""
    with staff_session() as session:
        if dry_run:
            found = upgrades.newer(session, reading.find(session, Service, service_id), datetime.now(UTC))
            print_versions(found.versions if found else [], as_json)
            return
        most = settings.load().snapshots_per_service
        flow = upgrades.upgrade(session, service_id, datetime.now(UTC), most=most)
        tell_flow(reading.show(session, Flow, flow.id), as_json)


def print_versions(versions: list[dict[str, Any]], as_json: bool) -> None:
    """Newer versions of an application as a table."""
    rows = [{**one, "brings": one["brings"] if as_json else one["brings"]["fr"]} for one in versions]
    columns = [("version", "Version"), ("app", "Application"), ("brings", "Apporte")]
    print_rows(rows, columns, as_json=as_json, empty="Rien de plus récent n’est proposé.")


def switching(act: Callable[[int, bool], dict[str, Any]]) -> click.Command:
    """The command `back-up-nightly`; `act`, given service and whether, returns the service."""

    @click.command("back-up-nightly")
    @service_argument
    @click.option("--off", is_flag=True, help="Only when people ask for it; what is in the vault stays there.")
    @json_option
    def command(service_id: int, off: bool, as_json: bool) -> None:
        """Back a machine up every night. Applications are backed up as they declare."""
        service = act(service_id, not off)
        if as_json:
            print_json(service)
        else:
            click.echo(f"« {service['name']} » est sauvegardé {'quand on le demande' if off else 'chaque nuit'}.")

    return command


@switching
def switch(service_id: int, on: bool) -> dict[str, Any]:
    """By the database."""
    with staff_session() as session:
        backups.switch(session, service_id, on)
        return reading.show(session, Service, service_id)


COMMANDS = (list_, backup, prove, restore, upgrade, switch)
