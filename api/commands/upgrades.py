"""`clocher upgrades`: what the DSI plans, and when members let it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from api.commands.services_day2 import service_argument
from api.output import json_option, print_json, print_rows
from api.staff import staff_session
from orchestrator import settings
from tenants import reading, upgrades_planned, windows
from tenants.upgrades_planned import Rules


@click.group(
    "upgrades", short_help="Planned upgrades and windows of maintenance: list, plan, cancel, postpone, window."
)
def command() -> None:
    """Upgrades of applications, planned in each member's window of maintenance; workers carry them out."""


@command.command("list")
@click.option("--open", "open_only", is_flag=True, help="Only what is planned or under way.")
@json_option
def list_(open_only: bool, as_json: bool) -> None:
    """What is planned, and then what ended."""
    with staff_session() as session:
        rows = upgrades_planned.listed(session, open_only=open_only)
    _print(rows, as_json)


def _print(rows: list[dict[str, Any]], as_json: bool) -> None:
    print_rows(
        rows,
        [("id", "N°"), ("name", "Service"), ("member", "Membre"), ("running", "Version"), ("version", "Vers"),
         ("state", "État", "plan"), ("starts_at", "À partir de"), ("ends_at", "Jusqu’à"), ("told_at", "Annoncée"),
         ("said", "À savoir", "obstacle"), ("reason", "Report")],
        as_json=as_json,
        empty="Aucune mise à jour prévue. Prévoyez-en : clocher upgrades plan OFFRE",
    )  # fmt: skip


@command.command()
@click.argument("offer")
@click.option("--day", type=click.DateTime(["%Y-%m-%d"]), help="Not before this day.")
@click.option("--dry-run", is_flag=True, help="Say what would be upgraded and when; change nothing.")
@json_option
def plan(offer: str, day: datetime | None, dry_run: bool, as_json: bool) -> None:
    """Plan the upgrade of every service of an offer that has an older version, in its member's window."""
    chosen = day.date() if day else None
    with staff_session() as session:
        rows = upgrades_planned.plan(
            session, offer, datetime.now(UTC), Rules.of(settings.load()), day=chosen, dry_run=dry_run
        )
    _print(rows, as_json)


@command.command()
@click.argument("upgrade_id", type=int, metavar="N")
def cancel(upgrade_id: int) -> None:
    """Give a planned upgrade up; its member is told, if it knew."""
    with staff_session() as session:
        upgrades_planned.cancel(session, upgrade_id, datetime.now(UTC))
    click.echo("Annulée.")


@command.command()
@service_argument
@click.option("--reason", required=True, help="Why; the DSI reads it.")
@json_option
def postpone(service_id: int, reason: str, as_json: bool) -> None:
    """Put a service's planned upgrade off, once."""
    with staff_session() as session:
        upgrades_planned.postpone(session, service_id, reason, datetime.now(UTC), Rules.of(settings.load()))
        _print(upgrades_planned.listed(session, open_only=True, service_id=service_id), as_json)


@command.command()
@click.argument("member")
@click.option("--days", metavar="1,3", help="Weekdays, 1 Monday to 7; with --from and --hours: choose the window.")
@click.option("--from", "hour", type=int, help="Local hour when it opens, 0 to 23.")
@click.option("--hours", type=int, help="For how long, 1 to 12.")
@click.option("--default", "default", is_flag=True, help="The territory's again.")
@json_option
def window(member: str, days: str | None, hour: int | None, hours: int | None, default: bool, as_json: bool) -> None:
    """Show a member's window of maintenance, or choose it; what is planned moves along."""
    rules, at = Rules.of(settings.load()), datetime.now(UTC)
    given = [days, hour, hours]
    if any(one is not None for one in given) and (default or any(one is None for one in given)):
        raise click.UsageError("--days, --from and --hours go together, without --default.")
    with staff_session() as session:
        if default:
            upgrades_planned.remove_window(session, member, at, rules)
        elif days is not None:
            weekdays = [int(day) if day.strip().isdecimal() else 0 for day in days.split(",")]
            upgrades_planned.put_window(session, member, at, rules, weekdays=weekdays, hour=hour, hours=hours)
        chosen = windows.of(session, reading.member(session, member).id, rules.territory)
    begins, ends = windows.opening(chosen.window, at, rules.timezone)
    shown = chosen.window.model_dump(mode="json") | {"own": chosen.own, "next_starts_at": begins, "next_ends_at": ends}
    if as_json:
        print_json(shown)
        return
    columns = [("weekdays", "Jours"), ("hour", "Heure"), ("hours", "Durée"), ("next_starts_at", "Prochaine")]
    row = shown | {"weekdays": ", ".join(map(str, chosen.window.weekdays))}
    print_rows([row], columns, as_json=False, empty="")
