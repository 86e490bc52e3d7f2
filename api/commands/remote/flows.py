"""`clocher --url … flows`."""

from __future__ import annotations

from typing import Any

import click

from api.asking import yes_option
from api.client import Client
from api.commands.flows import (
    ask_to_cancel,
    ask_to_undo,
    flow_argument,
    follow,
    print_flows,
    tell_cancelled,
    tell_keeper,
    tell_repair,
)
from api.commands.remote import client, pages, read
from api.output import json_option
from api.v1.schemas import FlowDetail, FlowOut
from orchestrator.tables import FLOW_STATES


@click.group("flows", short_help="The runs of operations: list, watch, cancel, repair.")
def command() -> None:
    """The runs of operations, there."""


@command.command("list")
@click.option("--state", type=click.Choice(FLOW_STATES), help="Only this state.")
@click.option("--member", help="Only this member (its slug).")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1000))
@json_option
def list_(state: str | None, member: str | None, limit: int, as_json: bool) -> None:
    """List the latest flows."""
    found = pages(client(), "/flows", limit, state=state, member=member)
    print_flows([_row(read(FlowOut, row)) for row in found], as_json)


def _row(flow: dict[str, Any]) -> dict[str, Any]:
    """As the commands here show it."""
    return {**flow, "flow": flow["id"], "service": flow["service_id"], "error": flow["error_sentence"]}


@command.command()
@flow_argument
@json_option
def watch(flow: int, as_json: bool) -> None:
    """Follow a flow until it ends; each step as it happens. Exit status 1 when it did not succeed."""
    far = client()
    follow(lambda: _look(far, flow), as_json)


def _look(far: Client, flow: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    found = read(FlowDetail, far.call("GET", f"/flows/{flow}"))
    steps = found.pop("steps")
    del found["tasks"]
    return _row(found), steps


@command.command()
@flow_argument
@yes_option
@json_option
def cancel(flow: int, yes: bool, as_json: bool) -> None:
    """Ask a flow to stop and undo what it made."""
    far = client()
    if not yes:
        found = far.call("GET", f"/flows/{flow}")
        ask_to_cancel(flow, found["kind"], far.call("GET", f"/services/{found['service_id']}")["name"])
    asked = read(FlowOut, far.call("POST", f"/flows/{flow}/cancel"))
    tell_cancelled(flow, asked["state"], as_json)


@command.command()
@flow_argument
@json_option
def retry(flow: int, as_json: bool) -> None:
    """Run an operation that is held again, from the step that failed."""
    again = read(FlowOut, client().call("POST", f"/flows/{flow}/retry"))
    tell_repair(flow, again["state"], "reprend à l’étape qui a échoué", as_json)


@command.command()
@flow_argument
@yes_option
@json_option
def undo(flow: int, yes: bool, as_json: bool) -> None:
    """Undo what an operation that is held has made; it then has failed."""
    if not yes:
        ask_to_undo(flow)
    again = read(FlowOut, client().call("POST", f"/flows/{flow}/undo"))
    tell_repair(flow, again["state"], "défait ce qu’elle a créé", as_json)


@command.command("hand-over")
@flow_argument
@click.argument("to", default="")
@click.option("--note", default="", help="What they should know.")
@json_option
def hand_over(flow: int, to: str, note: str, as_json: bool) -> None:
    """Say that TO (without it: the token's holder) is on an operation."""
    body = {"note": note} | ({"to": to} if to else {})
    found = read(FlowOut, client().call("POST", f"/flows/{flow}/hand-over", body))
    tell_keeper(flow, found["keeper"], as_json)
