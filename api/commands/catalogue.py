"""`clocher catalogue`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import click
from sqlalchemy.orm import Session

from api.output import json_option, print_json, print_rows
from api.staff import staff_session
from orchestrator import settings
from tenants import catalogue, catalogue_versions, stacks
from tenants.tables import Offer

version_argument = click.argument("version_id", type=click.IntRange(1, 2**63 - 1))


@click.group("catalogue", short_help="The offers: list, apply, draft, publish, withdraw.")
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
    """Publish what is declared, stacks too. What changed gets a new version, what is gone is withdrawn.

    Again changes nothing. Stacks are looked for in playbooks/stacks and in the folders of CLOCHER_STACKS_DIRS. One that
    is `awaiting` can't be ordered before CLOCHER_STACKS_SOURCES says where its archive is (docs/external.md).
    """
    with staff_session() as session:
        ours = settings.load()
        changes = catalogue.load(session, directory, stacks.folders(ours), ours.stacks_sources)
    print_rows(
        changes,
        [("slug", "Offre"), ("version", "Version"), ("change", "Changement")],
        as_json=as_json,
        empty="Rien à faire : le catalogue publié est celui qui est déclaré.",
    )


@command.command()
@click.option("--offer", default="", help="Of this offer only.")
@json_option
def versions(offer: str, as_json: bool) -> None:
    """Every version of the offers, newest first. Drafts, what is published, what was withdrawn."""
    with staff_session() as session:
        rows = [_version(row, orders) for row, orders in catalogue_versions.listed(session, slug=offer)]
    _print_versions(rows, as_json, "Le catalogue est vide. Publiez-le : clocher catalogue apply")


def _version(offer: Offer, orders: int | None = None) -> dict[str, Any]:
    names = ("id", "slug", "version", "state", "origin", "flavor", "vcpus", "ram_mib", "approval")
    return {**{name: getattr(offer, name) for name in names}, "orders": orders}


def _print_versions(rows: list[dict[str, Any]], as_json: bool, empty: str) -> None:
    print_rows(
        rows,
        [("id", "N°"), ("slug", "Offre"), ("version", "Version"), ("state", "État"), ("origin", "Origine"),
         ("orders", "Commandes")],
        as_json=as_json,
        empty=empty,
    )  # fmt: skip


@command.command()
@click.argument("file", type=click.File(encoding="utf-8"))
@json_option
def draft(file: IO[str], as_json: bool) -> None:
    """Drafts of what FILE declares. FILE is YAML, `-` standard input; what is published as it is needs none."""
    with staff_session() as session:
        rows = [_version(offer) for offer in catalogue_versions.read(session, file.read())]
    _print_versions(rows, as_json, "Rien à faire : tout cela est publié ainsi.")


@command.command()
@version_argument
@json_option
def copy(version_id: int, as_json: bool) -> None:
    """A draft that begins as another version. Its number is in `catalogue versions`."""
    _do(catalogue_versions.copy, version_id, as_json)


@command.command()
@version_argument
@json_option
def publish(version_id: int, as_json: bool) -> None:
    """Let members order a draft. The version published before is withdrawn."""
    _do(catalogue_versions.publish, version_id, as_json)


@command.command()
@version_argument
@json_option
def withdraw(version_id: int, as_json: bool) -> None:
    """Take a version out, or give a draft up. Orders and services keep it."""
    _do(catalogue_versions.withdraw, version_id, as_json)


def _do(act: Callable[[Session, int], Offer], version_id: int, as_json: bool) -> None:
    with staff_session() as session:
        row = _version(act(session, version_id))
    if as_json:
        print_json(row)
    else:
        click.echo(f"{row['slug']} v{row['version']} (n° {row['id']}) : {row['state']}.")
