"""`clocher --url … services` for what is done to a service that runs; as `api.commands.services_day2` does it here."""

from __future__ import annotations

from typing import Any

import click

from api.asking import confirm, yes_option
from api.commands.remote import client, pages, read
from api.commands.services_day2 import (
    ask_to_delete_snapshot,
    change_command,
    change_commands,
    print_snapshots,
    schedule_options,
    service_argument,
    snapshot_argument,
    tell_change,
    tell_flow,
    tell_preview,
    tell_protected,
    tell_schedule,
)
from api.output import json_option
from api.v1.schemas import FlowOut, OrderOut, ServiceOut
from api.v1.schemas_services import SnapshotOut


def _change(service_id: int, wanted: dict[str, Any], dry_run: bool, request_key: str | None, as_json: bool) -> None:
    path = f"/services/{service_id}/changes"
    if dry_run:
        tell_preview(client().call("POST", f"{path}/preview", wanted), as_json)
    else:
        tell_change(read(OrderOut, client().call("POST", path, wanted, request_key=request_key)), as_json)


def _parameters(service_id: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client().call("GET", f"/services/{service_id}/changes/parameters")["items"]
    return found


resize, grow, address = change_commands(_change)
change = change_command(_parameters, _change)


@click.command()
@service_argument
@click.argument("name")
@json_option
def rename(service_id: int, name: str, as_json: bool) -> None:
    """Ask for a server to get another NAME."""
    _queue(f"/services/{service_id}/rename", {"name": name}, as_json)


def _queue(path: str, body: dict[str, Any], as_json: bool) -> None:
    tell_flow(read(FlowOut, client().call("POST", path, body)), as_json)


@click.command()
@service_argument
@click.option("--off", is_flag=True, help="Lift the protection.")
@json_option
def protect(service_id: int, off: bool, as_json: bool) -> None:
    """Protect a service from deletion, restoration and whatever makes it smaller."""
    answer = client().call("POST", f"/services/{service_id}/{'unprotect' if off else 'protect'}")
    tell_protected(read(ServiceOut, answer), off, as_json)


@click.command()
@service_argument
@json_option
def snapshots(service_id: int, as_json: bool) -> None:
    """The snapshots of a service, newest first."""
    found = pages(client(), f"/services/{service_id}/snapshots", 1000)
    print_snapshots(service_id, [read(SnapshotOut, row) for row in found], as_json)


@click.command()
@service_argument
@click.argument("name")
@json_option
def snapshot(service_id: int, name: str, as_json: bool) -> None:
    """Keep a service as it is now, under a NAME."""
    made = client().call("POST", f"/services/{service_id}/snapshots", {"name": name})
    tell_flow(read(FlowOut, made["flow"]), as_json)


@click.command()
@service_argument
@snapshot_argument
@click.option("--volumes", is_flag=True, help="Its data volumes too.")
@click.option("--safety", metavar="NAME", help="First keep what is there today, as a snapshot of this NAME.")
@yes_option
@json_option
def restore(service_id: int, snapshot_id: int, volumes: bool, safety: str | None, yes: bool, as_json: bool) -> None:
    """Bring a service back to a snapshot; what was written since is lost."""
    if not yes:
        confirm("Tout ce qui a été écrit depuis cet instantané est perdu. Restaurer ?")
    body = {"volumes": volumes, **({"safety": safety} if safety else {})}
    _queue(f"/services/{service_id}/snapshots/{snapshot_id}/restore", body, as_json)


@click.command("delete-snapshot")
@service_argument
@snapshot_argument
@yes_option
@json_option
def delete_snapshot(service_id: int, snapshot_id: int, yes: bool, as_json: bool) -> None:
    """Delete a snapshot for good."""
    if not yes:
        ask_to_delete_snapshot(snapshot_id)
    gone = client().call("DELETE", f"/services/{service_id}/snapshots/{snapshot_id}")
    tell_flow(read(FlowOut, gone), as_json)


@click.command()
@service_argument
@schedule_options
def schedule(service_id: int, off: bool, as_json: bool, **chosen: int) -> None:
    """Snapshot a service every night, and keep so many."""
    path = f"/services/{service_id}/snapshot-schedule"
    if off:
        client().call("DELETE", path)
        tell_schedule(None, as_json)
    else:
        client().call("PUT", path, chosen)
        tell_schedule({"service_id": service_id, **chosen}, as_json)


COMMANDS = (
    resize, grow, address, change, rename, protect, snapshot, snapshots, restore, delete_snapshot, schedule,
)  # fmt: skip
