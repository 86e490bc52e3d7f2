"""`clocher entry`."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime

import click

from api import words
from api.output import json_option, print_rows
from api.staff import staff_session
from tenants import addresses


@click.group("entry", short_help="The entry from the web: status.")
def command() -> None:
    """The territory's entry from the web, by which applications have their addresses."""


@command.command()
@json_option
def status(as_json: bool) -> None:
    """The certificate of each name: whose it is, since when, until when, and what is wrong. Workers ask every hour."""
    with staff_session() as session:
        found = [asdict(one) for one in addresses.certificates(session, datetime.now(UTC))]
    told = [{**one, "trouble": words.french(one["trouble"], "certificate")} for one in found]
    print_rows(
        found if as_json else told,
        [("host", "Adresse"), ("trouble", "État"), ("issuer", "Autorité"), ("since", "Renouvelé"), ("until", "Fin"),
         ("why", "Refus")],
        as_json=as_json,
        empty="Aucun certificat : pas d’entrée web, ou aucune application derrière elle.",
    )  # fmt: skip
