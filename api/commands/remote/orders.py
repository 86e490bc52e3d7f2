"""`clocher --url … orders`."""

from __future__ import annotations

from typing import Any

import click

from api.commands.orders import order_argument, print_orders, read_answers, read_key, set_option, tell
from api.commands.remote import client, pages, read
from api.output import json_option
from api.v1.schemas import OrderOut


@click.group("orders", short_help="Orders: place, list, show, decide.")
def command() -> None:
    """What members asked for, there."""


@command.command()
@click.argument("offer")
@click.option("--member", help="For which member; left out by a member's own token.")
@click.option("--name", required=True, help="Name of the machine.")
@click.option("--ssh-key", "keys", multiple=True, help="A public key, or the path of its .pub file.")
@click.option("--image")
@click.option("--disk", "disk_gib", type=int, help="Data disk in GiB.")
@click.option("--public-address", is_flag=True, default=None)
@set_option
@click.option("--request-key", help="The same key again is the same order; by default a new one.")
@json_option
def place(
    offer: str, member: str | None, name: str, keys: tuple[str, ...], answers: tuple[str, ...],
    request_key: str | None, as_json: bool, **given: Any,
) -> None:  # fmt: skip
    """Order OFFER."""
    wish = {"name": name, "ssh_keys": [read_key(key) for key in keys]}
    wish |= {parameter: value for parameter, value in given.items() if value is not None}
    if answers:
        wish |= read_answers(client().call("GET", f"/catalogue/{offer}")["parameters"], answers)
    body = {"offer": offer, "parameters": wish, **({"member": member} if member else {})}
    tell(read(OrderOut, client().call("POST", "/orders", body, request_key=request_key)), as_json)


@command.command("list")
@click.option("--member", help="Of this member only.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1000))
@click.option("--after", type=click.IntRange(1, 2**63 - 1), help="Orders older than this one.")
@json_option
def list_(member: str | None, limit: int, after: int | None, as_json: bool) -> None:
    """The orders, newest first."""
    found = pages(client(), "/orders", limit, member=member, after=after)
    print_orders([read(OrderOut, row) for row in found], as_json)


@command.command()
@order_argument
@json_option
def show(order_id: int, as_json: bool) -> None:
    """One order with its frozen prices."""
    tell(read(OrderOut, client().call("GET", f"/orders/{order_id}")), as_json)


@command.command()
@order_argument
@json_option
def approve(order_id: int, as_json: bool) -> None:
    """Say yes to the present step of a waiting order."""
    tell(read(OrderOut, client().call("POST", f"/orders/{order_id}/approve")), as_json)


@command.command()
@order_argument
@click.option("--reason", required=True, help="Why; the member reads it.")
@json_option
def reject(order_id: int, reason: str, as_json: bool) -> None:
    """Refuse a waiting order."""
    tell(read(OrderOut, client().call("POST", f"/orders/{order_id}/reject", {"reason": reason})), as_json)


@command.command()
@order_argument
@json_option
def cancel(order_id: int, as_json: bool) -> None:
    """Take back a waiting order."""
    tell(read(OrderOut, client().call("POST", f"/orders/{order_id}/cancel")), as_json)
