"""`clocher costs`."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import click

from api.output import euros, json_option, print_json, print_rows
from api.staff import staff_session
from orchestrator import settings
from tenants import costs, costs_days, costs_year, periods, reading
from tenants.costs import Costs, Part

month = click.argument("month", metavar="[MONTH]", required=False)


@click.group("costs", short_help="What a month costs so far and by its end: show, budget.")
def command() -> None:
    """What a month, written as 2026-10, costs so far and by its end; by default the present one."""


@command.command()
@month
@click.option("--member", help="Of this member, by service; by default of all, by member.")
@json_option
def show(month: str | None, member: str | None, as_json: bool) -> None:
    """A month by service (or member) and by meter."""
    zone, now = settings.load().timezone, datetime.now(UTC)
    label = month or periods.label_of(now, zone)
    with staff_session() as session:
        if member:
            found = costs.month(session, reading.member(session, member).id, label, now, zone)
        else:
            found = costs_days.territory(session, label, now, zone)
    if as_json:
        print_json({**asdict(found), "forecast": found.forecast})
        return
    parts = [*_rows("Service", found.services), *_rows("Membre", found.members), *_rows("Compteur", found.meters)]
    print_rows(
        parts,
        [("kind", "Nature"), ("name", "Nom"), ("amount", "À ce jour"), ("forecast", "Fin du mois")],
        as_json=False,
        empty=f"Rien n’a coûté en {label}.",
    )
    click.echo(f"{label} : {euros(found.amount)} à ce jour, {euros(found.forecast)} à la fin du mois.{_said(found)}")


def _rows(kind: str, parts: tuple[Part, ...]) -> list[dict[str, Any]]:
    return [
        {"kind": kind, "name": part.name, "amount": euros(part.amount), "forecast": euros(part.forecast)}
        for part in parts
    ]


def _said(found: Costs) -> str:
    return f" Compté jusqu’au {found.until.astimezone():%d/%m/%Y %H:%M}."


@command.command()
@click.option("--member", required=True, help="By its short name.")
@json_option
def budget(member: str, as_json: bool) -> None:
    """A member's year: its budget and what is used of it."""
    zone, now = settings.load().timezone, datetime.now(UTC)
    with staff_session() as session:
        member_id = reading.member(session, member).id
        use = costs_year.budget_use(session, member_id, now, zone, costs.so_far(session, member_id, now, zone))
    if as_json:
        print_json({**asdict(use), "used": use.used, "forecast": use.forecast, "share": use.share})
        return
    whole = "sans budget" if use.budget is None else f"sur {euros(use.budget)}"
    click.echo(f"{use.year} : {euros(use.used)} {whole} ; {euros(use.forecast)} à la fin du mois.")
