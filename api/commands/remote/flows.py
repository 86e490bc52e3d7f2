"""`clocher --url … flows`."""

from __future__ import annotations

from typing import Any

import click

from api.asking import yes_option
from api.client import Client
from api.commands.flows import ask_to_cancel, follow, print_flows, tell_cancelled
from api.commands.remote import client, pages, read
from api.output import json_option
from api.v1.schemas import FlowDetail, FlowOut
from orchestrator.tables import FLOW_STATES


@click.group("flows", short_help="The runs of operations: list, watch, cancel.")
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
@click.argument("flow", type=click.IntRange(1, 2**63 - 1))
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
@click.argument("flow", type=click.IntRange(1, 2**63 - 1))
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
