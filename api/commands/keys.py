"""`clocher keys`."""

from __future__ import annotations

import click

from api.output import json_option, print_rows
from api.staff import staff_session
from orchestrator import settings
from tenants import finance, pools


@click.group("keys", short_help="The voted keys that share common costs: list, apply.")
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
