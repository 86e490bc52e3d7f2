"""`clocher keys`."""

from __future__ import annotations

from decimal import Decimal
from typing import IO, Any

import click

from api.formats import NOTHING
from api.output import euros, json_option, print_json, print_rows
from api.staff import staff_session
from orchestrator import settings
from orchestrator.errors import InvalidInput
from tenants import finance, keys_export, keys_proposal, keys_simulation, pools
from tenants.keys_proposal import Proposal


@click.group("keys", short_help="The voted keys that share common costs: list, apply, simulate.")
def command() -> None:
    """The voted, dated rules that share what is common."""


@command.command("list")
@json_option
def list_(as_json: bool) -> None:
    """Every version of every key, the one in force last."""
    with staff_session() as session:
        rows = pools.listed_keys(session)
    _print(rows, as_json, "Aucune clé de répartition. Déclarez-les, puis : clocher keys apply")


def _print(rows: list[dict[str, object]], as_json: bool, empty: str) -> None:
    if not as_json:
        rows = [{**row, "weights": ", ".join(f"{name} {row['weights'][name]}" for name in row["weights"])}  # type: ignore[index, attr-defined]
                for row in rows]  # fmt: skip
    print_rows(
        rows,
        [("code", "Clé"), ("version", "Version"), ("weights", "Poids"), ("from", "Depuis"), ("until", "Jusqu’à"),
         ("deliberation", "Délibération")],
        as_json=as_json,
        empty=empty,
    )  # fmt: skip


@command.command()
@json_option
def apply(as_json: bool) -> None:
    """Adopt the declared versions that are new. So does `periods draft`; a version that was adopted never changes."""
    declared = finance.sharing(settings.load().territory_dir)
    with staff_session() as session:
        new = {(key.code, key.version) for key in pools.apply_keys(session, declared)}
        rows = [row for row in pools.listed_keys(session) if (row["code"], row["version"]) in new]
    _print(rows, as_json, "Rien à faire : toutes les clés déclarées sont adoptées.")


def _weight(context: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    parts = dict(text.partition("=")[::2] for text in given)
    if len(parts) < len(given) or not all(parts.values()):
        raise click.BadParameter("each criterion once, as population=0.5")
    return parts


@command.command()
@click.option(
    "--weight",
    "weights",
    multiple=True,
    callback=_weight,
    metavar="CRITERION=PART",
    help=f"As population=0.5, for each criterion that counts: {', '.join(finance.CRITERIA)}. They sum to 1.",
)
@click.option("--pool", "pools_", multiple=True, metavar="CODE", help="A cost to share by it; without, all of them.")
@click.option(
    "--file",
    type=click.File(encoding="utf-8"),
    help="The same in YAML (weights: {…}, pools: […]); `-` is standard input.",
)
@click.option("--csv", "csv_file", type=click.File("wb"), help="Write the members' amounts there, for a spreadsheet.")
@json_option
def simulate(
    weights: dict[str, str], pools_: tuple[str, ...], file: IO[str] | None, csv_file: IO[bytes] | None, as_json: bool
) -> None:
    """Share the last twelve months again by a key that is not voted, beside what was shared. Nothing is written."""
    proposal = _proposal(weights, pools_, file)
    with staff_session() as session:
        found = keys_simulation.simulate(session, proposal)
        document = keys_export.document(found)
    if csv_file:
        csv_file.write(keys_export.as_csv(found))
    if as_json:
        print_json(document)
    else:
        _tell(document)


def _proposal(weights: dict[str, str], pools_: tuple[str, ...], file: IO[str] | None) -> Proposal:
    if file is None:
        return keys_proposal.read(weights, pools_)
    if weights or pools_:
        raise InvalidInput("invalid_key", "La clé est donnée deux fois.", "Choisissez --file, ou --weight et --pool.")
    return keys_proposal.from_yaml(file.read())


def _tell(document: dict[str, Any]) -> None:
    months = [one["period"] + " (projet)" * (one["state"] != "closed") + " (exemple)" * one["sample"]
              for one in document["months"]]  # fmt: skip
    click.echo(f"Mois : {', '.join(months)}")
    for pool in document["pools"]:
        click.echo(
            f"Coût : {pool['label']['fr']} ({pool['code']}), {euros(pool['amount'])}, par {', '.join(pool['keys'])}"
        )
    whole = {**{name: document[name] for name in ("before", "after")}, "difference": Decimal(0), "percent": Decimal(0)}
    rows = [*document["members"], {"name": "Total", "months": document["months"], **whole}]
    print_rows(
        [{**row, "months": len(row["months"]), "percent": _percent(row["percent"]),
          **{name: euros(row[name]) for name in ("before", "after", "difference")}} for row in rows],
        [("name", "Membre"), ("months", "Mois"), ("before", "Réparti"), ("after", "Simulé"), ("difference", "Écart"),
         ("percent", "Écart en %")],
        as_json=False,
        empty="",
        title="Simulation : rien n’est changé",
    )  # fmt: skip


def _percent(value: Decimal | None) -> str:
    return NOTHING if value is None else f"{value:f} %".replace(".", ",")
