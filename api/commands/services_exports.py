"""`clocher services` for leaving: an application's data in one archive, and the certificate of a deletion."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import click

from api import words
from api.commands.services_day2 import service_argument
from api.formats import cell, weight
from api.output import json_option, print_json, print_rows
from api.staff import staff_session
from orchestrator import exports, settings
from orchestrator.errors import ClocherError, Conflict, InvalidInput, Text
from orchestrator.tables import FLOW_LIVE, Flow, Service
from orchestrator.tables_exports import Export
from tenants import certificates, reading, service_exports

LOOK_SECONDS = 1.0
BLOCK = 1 << 20
to_option = click.option(
    "--to",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file to write; by default under its own name.",
)
Look = Callable[[], tuple[dict[str, Any], dict[str, Any]]]


@click.command()
@service_argument
@to_option
@json_option
def export(service_id: int, to: Path | None, as_json: bool) -> None:
    """Take an application's data along. Waits for the archive, fetches it and verifies its sum."""
    chosen = settings.load()
    with staff_session() as session:
        made, flow = service_exports.ask(session, chosen, service_id, datetime.now(UTC))
        export_id, flow_id = made.id, flow.id

    def look() -> tuple[dict[str, Any], dict[str, Any]]:
        with staff_session() as session:
            # The flow first: where it is over, the export is what it made of it.
            flow = reading.show(session, Flow, flow_id)
            steps = [{"name": step.name, "state": step.state} for step in reading.steps(session, [flow_id])]
            return {**flow, "steps": steps}, _columns(exports.find(session, export_id, service_id))

    def fetch(file: IO[bytes]) -> None:
        with staff_session() as session:
            _, path = service_exports.download(session, chosen, service_id, export_id, datetime.now(UTC))
        with path.open("rb") as archive:
            shutil.copyfileobj(archive, file, BLOCK)

    take(look, fetch, to, as_json)


def _columns(row: Export) -> dict[str, Any]:
    hidden = ("papers", "file", "source", "member_id")
    return {one.key: getattr(row, one.key) for one in Export.__table__.columns if one.key not in hidden}


def take(look: Look, fetch: Callable[[IO[bytes]], None], to: Path | None, as_json: bool) -> None:
    """Wait until an export is made, fetch its archive and verify it. Raises what ended the flow, or export_damaged."""
    made = _wait(look, as_json)
    path = to or Path(Path(f"{made['title']}.tar.gz").name)
    draft = path.with_name(f"{path.name}.part")
    try:
        with draft.open("wb") as file:
            fetch(file)
        _verify(draft, made)
        draft.replace(path)
    except OSError as error:
        sentence = Text("{path} ne s’écrit pas ({error}).", path=str(path), error=error.strerror)
        raise InvalidInput("unwritable", sentence, "Choisissez --to.") from error
    finally:
        draft.unlink(missing_ok=True)
    if as_json:
        print_json({"file": str(path), **made})
    else:
        click.echo(f"{path} : {weight(made['bytes'])}, {made['files']} fichiers, SHA-256 vérifié ({made['sha256']}).")


def _wait(look: Look, as_json: bool) -> dict[str, Any]:
    told = set[str]()
    while True:
        flow, made = look()
        lines = [f"{words.french(step['name'], 'step')} : {words.french(step['state'], 'step_state')}"
                 for step in flow["steps"]]  # fmt: skip
        for line in lines if not as_json else ():
            if line not in told:
                click.echo(line)
        told.update(lines)
        if made["state"] == "ready":
            return made
        if flow["state"] not in FLOW_LIVE:
            code = flow["error_code"] or "export_failed"
            raise ClocherError(code, flow["error_sentence"] or "L’export n’a pas abouti.")
        time.sleep(LOOK_SECONDS)


def _verify(file: Path, made: dict[str, Any]) -> None:
    with file.open("rb") as content:
        seen = hashlib.file_digest(content, "sha256").hexdigest()
    if seen != made["sha256"]:
        raise Conflict(
            "export_damaged",
            Text("L’archive reçue n’est pas celle qui fut faite ({sum}).", sum=seen),
            "Téléchargez-la de nouveau.",
        )


@click.command("exports")
@service_argument
@json_option
def list_(service_id: int, as_json: bool) -> None:
    """The exports of a service, newest first."""
    with staff_session() as session:
        found = service_exports.listed(session, reading.find(session, Service, service_id).id)
        rows = [_columns(row) for row in found]
    print_exports(service_id, rows, as_json)


def print_exports(service_id: int, rows: list[dict[str, Any]], as_json: bool) -> None:
    """Exports as a table."""
    print_rows(
        rows,
        [("id", "N°"), ("title", "Archive"), ("state", "État"), ("bytes", "Octets"), ("files", "Fichiers"),
         ("expires_at", "Jusqu’au"), ("sha256", "SHA-256")],
        as_json=as_json,
        empty=f"Aucun export. Faites-en un : clocher services export {service_id}",
    )  # fmt: skip


@click.command()
@service_argument
@json_option
def certificate(service_id: int, as_json: bool) -> None:
    """The certificate of a service's deletion. What went, when, by which operation."""
    with staff_session() as session:
        found = certificates.certificate(session, service_id, datetime.now(UTC))
    tell_certificate(found, as_json)


def tell_certificate(found: dict[str, Any], as_json: bool) -> None:
    """Say what is certified."""
    if as_json:
        print_json(found)
        return
    service, member, flow = found["service"], found["member"], found["flow"]
    click.echo(f"« {service['name']} » ({service['ref']}) de {member['name']} : supprimé")
    click.echo(f"Le {cell(found['deleted_at'])}, par l’opération {flow['id']}, demandée par {flow['requested_by']}")
    print_rows(
        found["resources"],
        [("kind", "Ressource"), ("cloud_id", "Identifiant"), ("deleted_at", "Supprimée le")],
        as_json=False,
        empty="Aucune ressource du nuage.",
    )
    click.echo(f"Sauvegardes : {len(found['backups'])}. Dépôt : {words.french(found['repository'], 'repository')}.")


COMMANDS = (export, list_, certificate)
