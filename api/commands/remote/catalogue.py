"""`clocher --url … catalogue`."""

from __future__ import annotations

import click

from api.commands.catalogue import print_offers
from api.commands.remote import client, pages, read
from api.output import json_option
from api.v1.schemas import OfferOut


@click.group("catalogue", short_help="The offers: list.")
def command() -> None:
    """What can be ordered there."""


@command.command("list")
@json_option
def list_(as_json: bool) -> None:
    """What can be ordered, and what it costs a month without options."""
    print_offers([read(OfferOut, row) for row in pages(client(), "/catalogue", 1000)], as_json)
