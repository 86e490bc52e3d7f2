"""`clocher catalogue`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from api.output import json_option, print_rows
from api.staff import staff_session
from tenants import catalogue


@click.group("catalogue", short_help="The offers: list, publish, withdraw.")
def command() -> None:
    """The offers, declared in YAML and published as versions."""


@command.command("list")
@json_option
def list_(as_json: bool) -> None:
    """What can be ordered, and what it costs a month without options."""
    with staff_session() as session:
        offers = catalogue.priced(session, datetime.now(UTC))
    print_offers(offers, as_json)


def print_offers(offers: list[dict[str, Any]], as_json: bool) -> None:
    """Offers as a table."""
    rows = [{**offer, "title": offer["title"] if as_json else offer["title"]["fr"]} for offer in offers]
    print_rows(
        rows,
        [("slug", "Offre"), ("version", "Version"), ("title", "Titre"), ("vcpus", "vCPU"), ("ram_mib", "Mio"),
         ("approval", "Accord"), ("monthly", "€ par mois")],
        as_json=as_json,
        empty="Le catalogue est vide. Publiez-le : clocher catalogue apply",
    )  # fmt: skip


@command.command()
@click.option("--from", "directory", type=click.Path(path_type=Path, exists=True, file_okay=False),
              default=catalogue.OFFERS, help="Folder of the declared offers.")  # fmt: skip
@json_option
def apply(directory: Path, as_json: bool) -> None:
    """Publish what is declared; what changed gets a new version, what is gone is withdrawn; again changes nothing."""
    with staff_session() as session:
        changes = catalogue.load(session, directory)
    print_rows(
        changes,
        [("slug", "Offre"), ("version", "Version"), ("change", "Changement")],
        as_json=as_json,
        empty="Rien à faire : le catalogue publié est celui qui est déclaré.",
    )
