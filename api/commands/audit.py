"""`clocher audit`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import click

from api.output import json_option, print_json, print_rows
from api.staff import staff_session
from orchestrator import audit, settings
from orchestrator.errors import Conflict
from tenants import reading, trail
from tenants.trail import Search

SOUGHT = {
    "actor": "With this in the name of who did it.",
    "action": "Which begins with this, like order.",
    "subject": "Which begins with this, like “order 42”.",
    "member": "Of this member.",
}
COLUMNS = [("id", "N°"), ("at", "Quand"), ("actor", "Qui"), ("action", "Action"), ("subject", "Sur"),
           ("member", "Membre")]  # fmt: skip


@click.group("audit", short_help="The audit trail: list, search, export, verify.")
def command() -> None:
    """Who did what, when; each entry is chained to the one before."""


@command.command("list")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1000), help="How many at most.")
@click.option("--after", type=click.IntRange(1, 2**63 - 1), help="Entries older than this one.")
@click.option("--member", help="Of this member only.")
@json_option
def list_(limit: int, after: int | None, member: str | None, as_json: bool) -> None:
    """The entries, newest first."""
    with staff_session() as session:
        rows = reading.audit_entries(session, after=after, limit=limit, member=member)
    print_rows(rows, COLUMNS, as_json=as_json, empty="Le journal est vide : rien n’a encore changé.")


LOCAL_DAY = click.DateTime(["%Y-%m-%d"])


def search_options(act: Callable[..., None]) -> Callable[..., None]:
    """What to look for in the trail."""
    act = click.option("--until", type=LOCAL_DAY, help="Until this local day, counted too.")(act)
    act = click.option("--since", type=LOCAL_DAY, help="From this local day on.")(act)
    for name, said in SOUGHT.items():
        act = click.option(f"--{name}", default="", help=said)(act)
    return act


def _search(since: datetime | None, until: datetime | None, **texts: str) -> Search:
    return Search(**texts, since=since.date() if since else None, until=until.date() if until else None)


@command.command()
@search_options
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1000), help="How many at most.")
@click.option("--after", type=click.IntRange(1, 2**63 - 1), help="Entries older than this one.")
@json_option
def search(limit: int, after: int | None, as_json: bool, **sought: Any) -> None:
    """The entries that are sought, newest first. With their details: --json."""
    with staff_session() as session:
        rows, _ = trail.page(session, _search(**sought), settings.load().timezone, after=after, limit=limit)
    for row in rows:
        row["hash"] = row["hash"].hex() if row["hash"] else None
    print_rows(rows, COLUMNS, as_json=as_json, empty="Rien de tel dans le journal.")


@command.command()
@search_options
@click.option("--csv", "as_csv", is_flag=True, help="For a spreadsheet; by default one JSON object a line.")
def export(as_csv: bool, **sought: Any) -> None:
    """Write all entries that are sought on standard output."""
    write = trail.as_csv if as_csv else trail.as_lines
    with staff_session() as session:
        for piece in write(trail.every(session, _search(**sought), settings.load().timezone)):
            click.echo(piece, nl=False)


@command.command()
@json_option
def verify(as_json: bool) -> None:
    """Recompute the chain. Fails with the first entry that does not follow."""
    with staff_session() as session:
        broken = audit.first_break(session)
    if broken is not None:
        raise Conflict(
            "audit_broken",
            f"Le journal est rompu à l’entrée {broken} : elle a été changée ou celle d’avant manque.",
            "Comparez avec une sauvegarde.",
            facts={"entry": broken},
        )
    if as_json:
        print_json({"ok": True})
    else:
        click.echo("Le journal est entier.")
