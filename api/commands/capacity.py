"""`clocher capacity`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from api.output import json_option, print_rows
from api.staff import staff_session
from orchestrator import settings
from tenants import capacity, capacity_trend, quotas, workers


@click.group("capacity", short_help="What the cloud has left, what members use, who works.")
def command() -> None:
    """What workers read in the cloud, and when; nothing here asks the cloud itself."""


@command.command("list")
@json_option
def list_(as_json: bool) -> None:
    """What the cloud has, by resource. What is left, and when it will be full."""
    with staff_session() as session:
        found = capacity_trend.summary(session, datetime.now(UTC))
    plain = ("resource", "at", "total", "reserved", "room", "used", "left")
    rows = [{**{name: one[name] for name in plain}, "days_left": one["trend"].days_left} for one in found]
    print_rows(
        rows,
        [("resource", "Ressource"), ("room", "À donner"), ("used", "Pris"), ("left", "Libre"),
         ("days_left", "Plein dans (jours)"), ("at", "Lu")],
        as_json=as_json,
        empty="Aucun relevé : un exécutant en fait un par heure (clocher worker).",
    )  # fmt: skip


@command.command()
@json_option
def hosts(as_json: bool) -> None:
    """The hosts of the cloud, as they were last told."""
    names = ("name", "state", "status", "read_at")
    with staff_session() as session:
        rows = [{name: getattr(one, name) for name in names} for one in capacity.hypervisors(session)]
    print_rows(
        rows,
        [("name", "Hôte"), ("state", "État"), ("status", "Service"), ("read_at", "Lu")],
        as_json=as_json,
        empty="Aucun hôte n’a encore été lu.",
    )  # fmt: skip


@command.command("quotas")
@click.option("--odd", is_flag=True, help="Only where limit, held and used differ.")
@json_option
def quotas_(odd: bool, as_json: bool) -> None:
    """What each member may hold and holds. And what the cloud says that it uses."""
    with staff_session() as session:
        rows = capacity.quota_use(session, settings.load().snapshots_per_service)
    rows = [row for row in rows if not odd or any(count["odd"] for count in row["counts"].values())]
    print_rows(
        rows if as_json else [_figures(row) for row in rows],
        [("slug", "Membre"), *((name, str(label)) for name, label in quotas.LABELS.items())],
        as_json=as_json,
        empty="Aucun membre." if not odd else "Rien ne diffère.",
    )


def _figures(row: dict[str, Any]) -> dict[str, Any]:
    """held / limit of each, and what the cloud says where that is another figure."""
    told = {"slug": row["slug"]}
    for name, count in row["counts"].items():
        used = f" ({count['used']} pris)" if count["used"] not in (None, count["held"]) else ""
        told[name] = f"{count['held']} / {count['limit']}{used}"
    return told


@command.command("workers")
@json_option
def workers_(as_json: bool) -> None:
    """The workers: alive or silent, what each runs."""
    with staff_session() as session:
        found = workers.listed(session, datetime.now(UTC), settings.load().dead_after_seconds)
    rows = [
        {"id": one["row"].id, "host": one["row"].host, "state": one["state"], "seen_at": one["row"].seen_at,
         "flows": [flow.id for flow in one["flows"]]}
        for one in found
    ]  # fmt: skip
    if not as_json:
        rows = [{**row, "flows": ", ".join(map(str, row["flows"]))} for row in rows]
    print_rows(
        rows,
        [("id", "Exécutant"), ("host", "Machine"), ("state", "État"), ("seen_at", "Vu"), ("flows", "Opérations")],
        as_json=as_json,
        empty="Aucun exécutant. Lancez-en un : clocher worker",
    )
