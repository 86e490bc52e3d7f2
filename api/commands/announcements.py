"""`clocher announcements`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import click

from api.output import json_option, print_json, print_rows
from api.staff import staff_session
from orchestrator import settings
from tenants import announcements, slugs
from tenants.tables_administration import LEVELS, Announcement

number = click.argument("announcement_id", type=click.IntRange(1, 2**63 - 1))
LOCAL = click.DateTime(["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%d"])


@click.group("announcements", short_help="What the DSI has to say: list, make, withdraw.")
def command() -> None:
    """What the DSI has to say to one member or to all."""


@command.command("list")
@click.option("--current", is_flag=True, help="Only what is to be read now, the gravest first.")
@json_option
def list_(current: bool, as_json: bool) -> None:
    """The announcements, newest first."""
    with staff_session() as session:
        if current:
            found = announcements.current(session, datetime.now(UTC))
        else:
            found = [row for row, _ in announcements.listed(session, limit=1000)]
        names = slugs.of(session, [row.member_id for row in found])
        rows = [_row(row, names) for row in found]
    if not as_json:
        rows = [{**row, "title": row["title"]["fr"]} for row in rows]
    print_rows(
        rows,
        [("id", "N°"), ("level", "Niveau"), ("title", "Titre"), ("member", "Pour"), ("starts_at", "Dès"),
         ("ends_at", "Jusqu’à"), ("withdrawn_at", "Retirée")],
        as_json=as_json,
        empty="Aucune annonce. Faites-en une : clocher announcements make --help",
    )  # fmt: skip


def _row(row: Announcement, names: dict[int, str]) -> dict[str, Any]:
    shown = ("id", "level", "title", "body", "starts_at", "ends_at", "withdrawn_at", "made_by")
    return {**{name: getattr(row, name) for name in shown}, "member": names.get(row.member_id or 0)}


@command.command()
@click.option("--level", type=click.Choice(LEVELS), default=LEVELS[0], show_default=True, help="How grave it is.")
@click.option("--title", nargs=2, required=True, metavar="FRENCH ENGLISH", help="A few words, in both languages.")
@click.option("--body", nargs=2, required=True, metavar="FRENCH ENGLISH", help="What it says, in both languages.")
@click.option("--from", "starts_at", type=LOCAL, help="Local time; by default now.")
@click.option("--until", "ends_at", type=LOCAL, help="Local time; by default no end.")
@click.option("--member", help="For this member only; by default for all.")
@json_option
def make(
    level: str, title: tuple[str, str], body: tuple[str, str], starts_at: datetime | None, ends_at: datetime | None,
    member: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Announce."""
    zone = ZoneInfo(settings.load().timezone)
    begins = starts_at.replace(tzinfo=zone) if starts_at else datetime.now(UTC)
    with staff_session() as session:
        made = announcements.write(
            session, None, level=level, title=dict(zip(("fr", "en"), title, strict=True)),
            body=dict(zip(("fr", "en"), body, strict=True)), starts_at=begins,
            ends_at=ends_at.replace(tzinfo=zone) if ends_at else None, member=member,
        )  # fmt: skip
        row = _row(made, slugs.of(session, [made.member_id]))
    if as_json:
        print_json(row)
    else:
        click.echo(f"Annonce {row['id']} : « {row['title']['fr']} ».")


@command.command()
@number
@json_option
def withdraw(announcement_id: int, as_json: bool) -> None:
    """Stop showing one."""
    with staff_session() as session:
        found = announcements.withdraw(session, announcement_id, datetime.now(UTC))
        row = _row(found, slugs.of(session, [found.member_id]))
    if as_json:
        print_json(row)
    else:
        click.echo(f"L’annonce {announcement_id} n’est plus affichée.")
