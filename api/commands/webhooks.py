"""`clocher webhooks`."""

from __future__ import annotations

from datetime import UTC, datetime

import click
import sqlalchemy as sa

from api.output import json_option, print_json, print_rows
from api.staff import staff_session
from api.telling import SEAL
from orchestrator import sealing, settings
from orchestrator.tables import Member
from tenants import outside, reading, webhooks
from tenants.approvers import Desk

endpoint_argument = click.argument("endpoint_id", type=click.IntRange(1, 2**63 - 1))


@click.group("webhooks", short_help="Who is told of events: list, add, test, replay.")
def command() -> None:
    """Endpoints that are told of events in the form of Standard Webhooks, and what was sent to them."""


@command.command("list")
@click.option(
    "--log", "endpoint_id", type=click.IntRange(1, 2**63 - 1), help="What was sent to this one, newest first."
)
@json_option
def list_(endpoint_id: int | None, as_json: bool) -> None:
    """All endpoints, or what was sent to one. Those of the territory and of all members."""
    if endpoint_id is not None:
        _show_log(endpoint_id, as_json)
        return
    names = ("id", "label", "url", "events", "state", "failing_since", "made_by", "made_at")
    with staff_session() as session:
        slugs = {member.id: member.slug for member in session.scalars(sa.select(Member))}
        rows = [
            {**{name: getattr(row, name) for name in names}, "member": slugs.get(row.member_id or 0)}
            for row in webhooks.listed(session, None, everybody=True)
        ]
    print_rows(
        rows if as_json else [row | {"events": ", ".join(row["events"]) or "tous"} for row in rows],
        [("id", "N°"), ("member", "Membre"), ("label", "Libellé"), ("url", "Adresse"), ("events", "Événements"),
         ("state", "État"), ("failing_since", "En échec depuis")],
        as_json=as_json,
        empty="Aucun abonnement. Ajoutez-en un : clocher webhooks add --help",
    )  # fmt: skip


def _show_log(endpoint_id: int, as_json: bool) -> None:
    with staff_session() as session:
        sent, _ = webhooks.deliveries(session, endpoint_id)
    rows = []
    for one in sent:
        last = one.pop("tries")[-1:]
        told = {name: getattr(last[0], name) if last else None for name in ("at", "status", "milliseconds", "error")}
        rows.append(one | told)
    print_rows(
        rows,
        [("id", "N°"), ("event", "Événement"), ("state", "État"), ("attempts", "Essais"), ("at", "Dernier essai"),
         ("status", "Réponse"), ("milliseconds", "ms"), ("error", "Erreur")],
        as_json=as_json,
        empty="Rien n’a été envoyé.",
    )  # fmt: skip


@command.command()
@click.argument("url")
@click.option("--label", required=True, help="What receives them.")
@click.option("--member", help="Short name of the member; without it, the territory, which is told of everything.")
@click.option("--event", "events", multiple=True, type=click.Choice(webhooks.EVENTS), help="May be repeated; else all.")
@json_option
def add(url: str, label: str, member: str | None, events: tuple[str, ...], as_json: bool) -> None:
    """Tell URL of events. The secret that verifies them is shown this once."""
    chosen = settings.load()
    rules = outside.Rules.of(chosen.webhook_networks, chosen.webhook_timeout)
    with staff_session() as session:
        who = Desk(session.info["actor"], member_id=reading.member(session, member).id if member else None)
        box = sealing.box(chosen, SEAL)
        endpoint, secret = webhooks.add(session, box, rules, who, label, url, events, datetime.now(UTC))
    if as_json:
        print_json({"id": endpoint.id, "member": member, "url": url, "events": endpoint.events, "secret": secret})
        return
    click.echo(secret)
    click.echo(f"Abonnement {endpoint.id}. Ce secret ne sera plus montré.", err=True)


@command.command()
@endpoint_argument
def test(endpoint_id: int) -> None:
    """Send a test event."""
    with staff_session() as session:
        delivery = webhooks.test(session, endpoint_id, datetime.now(UTC))
    click.echo(f"Envoi {delivery.id} demandé ; voyez ce qui en advient : clocher webhooks list --log {endpoint_id}")


@command.command()
@endpoint_argument
@click.option("--since", type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]), help="UTC; what failed since then.")
@click.option("--delivery", "delivery_id", type=click.IntRange(1, 2**63 - 1), help="Only this one.")
@click.option("--all", "sent_too", is_flag=True, help="With --since: what was received too.")
def replay(endpoint_id: int, since: datetime | None, delivery_id: int | None, sent_too: bool) -> None:
    """Send again what failed, under the same ids."""
    if (since is None) == (delivery_id is None):
        raise click.UsageError("Give --since or --delivery.")
    at = datetime.now(UTC)
    with staff_session() as session:
        if delivery_id is not None:
            webhooks.replay(session, delivery_id, at)
            count = 1
        else:
            assert since
            count = webhooks.replay_since(session, endpoint_id, since.replace(tzinfo=UTC), at, sent_too=sent_too)
    click.echo(f"{count} envoi(s) à rejouer.")
