"""`clocher drift`."""

from __future__ import annotations

from typing import Any

import click

from api import words
from api.asking import confirm, yes_option
from api.commands.services_day2 import service_argument, tell_flow
from api.output import json_option, print_rows
from api.staff import staff_session
from orchestrator.tables import Flow, Service
from orchestrator.tables_drift import DRIFT_STATES
from tenants import drift, reading


@click.group("drift", short_help="Guests that differ from their play: list, check, repair.")
def command() -> None:
    """How guests compare with the plays that made them; workers compare each of them every week."""


@command.command("list")
@click.option("--state", type=click.Choice(DRIFT_STATES), help="In this state only.")
@json_option
def list_(state: str | None, as_json: bool) -> None:
    """The guests that were compared, those that differ first."""
    with staff_session() as session:
        rows = drift.listed(session, state)
    print_rows(
        rows if as_json else [{**row, **_told(row)} for row in rows],
        [("service_id", "N°"), ("name", "Service"), ("member", "Membre"), ("state", "État"), ("differences", "Écarts"),
         ("since", "Depuis"), ("compared_at", "Comparé")],
        as_json=as_json,
        empty="Aucune machine comparée. Comparez-en une : clocher drift check SERVICE",
    )  # fmt: skip


def _told(row: dict[str, Any]) -> dict[str, str]:
    tasks = ", ".join(words.task(one["task"]) or one["task"] for one in row["differences"])
    return {"state": words.french(row["state"], "drift"), "differences": tasks}


@command.command()
@service_argument
@json_option
def check(service_id: int, as_json: bool) -> None:
    """Compare a guest with its play, which changes nothing in it."""
    with staff_session() as session:
        tell_flow(reading.show(session, Flow, drift.check(session, service_id).id), as_json)


@command.command()
@service_argument
@yes_option
@json_option
def repair(service_id: int, yes: bool, as_json: bool) -> None:
    """Run a guest's play again, so that nothing differs. First says what that changes."""
    if not yes:
        with staff_session() as session:
            found = drift.differing(session, reading.find(session, Service, service_id)).differences
        for one in found:
            click.echo(f"- {words.task(one['task']) or one['task']} : {words.french(one['kind'], 'difference')}")
            if one["diff"]:
                click.echo("    " + one["diff"].replace("\n", "\n    "))
        confirm("Remettre en conformité ?")
    with staff_session() as session:
        tell_flow(reading.show(session, Flow, drift.repair(session, service_id).id), as_json)
