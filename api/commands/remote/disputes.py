"""`clocher --url … disputes`."""

from __future__ import annotations

from typing import Any

import click

from api.commands.disputes import (
    because,
    by_quantity,
    decimal,
    in_euros,
    in_state,
    number,
    of_member,
    print_disputes,
    tell,
    what_is_said,
)
from api.commands.remote import client, pages, read
from api.output import json_option
from api.v1.schemas_disputes import DisputeDetail, DisputeOut


@click.group("disputes", short_help="What members object to: list, show, open, withdraw, answer, settle, reject.")
def command() -> None:
    """Objections of members to lines of their closed statements, there."""


@command.command("list")
@in_state
@of_member
@json_option
def list_(state: str | None, member: str | None, as_json: bool) -> None:
    """Disputes, the newest first."""
    found = pages(client(), "/disputes", 1000, state=state, member=member)
    print_disputes([read(DisputeOut, row) for row in found], as_json)


@command.command()
@number
@json_option
def show(dispute_id: int, as_json: bool) -> None:
    """One dispute, with the line that it is about."""
    tell(read(DisputeDetail, client().call("GET", f"/disputes/{dispute_id}")), as_json)


@command.command("open")
@click.argument("statement_id", metavar="STATEMENT", type=click.IntRange(1))
@click.argument("position", metavar="LINE", type=click.IntRange(1))
@click.option("--because", required=True, help="What is wrong; finance reads it.")
@json_option
def open_(statement_id: int, position: int, because: str, as_json: bool) -> None:
    """Object to a line of a closed statement. One at a time on each line."""
    path = f"/statements/{statement_id}/lines/{position}/disputes"
    tell(read(DisputeDetail, client().call("POST", path, {"reason": because})), as_json)


@command.command()
@number
@json_option
def withdraw(dispute_id: int, as_json: bool) -> None:
    """Object no longer."""
    _act(dispute_id, "withdraw", None, as_json)


@command.command()
@number
@what_is_said
@json_option
def answer(dispute_id: int, words: str, as_json: bool) -> None:
    """Answer one. It stays open."""
    _act(dispute_id, "answer", {"answer": words}, as_json)


@command.command()
@number
@in_euros
@by_quantity
@because
@json_option
def settle(dispute_id: int, amount: str | None, quantity: str | None, because: str, as_json: bool) -> None:
    """Settle one. By a line of the next month that is open."""
    given = {"amount": decimal(amount), "quantity": decimal(quantity)}
    decided = {name: f"{value:f}" for name, value in given.items() if value is not None}
    _act(dispute_id, "settle", {"decision": because, **decided}, as_json)


@command.command()
@number
@because
@json_option
def reject(dispute_id: int, because: str, as_json: bool) -> None:
    """Turn one down."""
    _act(dispute_id, "reject", {"decision": because}, as_json)


def _act(dispute_id: int, verb: str, given: dict[str, Any] | None, as_json: bool) -> None:
    tell(read(DisputeDetail, client().call("POST", f"/disputes/{dispute_id}/{verb}", given)), as_json)
