"""`clocher --url … statements`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from api.client import Client
from api.commands.periods import month
from api.commands.periods import show as print_statements
from api.commands.remote import client, pages, read
from api.commands.statements import tell, tell_kept
from api.output import json_option, keep
from api.v1.schemas_money import StatementOut
from orchestrator.errors import NotFound


@click.group("statements", short_help="Members' accounts: list, show, export.")
def command() -> None:
    """Members' accounts for a month, there."""


@command.command("list")
@click.option("--month", "period", help="Of one month (2026-10).")
@click.option("--member", help="Of one member, by its short name.")
@json_option
def list_(period: str | None, member: str | None, as_json: bool) -> None:
    """Statements in brief."""
    found = pages(client(), "/statements", 1000, period=period, member=member)
    print_statements([read(StatementOut, row) for row in found], "", as_json)


def _one(far: Client, period: str, member: str | None) -> dict[str, Any]:
    found: list[dict[str, Any]] = far.call("GET", "/statements", period=period, member=member)["items"]
    if len(found) != 1:
        raise NotFound("unknown_statement", "Il n’y a pas un relevé et un seul.", "Nommez le mois et le membre.")
    return found[0]


@command.command()
@month
@click.argument("member", required=False)
@json_option
def show(month: str, member: str | None, as_json: bool) -> None:
    """One member's statement, line by line."""
    far = client()
    tell(far.call("GET", f"/statements/{_one(far, month, member)['id']}"), as_json)


@command.command()
@month
@click.option("--member", help="Of one member only; a member's own token needs none.")
@click.option("--format", "kind", type=click.Choice(["csv", "xlsx", "pdf"]), default="csv", show_default=True)
@click.option("--to", "folder", type=click.Path(file_okay=False, path_type=Path), default=".", show_default=True)
@json_option
def export(month: str, member: str | None, kind: str, folder: Path, as_json: bool) -> None:
    """Write one statement to a file, for the tools that finance has."""
    far = client()
    name, content = far.file(f"/statements/{_one(far, month, member)['id']}.{kind}")
    tell_kept([keep(folder, name, content)], 1, as_json)
