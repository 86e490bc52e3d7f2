"""`clocher services` for test copies of applications, and services that go to another member."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import click

from api.asking import confirm, yes_option
from api.commands.orders import read_key
from api.commands.services_day2 import BIGGEST, change_options, service_argument, tell_flow
from api.formats import amount
from api.output import json_option, print_json
from api.staff import staff_session
from orchestrator.tables import Flow
from tenants import copies, moves, reading
from tenants.estimates import Estimated
from tenants.tables import Order

Wish = dict[str, Any]


def clone_command(look: Callable[[int, Wish], Wish], order: Callable[[int, Wish, str | None], Wish]) -> click.Command:
    """The command `clone`; look: the preview as the API gives it; order: the order."""

    @click.command("clone")
    @service_argument
    @click.option("--name", help="Ends with -essai; by default the original's name with that ending.")
    @click.option("--backup", "backup_id", type=click.IntRange(1, BIGGEST), help="By default the newest one.")
    @change_options
    def command(
        service_id: int, name: str | None, backup_id: int | None, dry_run: bool, request_key: str | None, as_json: bool
    ) -> None:
        """Order a test copy of an application: a service of its own, with the data of a backup."""
        wish = {"name": name, "backup_id": backup_id}
        if dry_run:
            tell_estimate(look(service_id, wish), as_json)
        else:
            tell_order(order(service_id, wish, request_key), as_json)

    return command


def refresh_command(act: Callable[[int], Wish]) -> click.Command:
    """The command `refresh`, which asks first; `act` returns the flow."""

    @click.command("refresh")
    @service_argument
    @yes_option
    @json_option
    def command(service_id: int, yes: bool, as_json: bool) -> None:
        """Give a test copy the data of its original's newest backup. What was written in the copy is lost."""
        if not yes:
            confirm("Tout ce qui a été écrit dans la copie est perdu. Reprendre les données de l’original ?")
        tell_flow(act(service_id), as_json)

    return command


def move_command(look: Callable[[int, Wish], Wish], order: Callable[[int, Wish, str | None], Wish]) -> click.Command:
    """The command `move`; look: the preview as the API gives it; order: the order."""

    @click.command("move")
    @service_argument
    @click.option("--to", required=True, metavar="MEMBER", help="Who gets it, by its slug.")
    @click.option("--name", help="Its name there; by default the present one.")
    @click.option("--ssh-key", "keys", multiple=True, help="Opens the new machine: a public key, or its .pub file.")
    @change_options
    def command(service_id: int, dry_run: bool, request_key: str | None, as_json: bool, **wish: Any) -> None:
        """Have an application go to another member, with its data. --dry-run says what that does and costs."""
        wish["ssh_keys"] = [read_key(key) for key in wish.pop("keys")]
        if dry_run:
            tell_estimate(look(service_id, wish), as_json)
        else:
            tell_order(order(service_id, wish, request_key), as_json)

    return command


def tell_order(order: Wish, as_json: bool) -> None:
    """Say what was ordered."""
    if as_json:
        print_json(order)
        return
    name, monthly = order["parameters"]["name"], amount(Decimal(order["monthly"]))
    click.echo(f"Commande {order['id']} : « {name} », {monthly} par mois, {order['state']}.")
    if order["flow_id"]:
        click.echo(f"Suivez-la : clocher flows watch {order['flow_id']}")


def tell_estimate(seen: Wish, as_json: bool) -> None:
    """Say what the new service would cost and take: a preview in JSON's types."""
    if as_json:
        print_json(seen)
        return
    click.echo(f"« {seen['name']} » : {amount(Decimal(seen['estimate']['monthly']))} par mois")
    for effect in seen.get("effects", ()):
        click.echo(f"- {effect}")
    for limit in seen["limits"]:
        click.echo(f"- {limit['label']} : {limit['held']} → {limit['after']} sur {limit['limit']}")
    if seen["steps"]:
        click.echo(f"Attendra l’accord de : {', '.join(seen['steps'])}")
    if refused := seen["refused"]:
        click.echo(f"Refusé pour l’instant : {refused['sentence']} {refused['action']}  [{refused['code']}]")


def estimate_document(seen: Estimated) -> Wish:
    """What a new service would cost and take, in JSON's types."""
    limits = [
        {"name": one.name, "label": str(one.label), "held": one.held, "after": one.after, "limit": one.limit}
        for one in seen.limits
    ]
    why = seen.refused
    return {
        "name": seen.parameters["name"], "estimate": seen.estimate.document(), "limits": limits,
        "steps": list(seen.steps),
        "refused": why and {"code": why.code, "sentence": str(why.sentence), "action": str(why.action)},
    }  # fmt: skip


def _look(service_id: int, wish: Wish) -> Wish:
    with staff_session() as session:
        return estimate_document(copies.preview(session, service_id, wish["name"], wish["backup_id"], _now()))


def _order(service_id: int, wish: Wish, request_key: str | None) -> Wish:
    key = request_key or secrets.token_urlsafe(16)
    with staff_session() as session:
        placed = copies.place(session, service_id, wish["name"], wish["backup_id"], key, _now())
        return reading.show(session, Order, placed.id)


def _look_move(service_id: int, wish: Wish) -> Wish:
    with staff_session() as session:
        seen = moves.preview(session, service_id, wish["to"], wish["name"], _now())
        told = {
            "silent": seen.silent,
            "before": seen.before,
            "after": seen.after,
            "effects": list(map(str, seen.effects)),
            "source": seen.source.slug,
            "target": seen.target.slug,
        }
        return estimate_document(replace(seen.estimated, refused=seen.refused)) | told


def _move(service_id: int, wish: Wish, request_key: str | None) -> Wish:
    key = request_key or secrets.token_urlsafe(16)
    with staff_session() as session:
        placed = moves.place(session, service_id, wish["to"], wish["name"], wish["ssh_keys"], key, _now())
        return reading.show(session, Order, placed.id)


def _refresh(service_id: int) -> Wish:
    with staff_session() as session:
        return reading.show(session, Flow, copies.refresh(session, service_id).id)


def _now() -> datetime:
    return datetime.now(UTC)


COMMANDS = (clone_command(_look, _order), refresh_command(_refresh), move_command(_look_move, _move))
