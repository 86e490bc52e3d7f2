"""`clocher tokens`."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from api.formats import cell
from api.output import json_option, print_json, print_rows
from api.staff import staff_session
from tenants import reading, tokens
from tenants.tables_identity import MEMBER_ROLES, SCOPES, TERRITORY_ROLES


@click.group("tokens", short_help="Keys to the API: make, list, revoke.")
def command() -> None:
    """Keys to the API for machines: each speaks for one member, or for the territory. People make their own."""


@command.command()
@click.option("--label", required=True, help="Which machine holds it, and what for.")
@click.option("--member", help="Short name of the member it speaks for; without it, the territory (DSI).")
@click.option("--role", "roles", multiple=True, type=click.Choice([*MEMBER_ROLES, *TERRITORY_ROLES]),
              help="May be repeated; by default requester of a member, dsi_operator of the territory.")  # fmt: skip
@click.option("--scope", "scopes", multiple=True, type=click.Choice(SCOPES), help="May be repeated; by default all.")
@click.option("--days", default=90, show_default=True, help="How long it lives, a year at most.")
@json_option
def make(
    label: str, member: str | None, roles: tuple[str, ...], scopes: tuple[str, ...], days: int, as_json: bool
) -> None:
    """Make a token; it is shown this once."""
    with staff_session() as session:
        member_id = reading.member(session, member).id if member else None
        chosen = roles or (("requester",) if member else ("dsi_operator",))
        token, secret = tokens.make(
            session, label, days, datetime.now(UTC), member_id=member_id, scopes=scopes or SCOPES, roles=chosen
        )
    if as_json:
        print_json({"id": token.id, "member": member, "expires_at": token.expires_at, "roles": token.roles,
                    "scopes": token.scopes, "secret": secret})  # fmt: skip
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
        [("id", "Jeton"), ("label", "Libellé"), ("member", "Membre"), ("account_id", "Compte"),
         ("expires_at", "Expire le"), ("used_at", "Dernier emploi"), ("revoked_at", "Révoqué le")],
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
