"""`clocher energy`."""

from __future__ import annotations

from pathlib import Path

import click

from api import energy_writing
from api.formats import number
from api.output import json_option, keep, print_json, print_rows
from api.staff import staff_session
from orchestrator import settings
from tenants import energy, energy_files, energy_report, finance
from tenants.energy_report import Report


@click.group("energy", short_help="Energy and carbon: a year's review, the factors.")
def command() -> None:
    """kWh and gCO2e by member and offer, and the factors that they rest on."""


@command.command()
@click.argument("year")
@click.option("--format", "kind", type=click.Choice(energy_writing.KINDS), help="Write a file instead.")
@click.option(
    "--to", "folder", type=click.Path(file_okay=False, path_type=Path), default=".", show_default=True,
    help="The folder that gets the file.",
)  # fmt: skip
@json_option
def report(year: str, kind: str | None, folder: Path, as_json: bool) -> None:
    """The responsible-digital review of a year, by month, member and offer; what is not known stays empty."""
    chosen = settings.load()
    with staff_session() as session:
        if kind:
            name, content = energy_writing.written(session, year, kind, chosen)
            path = keep(folder, name, content)
            click.echo(str(path)) if not as_json else print_json({"file": str(path), "bytes": len(content)})
            return
        found = energy_report.report(session, year, finance.power(chosen.territory_dir))
    if as_json:
        print_json(energy_report.document(found))
        return
    _print(found)


def _print(found: Report) -> None:
    named = [
        ("Mois", one.label, one.figures, ", ".join(energy.LABELS[code] for code in one.missing)) for one in found.months
    ]
    named += [("Membre", one.name, one.figures, "") for one in found.members]
    named += [("Offre", energy_files.name(one), one.figures, "") for one in found.offers]
    named += [("Total", found.year, found.total, "")] if found.months else []
    print_rows(
        [{"kind": kind, "name": name, "kwh": number(of.kwh), "use": number(energy_files.kilograms(of.grams)),
          "made": number(energy_files.kilograms(of.embodied)), "missing": missing}
         for kind, name, of, missing in named],
        [("kind", "Nature"), ("name", "Nom"), ("kwh", "kWh"), ("use", "kgCO2e d’usage"),
         ("made", "kgCO2e de fabrication"), ("missing", "À déclarer")],
        as_json=False,
        empty=f"Aucun mois établi en {found.year}.",
    )  # fmt: skip
    if found.basis:
        click.echo(f"{found.year} : calcul {energy.BASES[found.basis]}, {len(found.idle)} machine(s) à l’arrêt.")


@command.command()
@json_option
def factors(as_json: bool) -> None:
    """What is declared in finance/energy.yaml, the oldest first of each factor."""
    declared = finance.power(settings.load().territory_dir).factors
    rows = [
        {"factor": one.factor, "from": one.start, "value": one.value, "basis": one.basis, "source": one.source,
         "read_on": one.read_on}
        for one in sorted(declared, key=lambda one: (list(energy.LABELS).index(one.factor), one.start))
    ]  # fmt: skip
    if not as_json:
        rows = [
            {**row, "factor": energy.LABELS[str(row["factor"])], "basis": energy.BASES[str(row["basis"])]}
            for row in rows
        ]
    print_rows(
        rows,
        [("factor", "Facteur"), ("from", "Depuis"), ("value", "Valeur"), ("basis", "Calcul"), ("source", "Source"),
         ("read_on", "Lu le")],
        as_json=as_json,
        empty="Rien n’est déclaré : kWh et gCO2e ne sont pas connus. Écrivez finance/energy.yaml.",
    )  # fmt: skip
