"""`clocher services` for what is done to a service that runs: changes (orders), operations, snapshots, protection."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import click

from api.asking import confirm, yes_option
from api.commands.orders import read_answers, set_option
from api.formats import amount, delta
from api.output import json_option, print_json, print_rows
from api.staff import staff_session
from orchestrator import settings
from orchestrator.tables import Flow, Service
from tenants import answering, changes, operations, reading, restoring, schedules
from tenants.tables import Order

BIGGEST = 2**63 - 1
service_argument = click.argument("service_id", type=click.IntRange(1, BIGGEST))
snapshot_argument = click.argument("snapshot_id", type=click.IntRange(1, BIGGEST))


def change_options(act: Callable[..., None]) -> Callable[..., None]:
    """The options of a command that orders a change."""
    act = json_option(act)
    act = click.option("--request-key", help="The same key again is the same order; by default a new one.")(act)
    return click.option("--dry-run", is_flag=True, help="Show what it would cost and do; order nothing.")(act)


def change_commands(order: Callable[..., None]) -> tuple[click.Command, click.Command, click.Command]:
    """The commands `resize`, `grow` and `address`; `order`: as `_change`."""

    @click.command()
    @service_argument
    @click.argument("offer")
    @change_options
    def resize(service_id: int, offer: str, **more: Any) -> None:
        """Order another size: that of OFFER."""
        order(service_id, {"offer": offer}, **more)

    @click.command()
    @service_argument
    @click.argument("disk_gib", type=click.IntRange(0, 2000))
    @click.option("--volume", help="Which volume; one that does not exist is added.")
    @change_options
    def grow(service_id: int, disk_gib: int, volume: str | None, **more: Any) -> None:
        """Order a volume of DISK_GIB: bigger, new, or none for 0."""
        order(service_id, {"disk_gib": disk_gib, **({"volume": volume} if volume else {})}, **more)

    @click.command()
    @service_argument
    @click.argument("wanted", type=click.Choice(["on", "off"]))
    @change_options
    def address(service_id: int, wanted: str, **more: Any) -> None:
        """Order a public address, or give it back."""
        order(service_id, {"public_address": wanted == "on"}, **more)

    return resize, grow, address


def change_command(read: Callable[[int], list[dict[str, Any]]], order: Callable[..., None]) -> click.Command:
    """The command `change`; `read`: the parameters of a service as the API lists them; `order`: as `_change`."""

    @click.command("change")
    @service_argument
    @set_option
    @change_options
    def command(service_id: int, answers: tuple[str, ...], **more: Any) -> None:
        """Order other answers to what an application asks. Without --set, say what may be changed."""
        known = read(service_id)
        if answers:
            order(service_id, {"answers": read_answers([one["rule"] for one in known], answers)}, **more)
        else:
            print_parameters(known, more["as_json"])

    return command


def print_parameters(rows: list[dict[str, Any]], as_json: bool) -> None:
    """What an application was asked, as a table."""
    shown = rows if as_json else [{**row, "label": row["label"]["fr"]} for row in rows]
    columns = [("name", "Paramètre"), ("label", "Libellé"), ("answer", "Réponse"), ("changeable", "Se change")]
    print_rows(shown, columns, as_json=as_json, empty="Ce service n’a pas de réglages.")


def _parameters(service_id: int) -> list[dict[str, Any]]:
    with staff_session() as session:
        return answering.listed(session, reading.find(session, Service, service_id))


def _change(service_id: int, wanted: dict[str, Any], dry_run: bool, request_key: str | None, as_json: bool) -> None:
    with staff_session() as session:
        now = datetime.now(UTC)
        if dry_run:
            tell_preview(preview_document(changes.preview(session, service_id, wanted, now)), as_json)
            return
        placed = changes.place(session, service_id, wanted, request_key or secrets.token_urlsafe(16), now)
        tell_change(reading.show(session, Order, placed.id), as_json)


resize, grow, address = change_commands(_change)
change = change_command(_parameters, _change)


def tell_change(order: dict[str, Any], as_json: bool) -> None:
    """Say what was ordered."""
    if as_json:
        print_json(order)
        return
    click.echo(f"Commande {order['id']} : {delta(order['difference'])} par mois, {order['state']}.")
    if order["flow_id"]:
        click.echo(f"Suivez-la : clocher flows watch {order['flow_id']}")


def tell_preview(seen: dict[str, Any], as_json: bool) -> None:
    """Say what a change would be: a preview in JSON's types."""
    if as_json:
        print_json(seen)
        return
    now, after, difference = (
        Decimal(x) for x in (seen["now"]["monthly"], seen["after"]["monthly"], seen["difference"])
    )
    click.echo(f"{amount(now)} → {amount(after)} par mois ({delta(difference)})")
    for effect in seen["effects"]:
        click.echo(f"- {effect}")
    for limit in seen["limits"]:
        click.echo(f"- {limit['label']} : {limit['held']} → {limit['after']} sur {limit['limit']}")
    if seen["steps"]:
        click.echo(f"Attendra l’accord de : {', '.join(seen['steps'])}")
    if refused := seen["refused"]:
        click.echo(
            f"Refusé pour l’instant : {refused['sentence']} {refused['action']}".strip() + f"  [{refused['code']}]"
        )


def preview_document(seen: changes.Preview) -> dict[str, Any]:
    """A preview in JSON's types."""
    return {
        "kind": seen.kind,
        "now": seen.now.document(),
        "after": seen.after.document(),
        "difference": seen.difference,
        "limits": [{"name": limit.name, "label": str(limit.label), **_figures(limit)} for limit in seen.limits],
        "effects": list(map(str, seen.effects)),
        "harmful": seen.harmful,
        "steps": list(seen.steps),
        "refused": seen.refused
        and {"code": seen.refused.code, "sentence": str(seen.refused.sentence), "action": str(seen.refused.action)},
    }


def _figures(limit: changes.Limit) -> dict[str, str]:
    return {name: f"{getattr(limit, name):f}" for name in ("held", "after", "limit")}


@click.command()
@service_argument
@click.option("--hard", is_flag=True, help="Cut the power instead of asking the system.")
@json_option
def reboot(service_id: int, hard: bool, as_json: bool) -> None:
    """Ask for a server to be restarted."""
    with staff_session() as session:
        flow = operations.reboot(session, service_id, hard=hard)
        tell_flow(reading.show(session, Flow, flow.id), as_json)


@click.command()
@service_argument
@click.argument("name")
@json_option
def rename(service_id: int, name: str, as_json: bool) -> None:
    """Ask for a server to get another NAME."""
    with staff_session() as session:
        flow = operations.rename(session, service_id, name)
        tell_flow(reading.show(session, Flow, flow.id), as_json)


@click.command()
@service_argument
@click.option("--off", is_flag=True, help="Lift the protection.")
@json_option
def protect(service_id: int, off: bool, as_json: bool) -> None:
    """Protect a service from what destroys data. That is deletion, restoration and whatever makes it smaller."""
    with staff_session() as session:
        operations.protect(session, service_id, not off)
        tell_protected(reading.show(session, Service, service_id), off, as_json)


def tell_protected(service: dict[str, Any], off: bool, as_json: bool) -> None:
    """Say whether a service is protected."""
    if as_json:
        print_json(service)
    else:
        click.echo(f"« {service['name']} » {'n’est plus' if off else 'est'} protégé.")


@click.command()
@service_argument
@json_option
def snapshots(service_id: int, as_json: bool) -> None:
    """The snapshots of a service, newest first."""
    with staff_session() as session:
        reading.find(session, Service, service_id)
        rows = reading.snapshots(session, service_id)
    print_snapshots(service_id, rows, as_json)


def print_snapshots(service_id: int, rows: list[dict[str, Any]], as_json: bool) -> None:
    """Snapshots as a table."""
    print_rows(
        rows,
        [("id", "N°"), ("name", "Nom"), ("state", "État"), ("size_gib", "Gio"), ("created_at", "Fait le"),
         ("scheduled", "Planifié")],
        as_json=as_json,
        empty=f"Aucun instantané. Faites-en un : clocher services snapshot {service_id} NOM",
    )  # fmt: skip


@click.command()
@service_argument
@click.argument("name")
@json_option
def snapshot(service_id: int, name: str, as_json: bool) -> None:
    """Keep a service as it is now, under a NAME."""
    with staff_session() as session:
        _, flow = operations.snapshot(session, service_id, name, most=settings.load().snapshots_per_service)
        tell_flow(reading.show(session, Flow, flow.id), as_json)


@click.command()
@service_argument
@snapshot_argument
@click.option("--volumes", is_flag=True, help="Its data volumes too.")
@click.option("--safety", metavar="NAME", help="First keep what is there today, as a snapshot of this NAME.")
@yes_option
@json_option
def restore(service_id: int, snapshot_id: int, volumes: bool, safety: str | None, yes: bool, as_json: bool) -> None:
    """Bring a service back to a snapshot. What was written since is lost."""
    most = settings.load().snapshots_per_service
    if not yes:
        with staff_session() as session:
            seen = restoring.preview(session, service_id, snapshot_id, datetime.now(UTC), most=most)
        loss = seen.loses_more if volumes and seen.volumes else seen.loses
        confirm(f"{loss} Restaurer ?")
    with staff_session() as session:
        flow = operations.restore(session, service_id, snapshot_id, volumes=volumes, safety=safety, most=most)
        tell_flow(reading.show(session, Flow, flow.id), as_json)


@click.command("delete-snapshot")
@service_argument
@snapshot_argument
@yes_option
@json_option
def delete_snapshot(service_id: int, snapshot_id: int, yes: bool, as_json: bool) -> None:
    """Delete a snapshot for good."""
    if not yes:
        ask_to_delete_snapshot(snapshot_id)
    with staff_session() as session:
        flow = operations.delete_snapshot(session, service_id, snapshot_id)
        tell_flow(reading.show(session, Flow, flow.id), as_json)


def ask_to_delete_snapshot(snapshot_id: int) -> None:
    """Say that a snapshot is gone for good, and ask."""
    confirm(f"L’instantané {snapshot_id} et les fichiers qu’il garde sont supprimés pour de bon. Le supprimer ?")


def schedule_options(act: Callable[..., None]) -> Callable[..., None]:
    """The options of a command that says when snapshots are made by themselves, and how many are kept."""
    act = json_option(act)
    act = click.option("--off", is_flag=True, help="Make no more.")(act)
    for name, usual in (("monthly", 0), ("weekly", 4), ("daily", 7)):
        kept, told = click.IntRange(0, 100), f"How many {name} ones are kept."
        act = click.option(f"--{name}", type=kept, default=usual, show_default=True, help=told)(act)
    hour = click.option("--hour", type=click.IntRange(0, 23), default=2, show_default=True, help="Local hour.")
    return hour(act)


@click.command()
@service_argument
@schedule_options
def schedule(
    service_id: int, hour: int, daily: int, weekly: int, monthly: int, off: bool, as_json: bool
) -> None:  # fmt: skip
    """Snapshot a service every night, and keep so many."""
    with staff_session() as session:
        if off:
            schedules.remove(session, service_id)
        else:
            most = settings.load().snapshots_per_service
            now = datetime.now(UTC)
            schedules.put(session, service_id, now, hour=hour, daily=daily, weekly=weekly, monthly=monthly, most=most)
    kept = {"service_id": service_id, "hour": hour, "daily": daily, "weekly": weekly, "monthly": monthly}
    tell_schedule(None if off else kept, as_json)


def tell_schedule(made: dict[str, Any] | None, as_json: bool) -> None:
    """Say when snapshots are made; None: no more."""
    if as_json:
        print_json({"schedule": made})
    else:
        click.echo(f"Un instantané chaque jour à {made['hour']} h." if made else "Plus d’instantané planifié.")


def tell_flow(flow: dict[str, Any], as_json: bool) -> None:
    """Say that a flow is queued."""
    if as_json:
        print_json(flow)
    else:
        click.echo(f"Opération {flow['id']} en file. Suivez-la : clocher flows watch {flow['id']}")


COMMANDS = (
    resize, grow, address, change, reboot, rename, protect, snapshot, snapshots, restore, delete_snapshot, schedule,
)  # fmt: skip
