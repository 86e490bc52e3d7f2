"""`clocher --url … services` for the secrets of an application: listed, read once by the member's people, renewed."""

from __future__ import annotations

import click

from api.asking import confirm, yes_option
from api.commands.remote import client, read
from api.commands.services import service_argument
from api.commands.services_day2 import tell_flow
from api.output import json_option, print_json, print_rows
from api.v1.schemas import FlowOut
from api.v1.schemas_services import SecretOut, SecretShown

secret_argument = click.argument("name")


@click.command()
@service_argument
@json_option
def secrets(service_id: int, as_json: bool) -> None:
    """Which secrets open an application, and whether they were read."""
    found = client().call("GET", f"/services/{service_id}/secrets")["items"]
    rows = [read(SecretOut, row) for row in found]
    print_rows(
        rows if as_json else [{**row, "label": row["label"]["fr"]} for row in rows],
        [("name", "Secret"), ("label", "Ce que c’est"), ("made_at", "Fait le"), ("shown_at", "Lu le")],
        as_json=as_json,
        empty="Ce service n’a pas de secret à lire.",
    )


@click.command("show-secret")
@service_argument
@secret_argument
@yes_option
@json_option
def show_secret(service_id: int, name: str, yes: bool, as_json: bool) -> None:
    """Read a secret, which is done once: it alone is written on standard output."""
    if not yes:
        confirm(f"Le secret « {name} » ne se lit qu’une fois. Le lire maintenant ?")
    shown = read(SecretShown, client().call("POST", f"/services/{service_id}/secrets/{name}/show"))
    if as_json:
        print_json(shown)
    else:
        click.echo(shown["secret"])


@click.command("renew-secret")
@service_argument
@secret_argument
@yes_option
@json_option
def renew_secret(service_id: int, name: str, yes: bool, as_json: bool) -> None:
    """Ask for a new secret; the former one opens nothing any more."""
    if not yes:
        confirm(f"L’ancien secret « {name} » n’ouvrira plus rien. Le renouveler ?")
    tell_flow(read(FlowOut, client().call("POST", f"/services/{service_id}/secrets/{name}/renew")), as_json)


COMMANDS = (secrets, show_secret, renew_secret)
