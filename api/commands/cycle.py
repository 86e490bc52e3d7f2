"""`clocher cycle`."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import IO, Any
from zoneinfo import ZoneInfo

import click

from api import annual_files
from api.output import euros, json_option, keep, print_json, print_rows
from api.staff import staff_session
from api.words import french
from orchestrator import settings
from tenants import (
    accounting,
    cycle,
    cycle_calls,
    cycle_files,
    cycle_forecasts,
    cycle_terms,
    cycle_year,
    pretitles,
    reading,
)
from tenants.accounting import Accounting
from tenants.tables_cycle import FREQUENCIES

year_ = click.argument("year", type=click.IntRange(2020, 2099))
folder_ = click.option(
    "--to", "folder", type=click.Path(file_okay=False, path_type=Path), default=".", show_default=True,
    help="The folder that gets the file.",
)  # fmt: skip


@click.group("cycle", short_help="The yearly cycle: tell, forecast, import, call, settle, annual.")
def command() -> None:
    """The yearly cycle (CGCT D.5211-16): the unit cost told, forecast units, calls, the year's settlement."""


def _accounts() -> Accounting:
    return accounting.load(settings.load().territory_dir)


def _today() -> date:
    return datetime.now(UTC).astimezone(ZoneInfo(settings.load().timezone)).date()


@command.command()
@year_
@json_option
def show(year: int, as_json: bool) -> None:
    """What was told of a year, and every member's forecast, calls, cost and settlement."""
    with staff_session() as session:
        found = cycle.document(cycle.overview(session, year, _accounts(), _today()))
    if as_json:
        print_json(found)
        return
    names = ("foreseen", "called", "to_call", "withheld", "cost", "settled")
    rows = [
        {**row, "modes": ", puis ".join(french(mode, "billing") for mode in row["modes"]),
         **{name: euros(row[name]) for name in names}}
        for row in found["members"]
    ]  # fmt: skip
    print_rows(
        rows,
        [("slug", "Membre"), ("modes", "Mode"), ("units", "Unités"), ("foreseen", "Prévu"), ("called", "Appelé"),
         ("to_call", "À appeler"), ("withheld", "Retenu"), ("cost", "Coût réel"), ("settled", "Régularisation")],
        as_json=False, empty="Aucun membre.",
    )  # fmt: skip
    terms, telling = found["terms"], found["telling"]
    said = f"{terms['unit_cost']:f} € communiqué le {terms['told_on']:%d/%m/%Y}" if terms else "pas encore communiqué"
    vote = f" (vote du budget : {telling['vote']:%d/%m/%Y})" if telling["vote"] else ""
    click.echo(f"{year} : coût unitaire {said.replace('.', ',', 1)}{vote}.")


@command.command()
@year_
@click.option("--costs-change", default="", help="Euros that the budget changes of the last closed year's costs.")
@click.option("--units-change", default="", help="Likewise units.")
@click.option("--frequency", type=click.Choice(list(FREQUENCIES)), required=True, help="How often it is called.")
@click.option("--told-on", required=True, metavar="DAY", help="When members were told.")
@click.option("--source", required=True, help="By which letter or decision.")
@json_option
def tell(year: int, as_json: bool, **given: str) -> None:
    """Write down the unit cost that members were told."""
    with staff_session() as session:
        terms = cycle.told(cycle_terms.tell(session, year, given, _accounts(), _today()))
    if as_json:
        print_json(terms)
    else:
        click.echo(f"{year} : {terms['unit_cost']:f} € par {terms['unit']['fr']}.".replace(".", ",", 1))


@command.command()
@year_
@click.argument("member")
@click.argument("subject", metavar="OFFER|METER")
@click.argument("units")
@click.option("--first", default="1", show_default=True, metavar="MONTH")
@click.option("--last", default="12", show_default=True, metavar="MONTH")
@click.option("--reference", required=True, help="Of the convention.")
@json_option
def forecast(year: int, as_json: bool, **given: str) -> None:
    """Units that a member's convention foresees; it replaces what was foreseen of the same, zero takes it back."""
    with staff_session() as session:
        known = cycle_forecasts.subjects(session, year, _accounts())
        new = cycle_forecasts.read(year, given, known, session.info["actor"])
        row = cycle_forecasts.told(cycle_forecasts.add(session, new), known)
    _print_forecasts([row], as_json)


@command.command()
@year_
@json_option
def forecasts(year: int, as_json: bool) -> None:
    """What the conventions foresee."""
    with staff_session() as session:
        known = cycle_forecasts.subjects(session, year, _accounts())
        held = cycle_forecasts.in_force(session, year)
        rows = [cycle_forecasts.told(one, known) for lines in held.values() for one in lines]
    _print_forecasts(rows, as_json)


def _print_forecasts(rows: list[dict[str, Any]], as_json: bool) -> None:
    print_rows(
        rows,
        [("member", "Membre"), ("subject", "Objet"), ("units", "Unités"), ("first", "Du mois"), ("last", "Au mois"),
         ("reference", "Convention")],
        as_json=as_json, empty="Aucune prévision. « clocher cycle forecast » ou « import » en enregistrent.",
    )  # fmt: skip


@command.command("import")
@year_
@click.argument("file", type=click.File(encoding="utf-8-sig"))
@click.option("--dry-run", is_flag=True, help="Only say what the file says.")
@json_option
def import_(year: int, file: IO[str], dry_run: bool, as_json: bool) -> None:
    """Keep the forecasts of a CSV: every line or none. Exit status 2 and the faults by line when one is wrong."""
    with staff_session() as session:
        known = cycle_forecasts.subjects(session, year, _accounts())
        lines = cycle_forecasts.read_file(year, file.read(), known, session.info["actor"])
        if not dry_run:
            cycle_forecasts.keep(session, lines)
        told = cycle_forecasts.document(lines)
    if as_json:
        print_json({"lines": told, "total": cycle_forecasts.total(lines), "kept": not dry_run})
        return
    rows = [{**line, "faults": " ; ".join(f"{one['parameter']} : {one['sentence']}" for one in line["faults"])}
            for line in told]  # fmt: skip
    print_rows(
        rows,
        [("number", "Ligne"), ("member", "Membre"), ("subject", "Objet"), ("units", "Unités"),
         ("faults", "À corriger")],
        as_json=False, empty="", title="Rien n’est enregistré" if dry_run else "Enregistré",
    )  # fmt: skip


@command.command("call")
@year_
@click.argument("month", type=click.IntRange(1, 12))
@json_option
def call(year: int, month: int, as_json: bool) -> None:
    """Make the calls that are due by a month (1 to 12) and were not made."""
    with staff_session() as session:
        made = [cycle.called(due) for due in cycle_calls.issue(session, year, month, _today())]
    _print_dues(made, as_json, "Aucun appel n’est dû.")


@command.command("settle")
@year_
@json_option
def settle(year: int, as_json: bool) -> None:
    """Settle a closed year: seals every member's yearly statement, once."""
    with staff_session() as session:
        made = [cycle.called(due) for due in cycle_year.settle(session, year, _accounts(), _today())]
    _print_dues(made, as_json, "Aucun membre n’a de relevé.")


def _print_dues(rows: list[dict[str, Any]], as_json: bool, empty: str) -> None:
    if not as_json:
        rows = [{**row, "amount": euros(row["amount"])} for row in rows]
    print_rows(
        rows,
        [("reference", "Référence"), ("member", "Membre"), ("period", "Mois"), ("dated", "Date"),
         ("amount", "Montant")],
        as_json=as_json, empty=empty,
    )  # fmt: skip


@command.command("pretitles")
@year_
@click.option("--month", type=click.IntRange(1, 12), help="Only the calls that are due in it.")
@click.option("--settlement", is_flag=True, help="Of the year's settlement; by default of its calls.")
@folder_
@json_option
def pretitles_(year: int, month: int | None, settlement: bool, folder: Path, as_json: bool) -> None:
    """Write what finance's software needs to issue the titles of calls, or of the settlement, as CSV."""
    with staff_session() as session:
        if settlement:
            rows, name = cycle_files.settlements(session, year, _accounts()), f"regularisation-{year}.csv"
        else:
            rows, name = cycle_files.calls(session, year, month, _accounts()), f"appels-{year}.csv"
    content = pretitles.as_csv(rows)
    path = keep(folder, name, content)
    if as_json:
        print_json({"file": str(path), "rows": len(rows), "bytes": len(content)})
    else:
        click.echo(f"{len(rows)} ligne(s) dans {path}")


@command.command("annual")
@year_
@click.argument("member")
@click.option("--format", "kind", type=click.Choice(("pdf", "csv", "json")), default="pdf", show_default=True)
@click.option("--language", type=click.Choice(("fr", "en")), default="fr", show_default=True, help="Of the PDF.")
@folder_
@json_option
def annual(year: int, member: str, kind: str, language: str, folder: Path, as_json: bool) -> None:
    """Write a member's yearly statement (état annuel): sealed once the year is settled, a draft before."""
    with staff_session() as session:
        document = cycle_year.annual(session, year, reading.member(session, member), _accounts(), _today())
    content = annual_files.one(document, kind, settings.load(), language)
    path = keep(folder, f"etat-annuel-{year}-{member}.{kind}", content)
    if as_json:
        print_json({"file": str(path), "state": document["state"], "bytes": len(content)})
    else:
        click.echo(f"{document['reference']} dans {path}")
