"""`clocher orders`."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from api import words
from api.formats import cell
from api.output import euros, json_option, print_json, print_rows
from api.staff import staff_session
from orchestrator.errors import InvalidInput
from tenants import catalogue, orders, parameters, reading
from tenants.tables import Order

order_argument = click.argument("order_id", type=click.IntRange(1, 2**63 - 1))


set_option = click.option(
    "--set",
    "answers",
    multiple=True,
    metavar="NAME=ANSWER",
    help="An answer to what the application asks; once for each.",
)


def read_answers(rules: list[dict[str, Any]], given: tuple[str, ...]) -> dict[str, Any]:
    """Answers given as NAME=ANSWER, each as the type of its rule."""
    pairs = dict(answer.partition("=")[::2] for answer in given)
    return parameters.from_texts(rules, pairs)


@click.group("orders", short_help="Orders: place, list, approve, reject.")
def command() -> None:
    """What members asked for."""


@command.command()
@click.argument("offer")
@click.option("--member", required=True, help="For which member (short name).")
@click.option("--name", required=True, help="Name of the machine.")
@click.option("--ssh-key", "keys", multiple=True, help="A public key, or the path of its .pub file.")
@click.option("--image", help="The system, among those of the offer; by default its first.")
@click.option("--disk", "disk_gib", type=int, help="Data disk in GiB.")
@click.option("--public-address", is_flag=True, default=None, help="Reachable from outside the member's network.")
@set_option
@click.option("--request-key", help="The same key again is the same order; by default a new one.")
@json_option
def place(
    offer: str, member: str, name: str, keys: tuple[str, ...], answers: tuple[str, ...], request_key: str | None,
    as_json: bool, **given: Any,
) -> None:  # fmt: skip
    """Order OFFER for a member."""
    wish = {"name": name, "ssh_keys": [read_key(key) for key in keys]}
    wish |= {parameter: value for parameter, value in given.items() if value is not None}
    with staff_session() as session:
        chosen = reading.member(session, member)
        wish |= read_answers(catalogue.find(session, offer).parameters["rules"], answers)
        placed = orders.place(
            session, chosen.id, offer, wish, request_key or secrets.token_urlsafe(16), datetime.now(UTC)
        )
        tell(reading.show(session, Order, placed.id), as_json)


def read_key(given: str) -> str:
    """A public key as it was given, or from its file. Raises invalid_ssh_key."""
    if " " in given:
        return given
    try:
        return Path(given).expanduser().read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(
            "invalid_ssh_key", f"Le fichier {given} ne se lit pas.", "Donnez une clé publique ou le chemin d’un .pub."
        ) from error


@command.command("list")
@click.option("--member", help="Of this member only.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1000), help="How many at most.")
@click.option("--after", type=click.IntRange(1, 2**63 - 1), help="Orders older than this one.")
@json_option
def list_(member: str | None, limit: int, after: int | None, as_json: bool) -> None:
    """The orders, newest first."""
    with staff_session() as session:
        rows, _ = reading.page(session, Order, after=after, limit=limit, member=member)
    print_orders(rows, as_json)


def print_orders(rows: list[dict[str, Any]], as_json: bool) -> None:
    """Orders as a table."""
    print_rows(
        [{**row, "name": row["parameters"]["name"]} for row in rows],
        [("id", "N°"), ("member", "Membre"), ("name", "Nom"), ("state", "État", "order"), ("monthly", "€ par mois"),
         ("placed_at", "Passée le"), ("reason", "Motif")],
        as_json=as_json,
        empty="Aucune commande. Passez-en une : clocher orders place --help",
    )  # fmt: skip


@command.command()
@order_argument
@json_option
def show(order_id: int, as_json: bool) -> None:
    """One order with its frozen prices."""
    with staff_session() as session:
        tell(reading.show(session, Order, order_id), as_json)


@command.command()
@order_argument
@json_option
def approve(order_id: int, as_json: bool) -> None:
    """Start a waiting order."""
    with staff_session() as session:
        orders.approve(session, order_id, datetime.now(UTC))
        tell(reading.show(session, Order, order_id), as_json)


@command.command()
@order_argument
@click.option("--reason", required=True, help="Why; the member reads it.")
@json_option
def reject(order_id: int, reason: str, as_json: bool) -> None:
    """Refuse a waiting order."""
    with staff_session() as session:
        orders.reject(session, order_id, reason, datetime.now(UTC))
        tell(reading.show(session, Order, order_id), as_json)


@command.command()
@order_argument
@json_option
def cancel(order_id: int, as_json: bool) -> None:
    """Take back a waiting order."""
    with staff_session() as session:
        orders.cancel(session, order_id, datetime.now(UTC))
        tell(reading.show(session, Order, order_id), as_json)


def tell(order: dict[str, Any], as_json: bool) -> None:
    """One order in a line, and how to follow it."""
    if as_json:
        print_json(order)
        return
    click.echo(
        f"Commande {order['id']} de {order['member']} : {order['parameters']['name']},"
        f" {euros(order['monthly'])} par mois, {words.french(order['state'], 'order')}"
        f" ({cell(order['decided_at'] or order['placed_at'])})"
    )
    if order["flow_id"]:
        click.echo(f"Suivez sa création : clocher flows watch {order['flow_id']}")
