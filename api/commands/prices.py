"""`clocher prices`."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from decimal import Decimal

import click

from api.output import euros, json_option, print_json, print_rows
from api.staff import staff_session
from orchestrator import settings
from tenants import finance, pools, prices, prices_comparison, prices_drafts

DRAFT = ("id", "book", "starts", "member_kind", "hourly", "made_by", "made_at")


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
        rows = [{**row, "hourly": exact(row["hourly"]) + " (paliers)" * bool(row["steps"])} for row in rows]
    print_rows(
        rows,
        [("label", "Compteur"), ("unit", "Unité"), ("hourly", "€ par heure"), ("for", "Pour", "member_kind"),
         ("from", "Depuis"), ("until", "Jusqu’à"), ("book", "Tarif")],
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


@command.command()
@json_option
def drafts(as_json: bool) -> None:
    """The tariffs that are being prepared, the newest first."""
    with staff_session() as session:
        rows = [{name: getattr(draft, name) for name in DRAFT} for draft in prices_drafts.listed(session)]
    print_rows(
        rows,
        [
            ("id", "Numéro"),
            ("book", "Tarif"),
            ("starts", "Dès le"),
            ("member_kind", "Pour", "member_kind"),
            ("made_by", "Par"),
        ],
        as_json=as_json,
        empty="Aucun tarif en préparation.",
    )


@command.command()
@click.argument("draft", type=click.IntRange(1))
@click.option("--month", metavar="AAAA-MM", help="A month with statements; by default the newest.")
@json_option
def compare(draft: int, month: str | None, as_json: bool) -> None:
    """What a past month would have cost at a draft's prices, by meter and member. Nothing is written."""
    with staff_session() as session:
        found = prices_comparison.compare(session, prices_drafts.find(session, draft), month)
    if as_json:
        print_json(found and asdict(found))
    elif found is None:
        click.echo("Aucun mois n’a encore de relevés : rien à comparer.")
    else:
        _tell(found)


def _tell(found: prices_comparison.Comparison) -> None:
    click.echo(f"Mois : {found.period}, sans les coûts communs")
    whole = {"name": "Total", "before": found.before, "after": found.after}
    for title, rows in (("Par compteur", [{**row, "name": row["label"]["fr"]} for row in found.meters]),
                        ("Par membre", [*found.members, whole])):  # fmt: skip
        print_rows(
            [{"name": row["name"], "before": euros(row["before"]), "after": euros(row["after"]),
              "difference": euros(row["after"] - row["before"])} for row in rows],
            [("name", "Nom"), ("before", "Coûté"), ("after", "Aurait coûté"), ("difference", "Écart")],
            as_json=False,
            empty="",
            title=title,
        )  # fmt: skip


@command.command()
@click.argument("draft", type=click.IntRange(1))
@click.option("--told", required=True, metavar="AAAA-MM-JJ", help="The day when members were told.")
@json_option
def adopt(draft: int, told: str, as_json: bool) -> None:
    """Put a draft's prices in the book from its day on, for good."""
    with staff_session() as session:
        found = prices_drafts.adopt(session, draft, settings.load().timezone, datetime.now(UTC), told)
        row = {name: getattr(found, name) for name in (*DRAFT, "state", "told_on")}
    if as_json:
        print_json(row)
    else:
        click.echo(f"{row['book']} : adopté, dès le {row['starts']:%d/%m/%Y}.")


def exact(price: Decimal) -> str:
    """A unit price with all its decimals, in French form: 0,0065."""
    return f"{price.normalize():f}".replace(".", ",")
