"""`clocher usage`."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Any

import click

from api.formats import signed_hours
from api.output import json_option, print_json, print_rows
from api.staff import staff_session
from api.words import USAGE_REASONS, french
from orchestrator import cloud, cloud_servers, database, reconcile, settings
from orchestrator.errors import ClocherError, Conflict, Text
from orchestrator.steps import Runtime
from tenants import readings, usage_check
from tenants.tables_administration import UsageCheck


@click.group("usage", short_help="What was counted, and what the cloud says: status, compare, outside, verify…")
def command() -> None:
    """What the meter counted."""


@command.command()
@click.option("--period", "month", required=True, metavar="MONTH", help="The month, written as 2026-10.")
@click.option("--odd", is_flag=True, help="Only where something has to be looked into.")
@json_option
def verify(month: str, odd: bool, as_json: bool) -> None:
    """Compare each server's hours with Nova's own. Exit status 3 when a difference does not follow from the rules."""
    chosen = settings.load()
    with staff_session() as session:
        asked = usage_check.ask(session, month, datetime.now(UTC))
    click.echo(f"Lecture des heures que Nova compte pour {len(asked.projects)} membre(s)…", err=True)
    told = usage_check.read(asked, partial(cloud_servers.list_usage, cloud.connect(chosen)))
    with staff_session() as session:
        check = usage_check.write(session, asked, told, datetime.now(UTC))
        rows = usage_check.servers(session, check)
    count = sum(row["odd"] for row in rows)
    _tell(month, check, [row for row in rows if row["odd"] or not odd], len(rows), count, as_json)
    if count:
        raise Conflict(
            "usage_differs",
            Text(
                "Serveurs dont l’écart ne suit pas des règles : {count} sur {servers}.", count=count, servers=len(rows)
            ),
            "Les raisons sont dites serveur par serveur.",
        )


def _tell(month: str, check: UsageCheck, rows: list[dict[str, Any]], servers: int, odd: int, as_json: bool) -> None:
    if as_json:
        head = {"period": month, "until": check.until, "read_at": check.read_at, "servers": servers, "odd": odd}
        print_json(head | {"items": [{**row, "reasons": dict(row["reasons"])} for row in rows]})
        return
    for row in rows:
        row |= {name: signed_hours(row[name], sign=name == "difference") for name in COLUMNS}
        row["why"] = "\n".join(
            f"{signed_hours(seconds)}, {USAGE_REASONS[code]}" for code, seconds in row["reasons"] if abs(seconds) >= 1
        )
    print_rows(
        rows,
        [("member", "Membre"), ("name", "Serveur"), *COLUMNS.items(), ("why", "Raisons de l’écart")],
        as_json=False,
        empty="Aucun serveur à comparer." if not servers else "Chaque écart suit des règles.",
        title=f"Heures de {month}, facturées au plein tarif et selon Nova",
    )


COLUMNS = {"running": "En service", "existing": "Existence", "cloud": "Nova", "difference": "Écart"}


@command.command()
@json_option
def status(as_json: bool) -> None:
    """Until when the cloud was read, member by member; a month can't be closed before that has reached its end."""
    with staff_session() as session:
        rows, notified = readings.status(session), readings.notified(session)
    if as_json:
        until = rows[0]["read_until"] if rows else None
        items = [{name: row[name] for name in STATUS} for row in rows]
        print_json({"read_until": until, "notified": notified, "items": items})
        return
    if notified:
        click.echo(f"Dernière notification du nuage lue à {notified['read_at']:%Y-%m-%d %H:%M:%S %Z}", err=True)
    print_rows(
        rows, list(STATUS.items()), as_json=False, title="Lecture du nuage",
        empty="Le nuage n’est pas lu. Lancez : clocher usage compare",
    )  # fmt: skip


def _compared(runtime: Runtime, member_id: int) -> int:
    try:
        return reconcile.compare(runtime, member_id)
    except ClocherError as error:  # the others are read all the same; the status says of whom it was
        click.echo(f"{error} {error.detail}".strip(), err=True)
        return 0


STATUS = {"member": "Membre", "read_until": "Lu jusqu’à", "tried_at": "Dernier essai", "error_code": "Erreur"}


@command.command()
@json_option
@click.pass_context
def compare(context: click.Context, as_json: bool) -> None:
    """Compare the ledger with the cloud now, for all members, as workers do each hour. Says the status afterwards."""
    chosen = settings.load()
    engine = database.connect(chosen, "clocher_worker", pool_size=1)
    try:
        runtime = Runtime(chosen, engine, cloud.connect(chosen))
        added = sum(_compared(runtime, member_id) for member_id in reconcile.members(engine))
    finally:
        engine.dispose()
    click.echo(f"Faits ajoutés d’après le nuage : {added}", err=True)
    context.invoke(status, as_json=as_json)


@command.command()
@json_option
def outside(as_json: bool) -> None:
    """What was made by hand in members' projects, and is metered."""
    with staff_session() as session:
        rows = readings.outside(session)
    print_rows(
        rows if as_json else [
            {
                **row, "kind": french(row["kind"], "resource"), "state": french(row["state"], "service"),
                "source": french(row["source"], "event_source"),
            }
            for row in rows
        ],
        [("service_id", "N°"), ("service", "Service"), ("member", "Membre"), ("kind", "Ressource"),
         ("cloud_name", "Nom dans le nuage"), ("state", "État"), ("since", "Depuis"), ("until", "Jusqu’à"),
         ("source", "D’après")],
        as_json=as_json, empty="Rien n’a été fait hors Clocher.",
    )  # fmt: skip


@command.command()
@json_option
def corrections(as_json: bool) -> None:
    """What was changed of ordered services without Clocher, the newest first."""
    with staff_session() as session:
        rows = readings.corrections(session)
    print_rows(
        rows if as_json else [
            {
                **row, "kind": french(row["kind"], "resource"), "event": french(row["event"], "event"),
                "source": french(row["source"], "event_source"),
            }
            for row in rows
        ],
        [("service_id", "N°"), ("service", "Service"), ("member", "Membre"), ("kind", "Ressource"),
         ("event", "Événement"), ("at", "Quand"), ("found_at", "Constaté"),
         ("source", "D’après")],
        as_json=as_json, empty="Rien n’a été changé hors Clocher.",
    )  # fmt: skip
