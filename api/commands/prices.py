"""`clocher prices`."""

from __future__ import annotations

from decimal import Decimal

import click

from api.output import json_option, print_rows
from api.staff import staff_session
from orchestrator import settings
from tenants import finance, pools, prices


@click.group("prices", short_help="The price book.")
def command() -> None:
    """The price book: dated euros by unit and hour, declared in the territory's finance/prices.yaml."""


@command.command("list")
@json_option
def list_(as_json: bool) -> None:
    """Every price, the newest first."""
    with staff_session() as session:
        rows = prices.listed(session)
    if not as_json:
        rows = [{**row, "hourly": exact(row["hourly"])} for row in rows]
    print_rows(
        rows,
        [("label", "Compteur"), ("unit", "Unité"), ("hourly", "€ par heure"), ("from", "Depuis"), ("until", "Jusqu’à"),
         ("book", "Tarif")],
        as_json=as_json,
        empty="Aucun prix. Déclarez-les dans finance/prices.yaml puis lancez « clocher prices apply ».",
    )  # fmt: skip


@command.command()
@json_option
def apply(as_json: bool) -> None:
    """Load the declared prices and allocation keys. Again changes nothing."""
    chosen = settings.load()
    with staff_session() as session:
        added = prices.apply(session, finance.price_book(chosen.territory_dir), chosen.timezone)
        keys = pools.apply_keys(session, finance.sharing(chosen.territory_dir))
    rows = [
        {"kind": "price", "name": price.meter, "from": price.start, "what": f"{exact(price.hourly)} €/h"}
        for price in added
    ] + [{"kind": "key", "name": f"{k.code} v{k.version}", "from": k.start, "what": k.deliberation} for k in keys]
    print_rows(
        rows,
        [("name", "Ajouté"), ("from", "Depuis"), ("what", "Valeur")],
        as_json=as_json,
        empty="Rien à faire : les prix et les clés déclarés sont en place.",
    )


def exact(price: Decimal) -> str:
    """A unit price with all its decimals, in French form: 0,0065."""
    return f"{price.normalize():f}".replace(".", ",")
