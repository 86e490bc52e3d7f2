"""`clocher tokens`."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from api.output import cell, json_option, print_json, print_rows
from api.staff import staff_session
from tenants import tokens


@click.group("tokens", short_help="Keys to the API: make, list, revoke.")
def command() -> None:
    """Keys to the API and the portal; each speaks for one member, or for the territory."""


@command.command()
@click.option("--label", required=True, help="Who holds it, and what for.")
@click.option("--member", help="Short name of the member it speaks for; without it, the territory (DSI).")
@click.option("--days", default=90, show_default=True, help="How long it lives.")
@json_option
def make(label: str, member: str | None, days: int, as_json: bool) -> None:
    """Make a token; it is shown this once."""
    with staff_session() as session:
        token, secret = tokens.make(session, label, member, days, datetime.now(UTC))
    if as_json:
        print_json({"id": token.id, "member": member, "expires_at": token.expires_at, "secret": secret})
        return
    click.echo(secret)
    click.echo(f"Jeton {token.id}, valable jusqu’au {cell(token.expires_at)}. Il ne sera plus montré.", err=True)


@command.command("list")
@json_option
def list_(as_json: bool) -> None:
    """The tokens, newest first, without their secrets."""
    with staff_session() as session:
        rows = tokens.listed(session)
    print_rows(
        rows,
        [("id", "Jeton"), ("label", "Libellé"), ("member", "Membre"), ("expires_at", "Expire le"),
         ("revoked_at", "Révoqué le")],
        as_json=as_json,
        empty="Aucun jeton. Créez-en un : clocher tokens make --label LIBELLÉ --member MEMBRE",
    )  # fmt: skip


@command.command()
@click.argument("token_id", type=click.IntRange(1, 2**63 - 1))
@json_option
def revoke(token_id: int, as_json: bool) -> None:
    """End a token at once."""
    with staff_session() as session:
        token = tokens.revoke(session, token_id, datetime.now(UTC))
    if as_json:
        print_json({"id": token.id, "revoked_at": token.revoked_at})
    else:
        click.echo(f"Le jeton {token.id} est révoqué.")
