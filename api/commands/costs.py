"""`clocher costs`."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from decimal import Decimal
from typing import IO, Any

import click

from api.output import euros, json_option, print_json, print_rows
from api.staff import staff_session
from orchestrator import settings
from tenants import (
    accounting,
    cost_entries,
    cost_import,
    costs,
    costs_days,
    costs_year,
    finance,
    periods,
    reading,
    unit_cost,
)
from tenants.accounting import Accounting
from tenants.costs import Costs, Part
from tenants.tables_finance import CostEntry

month = click.argument("month", metavar="[MONTH]", required=False)


@click.group("costs", short_help="What a month costs, and what the platform really costs.")
def command() -> None:
    """What a month, written as 2026-10, costs members so far (show, budget), and what the platform really costs."""


@command.command()
@month
@click.option("--member", help="Of this member, by service; by default of all, by member.")
@json_option
def show(month: str | None, member: str | None, as_json: bool) -> None:
    """A month by service (or member) and by meter."""
    zone, now = settings.load().timezone, datetime.now(UTC)
    label = month or periods.label_of(now, zone)
    with staff_session() as session:
        if member:
            found = costs.month(session, reading.member(session, member).id, label, now, zone)
        else:
            found = costs_days.territory(session, label, now, zone)
    if as_json:
        print_json({**asdict(found), "forecast": found.forecast})
        return
    parts = [*_rows("Service", found.services), *_rows("Membre", found.members), *_rows("Compteur", found.meters)]
    print_rows(
        parts,
        [("kind", "Nature"), ("name", "Nom"), ("amount", "À ce jour"), ("forecast", "Fin du mois")],
        as_json=False,
        empty=f"Rien n’a coûté en {label}.",
    )
    click.echo(f"{label} : {euros(found.amount)} à ce jour, {euros(found.forecast)} à la fin du mois.{_said(found)}")


def _rows(kind: str, parts: tuple[Part, ...]) -> list[dict[str, Any]]:
    return [
        {"kind": kind, "name": part.name, "amount": euros(part.amount), "forecast": euros(part.forecast)}
        for part in parts
    ]


def _said(found: Costs) -> str:
    return f" Compté jusqu’au {found.until.astimezone():%d/%m/%Y %H:%M}."


@command.command()
@click.option("--member", required=True, help="By its short name.")
@json_option
def budget(member: str, as_json: bool) -> None:
    """A member's year: its budget and what is used of it."""
    zone, now = settings.load().timezone, datetime.now(UTC)
    with staff_session() as session:
        member_id = reading.member(session, member).id
        use = costs_year.budget_use(session, member_id, now, zone, costs.so_far(session, member_id, now, zone))
    if as_json:
        print_json({**asdict(use), "used": use.used, "forecast": use.forecast, "share": use.share})
        return
    whole = "sans budget" if use.budget is None else f"sur {euros(use.budget)}"
    click.echo(f"{use.year} : {euros(use.used)} {whole} ; {euros(use.forecast)} à la fin du mois.")


@command.command()
@click.option("--month", "of", help="Only what counts in this month, with its part.")
@json_option
def entries(of: str | None, as_json: bool) -> None:
    """What the platform really costs: what is booked, newest first."""
    with staff_session() as session:
        rows = [_entry(entry, part) for entry, part in cost_entries.listed(session, of)]
    _print_entries(rows, as_json)


def _entry(entry: CostEntry, part: Decimal | None = None) -> dict[str, Any]:
    names = ("id", "kind", "pool", "label", "account", "section", "dated", "starts", "months", "amount", "prorata",
             "supplier", "reference", "service_model", "kwh", "kwh_price", "pue", "annual", "part", "ends")  # fmt: skip
    return {**{name: getattr(entry, name) for name in names}, "in_month": part}


def _print_entries(rows: list[dict[str, Any]], as_json: bool) -> None:
    if not as_json:
        rows = [{**row, "amount": euros(row["amount"]), "in_month": euros(row["in_month"])} for row in rows]
    print_rows(
        rows,
        [("id", "N°"), ("kind", "Nature", "cost"), ("label", "Libellé"), ("account", "Compte"), ("pool", "Coût commun"),
         ("starts", "Depuis"), ("months", "Mois"), ("amount", "Montant"), ("in_month", "Dans le mois"),
         ("ends", "Arrêté le")],
        as_json=as_json,
        empty="Aucun coût enregistré. « clocher costs add » ou « clocher costs import » en enregistrent.",
    )  # fmt: skip


def _declared() -> tuple[Accounting, dict[str, str]]:
    folder = settings.load().territory_dir
    return accounting.load(folder), cost_entries.sections(finance.sharing(folder))


def _fields(context: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    fields = dict(text.partition("=")[::2] for text in given)
    if len(fields) < len(given) or not fields.keys() <= set(cost_entries.FIELDS):
        raise click.BadParameter(f"each of these once, as amount=1840,00: {', '.join(cost_entries.FIELDS)}")
    return fields


@command.command()
@click.argument("fields", nargs=-1, required=True, callback=_fields, metavar="FIELD=VALUE…")
@json_option
def add(fields: dict[str, str], as_json: bool) -> None:
    """Book a cost: kind=supplier label=… account=6156 date=2026-10-31 amount=1840,00 supplier=… [pool=…]."""
    new = cost_entries.read(fields, *_declared())
    with staff_session() as session:
        row = _entry(cost_entries.add(session, new))
    _print_entries([row], as_json)


@command.command()
@click.argument("entry", type=int, metavar="NUMBER")
@click.option("--from", "since", required=True, metavar="MONTH", help="The first month in which it counts no more.")
@json_option
def end(entry: int, since: str, as_json: bool) -> None:
    """Let a cost count no more; closed months keep their part."""
    with staff_session() as session:
        row = _entry(cost_entries.end(session, entry, since))
    _print_entries([row], as_json)


@command.command("import")
@click.argument("file", type=click.File(encoding="utf-8-sig"))
@click.option("--dry-run", is_flag=True, help="Only say what the file says.")
@json_option
def import_(file: IO[str], dry_run: bool, as_json: bool) -> None:
    """Book the costs of a CSV: every line or none. Exit status 2 and the faults by line when one is wrong."""
    lines = cost_import.read(file.read(), *_declared())
    if not dry_run:
        with staff_session() as session:
            cost_import.keep(session, lines)
    told = cost_import.document(lines)
    if as_json:
        print_json({"lines": told, "total": cost_import.total(lines), "kept": not dry_run})
        return
    rows = [{**line, "amount": euros(line["amount"]),
             "faults": " ; ".join(f"{fault['parameter']} : {fault['sentence']}" for fault in line["faults"])}
            for line in told]  # fmt: skip
    print_rows(
        rows,
        [("number", "Ligne"), ("label", "Libellé"), ("account", "Compte"), ("starts", "Depuis"), ("months", "Mois"),
         ("amount", "Montant"), ("faults", "À corriger")],
        as_json=False,
        empty="",
        title="Rien n’est enregistré" if dry_run else "Enregistré",
    )  # fmt: skip


@command.command("unit")
@click.argument("period", metavar="YEAR|MONTH")
@click.option("--csv", "csv_file", type=click.File("wb"), help="Write the same there, for a spreadsheet.")
@json_option
def unit_(period: str, csv_file: IO[bytes] | None, as_json: bool) -> None:
    """The unit cost of a year or month, and billed against cost by member and by offer."""
    accounts, _ = _declared()
    with staff_session() as session:
        found = unit_cost.report(session, period, accounts)
    if csv_file:
        csv_file.write(unit_cost.as_csv(found))
    if as_json:
        print_json(unit_cost.document(found))
        return
    if not found.months:
        click.echo(f"Aucun mois établi en {period}.")
        return
    named = [("Membre", one.name, one) for one in found.members]
    named += [("Offre", one.name["fr"] if one.name else one.key or "sans offre", one) for one in found.offers]
    print_rows(
        [{"kind": kind, "name": name, "units": one.units.quantize(Decimal("0.01")), "billed": euros(one.billed),
          "cost": euros(one.cost), "difference": euros(one.difference)} for kind, name, one in named],
        [("kind", "Nature"), ("name", "Nom"), ("units", "Unités"), ("billed", "Facturé"), ("cost", "Coût"),
         ("difference", "Écart")],
        as_json=False,
        empty="",
    )  # fmt: skip
    said = "—" if found.unit_cost is None else f"{found.unit_cost:f} €".replace(".", ",")
    click.echo(f"{period} : {euros(found.total)} de coûts ; {said} par {found.unit.label['fr']}.")
