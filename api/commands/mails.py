"""`clocher mails`."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from api.output import json_option, print_rows
from api.staff import staff_session
from tenants import mails
from tenants.tables_notices import MAIL_STATES


@click.group("mails", short_help="What was mailed: list, retry.")
def command() -> None:
    """Mails that were queued, left or failed. What they say is for their receivers only."""


@command.command("list")
@click.option("--state", type=click.Choice(MAIL_STATES), help="Only those in this state.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1000), help="How many at most.")
@json_option
def list_(state: str | None, limit: int, as_json: bool) -> None:
    """The mails, newest first."""
    with staff_session() as session:
        rows = mails.listed(session, state=state, limit=limit)
    print_rows(
        rows,
        [("id", "N°"), ("receiver", "À"), ("template", "Modèle"), ("state", "État"), ("attempts", "Essais"),
         ("queued_at", "Écrit le"), ("sent_at", "Parti le"), ("error", "Erreur")],
        as_json=as_json,
        empty="Aucun courriel.",
    )  # fmt: skip


@command.command()
@click.argument("mail_id", type=click.IntRange(1, 2**63 - 1))
def retry(mail_id: int) -> None:
    """Send a mail that failed, or waits for its next try, now."""
    with staff_session() as session:
        mails.retry(session, mail_id, datetime.now(UTC))
    click.echo(f"Le courriel {mail_id} part avec le prochain passage du worker.")
