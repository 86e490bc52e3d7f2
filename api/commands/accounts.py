"""`clocher accounts`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click
from sqlalchemy.orm import Session

from api.asking import confirm, yes_option
from api.output import json_option, print_json, print_rows
from api.staff import staff_session
from orchestrator import settings
from orchestrator.errors import NotFound, Text
from tenants import accounts, invitations, reading
from tenants.tables_identity import LANGUAGES, MEMBER_ROLES, TERRITORY_ROLES, Account

role_option = click.option(
    "--role", "roles", multiple=True, type=click.Choice([*MEMBER_ROLES, *TERRITORY_ROLES]), help="May be repeated."
)
member_option = click.option("--member", help="Short name of the member; without it, the territory (DSI).")


@click.group("accounts", short_help="People: list, invite, give roles, close.")
def command() -> None:
    """People and their roles. The first administrator: clocher accounts invite --admin E-MAIL"""


@command.command("list")
@member_option
@json_option
def list_(member: str | None, as_json: bool) -> None:
    """Everybody, or who holds a role in a member."""
    with staff_session() as session:
        house = reading.member(session, member).id if member else None
        rows = accounts.listed(session, house, everybody=member is None)
    shown = rows if as_json else [{**row, "roles": ", ".join(map(_spelled, row["roles"]))} for row in rows]
    print_rows(
        shown,
        [("id", "Compte"), ("name", "Nom"), ("email", "Adresse"), ("state", "État"), ("roles", "Rôles"),
         ("signed_in_at", "Dernière connexion")],
        as_json=as_json,
        empty="Personne. Invitez un premier administrateur : clocher accounts invite --admin ADRESSE",
    )  # fmt: skip


def _spelled(held: dict[str, Any]) -> str:
    return f"{held['role']} ({held['member']})" if held["member"] else str(held["role"])


@command.command()
@click.argument("email")
@click.option("--name", help="By default what stands before the @.")
@click.option(
    "--language", type=click.Choice(LANGUAGES), default="fr", show_default=True, help="Of its pages and mails."
)
@click.option("--admin", is_flag=True, help="An administrator of the DSI: the role dsi_admin.")
@member_option
@role_option
@json_option
def invite(
    email: str, name: str | None, language: str, admin: bool, member: str | None, roles: tuple[str, ...], as_json: bool
) -> None:
    """Give a person roles, and print the first link. By it a password is chosen; the mail goes too."""
    wanted = {*roles, *(("dsi_admin",) if admin else ())}
    with staff_session() as session:
        house = reading.member(session, member).id if member else None
        invited = invitations.invite(
            session, email, name or email.split("@")[0], language, house, wanted, datetime.now(UTC)
        )
    link = f"{settings.load().public_url}/password/{invited.secret}" if invited.secret else None
    if as_json:
        print_json({"id": invited.account_id, "link": link})
    elif link:
        click.echo(link)
        click.echo(f"Le lien sert une fois, pendant {invitations.INVITED.days} jours.", err=True)
    else:
        click.echo("Cette personne a déjà un accès : les rôles sont donnés.", err=True)


@command.command("roles")
@click.argument("email")
@member_option
@role_option
@json_option
def set_roles(email: str, member: str | None, roles: tuple[str, ...], as_json: bool) -> None:
    """Give a person exactly these roles in one house. None: it leaves the house at once."""
    with staff_session() as session:
        account = _find(session, email)
        accounts.set_roles(session, account.id, reading.member(session, member).id if member else None, set(roles))
    if as_json:
        print_json({"id": account.id, "member": member, "roles": sorted(roles)})
    else:
        click.echo(f"{email} : {', '.join(sorted(roles)) or 'plus aucun rôle'} ({member or 'agglomération'}).")


@command.command()
@click.argument("email")
@yes_option
@json_option
def close(email: str, yes: bool, as_json: bool) -> None:
    """A person leaves. Roles, sessions and tokens end at once; what was ordered stays."""
    if not yes:
        confirm("Tous ses accès prennent fin. Continuer ?")
    with staff_session() as session:
        account = _find(session, email)
        accounts.close(session, account.id, datetime.now(UTC))
    if as_json:
        print_json({"id": account.id, "state": "closed"})
    else:
        click.echo(f"Le compte de {email} est fermé.")


def _find(session: Session, email: str) -> Account:
    found = accounts.by_email(session, email)
    if found is None:
        raise NotFound("unknown_account", Text("Le compte « {email} » n’existe pas.", email=email), "Vérifiez-le.")
    return found
