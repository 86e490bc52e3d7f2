"""`clocher audit`."""

from __future__ import annotations

import click

from api.output import json_option, print_json, print_rows
from api.staff import staff_session
from orchestrator import audit
from orchestrator.errors import Conflict
from tenants import reading


@click.group("audit", short_help="The audit trail: list and verify.")
def command() -> None:
    """Who did what, when; each entry is chained to the one before."""


@command.command("list")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1000))
@click.option("--after", type=click.IntRange(1, 2**63 - 1), help="Entries older than this one.")
@click.option("--member", help="Of this member only.")
@json_option
def list_(limit: int, after: int | None, member: str | None, as_json: bool) -> None:
    """The entries, newest first."""
    with staff_session() as session:
        rows = reading.audit_entries(session, after=after, limit=limit, member=member)
    print_rows(
        rows,
        [("id", "N°"), ("at", "Quand"), ("actor", "Qui"), ("action", "Action"), ("subject", "Sur"),
         ("member", "Membre")],
        as_json=as_json,
        empty="Le journal est vide : rien n’a encore changé.",
    )  # fmt: skip


@command.command()
@json_option
def verify(as_json: bool) -> None:
    """Recompute the chain; fails with the first entry that does not follow."""
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
