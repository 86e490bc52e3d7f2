"""`clocher demo`."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from types import FrameType

import click
from rich.console import Console
from rich.table import Table

from api.demo import story
from api.demo.stage import Stage
from orchestrator import log, settings
from orchestrator.errors import ClocherError

STDOUT = Path("-")


@click.command("demo", short_help="Run the main job from nothing: cloud, members, orders, statements.")
@click.option("--keep", is_flag=True, help="Leave everything running at the end.")
@click.option("--stop", is_flag=True, help="Only end what --keep left running; data stays.")
@click.option(
    "--json",
    "json_file",
    type=click.Path(dir_okay=False, path_type=Path, allow_dash=True),
    is_flag=False,
    flag_value="-",
    metavar="[FILE]",
    help="Write what was measured, as JSON: into a file, or on standard output.",
)
def command(keep: bool, stop: bool, json_file: Path | None) -> None:
    """The main job, from nothing, on this machine.

    PostgreSQL and a real OpenStack come up; the members of an invented agglomeration get their place; three of them
    order at once; the worker is killed in the middle and goes on; each guest is proved by SSH; the real minutes are
    stated, a sample month is closed, and our hours are compared with Nova's.
    """
    chosen = settings.load()
    log.configure(chosen)
    stage = Stage()
    if stop:
        story.stop(chosen, stage)
        return
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, _interrupt)
    failure: BaseException | None = None
    try:
        story.run(chosen, stage, keep=keep)
    except BaseException as error:
        failure = error
        raise
    finally:
        if json_file:
            _write(json_file, json.dumps(_record(stage, failure), ensure_ascii=False, indent=2) + "\n")
    show(stage, keep, beside=json_file == STDOUT)


def _write(file: Path, document: str) -> None:
    if file == STDOUT:
        click.echo(document, nl=False)
    else:
        file.write_text(document)


class Interrupted(ClocherError):
    """Somebody ended the demo."""


def _interrupt(signum: int, _frame: FrameType | None) -> None:
    name = signal.Signals(signum).name
    error = Interrupted("demo_interrupted", f"La démonstration a été interrompue ({name}).", "Relancez-la.")
    error.exit_status = 128 + signum  # as a shell tells it
    raise error


def _record(stage: Stage, failure: BaseException | None) -> dict[str, object]:
    """What was measured so far, and why it is not all."""
    record: dict[str, object] = {"ok": failure is None, **stage.record}
    if isinstance(failure, ClocherError):
        record["error"] = {"code": failure.code, "sentence": failure.sentence, "action": failure.action}
    elif failure:
        record["error"] = {"code": "unexpected", "sentence": f"{type(failure).__name__}: {failure}", "action": ""}
    return record | {"seconds": {**stage.seconds, "total": stage.total()}}


def show(stage: Stage, keep: bool, *, beside: bool) -> None:
    """The end: what was proved, in one table, and where to look next. beside: standard output holds the document."""
    hours = {row["server"]: row for row in stage.record["hours"]}
    totals = {row["member"]: row["total"] for row in stage.record["statements"]}
    table = Table(title="Ce qui a été commandé, prouvé et compté", title_justify="left")
    for heading in ("machine", "membre", "adresse", "prouvée", "nos heures", "Nova", "relevé du mois (€)"):
        table.add_column(heading, justify="right" if heading in {"nos heures", "Nova"} or "€" in heading else "left")
    for guest in stage.record["guests"]:
        counted = hours[guest["name"]]
        cells = (counted["ours"], counted["nova"], totals[guest["member"]])
        table.add_row(
            guest["name"],
            guest["member"],
            guest["address"],
            "oui" if guest["proved"] else "non",
            *(cell.replace(".", ",") for cell in cells),
        )
    console = Console(stderr=beside, width=None if sys.stdout.isatty() else 120, soft_wrap=True)
    console.print()
    console.print(table)
    console.print(f"{stage.total():.0f} secondes en tout. Relevés et clés : {stage.record['files']}")
    console.print(f"Courriels reçus : {stage.record['mails']}")
    if keep:
        console.print(f"Le portail tourne : {stage.record['url']}")
        console.print(_people(stage.people))
        console.print("Un jeton pour l’API : ./clocher tokens make --label moi --member orgelune")
        console.print("Tout arrêter : ./clocher demo --stop")


def _people(people: list[dict[str, str]]) -> Table:
    """Who can sign in, as what, with which password."""
    table = Table(title="Qui peut s’y connecter", title_justify="left")
    for heading in ("nom", "rôle", "adresse", "mot de passe"):
        table.add_column(heading, no_wrap=True)
    for one in people:
        table.add_row(one["name"], one["role"], one["email"], one["password"])
    return table
