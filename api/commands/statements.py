"""`clocher statements`."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import click

from api import statement_files
from api.commands.periods import month, show
from api.commands.prices import exact
from api.output import euros, json_option, keep, print_json, print_rows
from api.staff import staff_session
from api.translations import LANGUAGES, SOURCE
from orchestrator import settings
from orchestrator.errors import Conflict
from tenants import exports, periods, sharing, statements


@click.group("statements", short_help="Members' accounts: show and export.")
def command() -> None:
    """Members' accounts for a month."""


@command.command("list")
@click.option("--month", "period", help="Of one month (2026-10).")
@click.option("--member", help="Of one member, by its short name.")
@json_option
def list_(period: str | None, member: str | None, as_json: bool) -> None:
    """Statements in brief."""
    with staff_session() as session:
        rows = statements.listed(session, period, member)
    show(rows, "", as_json)


@command.command("show")
@month
@click.argument("member")
@json_option
def show_(month: str, member: str, as_json: bool) -> None:
    """One member's statement, line by line."""
    with staff_session() as session:
        [document] = statements.documents(session, periods.find(session, month), member)
    tell(document, as_json)


def tell(document: dict[str, Any], as_json: bool) -> None:
    """One statement, line by line."""
    if as_json:
        print_json(document)
        return
    month = document["period"]
    mention = exports.mention(document)
    click.echo(f"{document['member']['name']} — {month}" + (f" — {mention}" if mention else ""))
    rows = [
        {
            "service": line.get("service", "contestation" if line["kind"] == "settlement" else "coût commun"),
            "label": f"rectifie {line['corrects']} : {line['label']}" if "corrects" in line else line["label"],
            "hours": Decimal(line["unit_seconds"]) / 3600 if "unit_seconds" in line else None,
            "price": exact(Decimal(line["hourly"])) if "hourly" in line else None,
            **_shared(line),
            "amount": euros(Decimal(line["amount"])),
        }
        for line in document["lines"]
    ]
    print_rows(
        rows,
        [("service", "Service"), ("label", "Libellé"), ("hours", "Unités × heures"), ("price", "€ par heure"),
         ("weight", "Poids"), ("exact", "Part exacte"), ("rounding", "Arrondi"), ("amount", "Montant")],
        as_json=False,
        empty="Aucune consommation ni quote-part ce mois-ci.",
    )  # fmt: skip
    click.echo(f"Total : {euros(Decimal(document['total']))}")


def _shared(line: dict[str, Any]) -> dict[str, str]:
    if line["kind"] != "share":
        return {}
    why = {name: value or Decimal(0) for name, value in sharing.explain(line).items()}
    return {
        "weight": f"{exact(why['weight'] * 100)} %",
        "exact": exact(why["exact"]),
        "rounding": exact(why["rounding"]),
    }


@command.command()
@month
@click.option("--member", help="Of one member only, by its short name.")
@click.option(
    "--format",
    "kind",
    type=click.Choice(statement_files.ONE),
    default="csv",
    show_default=True,
    help="Of the file. A PDF is for one member: without --member there is one for each.",
)
@click.option("--language", type=click.Choice(LANGUAGES), default=SOURCE, show_default=True, help="Of a PDF.")
@click.option(
    "--to",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=".",
    show_default=True,
    help="The folder that gets the file.",
)
@json_option
def export(month: str, member: str | None, kind: str, language: str, folder: Path, as_json: bool) -> None:
    """Write the month's statements to a file. It opens in the tools that finance has."""
    desk = statement_files.Desk(settings.load(), language)
    with staff_session() as session:
        count = len(statements.listed(session, month, member))
        files = statement_files.written(session, month, kind, desk, member)
    tell_kept([keep(folder, file.name, file.content) for file in files], count, as_json)


def tell_kept(paths: list[Path], count: int, as_json: bool) -> None:
    """Where so many statements are now."""
    if as_json:
        size = sum(path.stat().st_size for path in paths)
        one = {"file": str(paths[0])} if len(paths) == 1 else {"files": [str(path) for path in paths]}
        print_json({**one, "statements": count, "bytes": size})
    else:
        where = str(paths[0]) if len(paths) == 1 else ", ".join(path.name for path in paths)
        click.echo(f"{count} relevé(s) dans {where}" if paths else "Aucun relevé ce mois-ci.")


@command.command()
@json_option
def verify(as_json: bool) -> None:
    """Prove that no closed statement was changed. Every hash follows from the one before."""
    with staff_session() as session:
        broken = statements.first_break(session)
    if broken is not None:
        raise Conflict("chain_broken", f"Le relevé {broken} ne suit pas de celui d’avant.", "Prévenez la DSI.")
    if as_json:
        print_json({"ok": True})
    else:
        click.echo("Chaîne des relevés clos : intacte.")
