"""`clocher billing`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import click

from api.output import euros, json_option, keep, print_json, print_rows
from api.staff import staff_session
from orchestrator import settings
from tenants import accounting, billing, periods, pretitles, scdl
from tenants.tables import BILLING


@click.group("billing", short_help="How members pay: list, set, pretitles, scdl.")
def command() -> None:
    """How members pay, and the files for finance's software."""


@command.command("list")
@json_option
def list_(as_json: bool) -> None:
    """Every active member's mode today, and the next."""
    _print(None, as_json)


def _print(member: str | None, as_json: bool) -> None:
    today = datetime.now(UTC).astimezone(ZoneInfo(settings.load().timezone)).date()
    with staff_session() as session:
        rows = [row for row in billing.listed(session, today) if member in (None, row["slug"])]
    if not as_json:
        rows = [{**row, "withheld": euros(row["withheld"]) if row["withheld"] is not None else ""} for row in rows]
    print_rows(
        rows,
        [("slug", "Membre"), ("mode", "Mode", "billing"), ("withheld", "Retenue par mois"), ("since", "Depuis"),
         ("reference", "Décision"), ("next", "Ensuite"), ("next_mode", "Mode", "billing")],
        as_json=as_json,
        empty="Aucun membre.",
    )  # fmt: skip


@command.command("set")
@click.argument("member")
@click.argument("mode", type=click.Choice(BILLING))
@click.option("--from", "since", required=True, metavar="MONTH", help="The first month that is paid so.")
@click.option("--withheld", default="", help="Euros a month, of a deduction.")
@click.option("--reference", required=True, help="Of the decision, with its date.")
@json_option
def set_(member: str, mode: str, since: str, withheld: str, reference: str, as_json: bool) -> None:
    """How a member pays from a month on; what was told for later months goes."""
    with staff_session() as session:
        billing.change(session, member, since, mode, withheld, reference)
    _print(member, as_json)


@command.command("pretitles")
@click.argument("period", metavar="YEAR|MONTH")
@click.option(
    "--to", "folder", type=click.Path(file_okay=False, path_type=Path), default=".", show_default=True,
    help="The folder that gets the file.",
)  # fmt: skip
@json_option
def pretitles_(period: str, folder: Path, as_json: bool) -> None:
    """Write the pre-titles of a closed month, or what a closed year's deductions still owe, as CSV."""
    accounts = accounting.load(settings.load().territory_dir)
    with staff_session() as session:
        if len(period) == 4:
            rows, name = pretitles.year(session, period, accounts), f"regularisation-{period}.csv"
        else:
            found = periods.find(session, period)
            rows, name = pretitles.month(session, found, accounts), f"pre-titres-{period}.csv"
    content = pretitles.as_csv(rows)
    path = keep(folder, name, content)
    if as_json:
        print_json({"file": str(path), "rows": len(rows), "bytes": len(content)})
    else:
        click.echo(f"{len(rows)} ligne(s) dans {path}")


@command.command("scdl")
@click.argument("year")
@click.option(
    "--to", "folder", type=click.Path(file_okay=False, path_type=Path), default=".", show_default=True,
    help="The folder that gets the file.",
)  # fmt: skip
@json_option
def scdl_(year: str, folder: Path, as_json: bool) -> None:
    """Write the closed months of a year as analytic lines, in the columns of SCDL budget; not the official file."""
    accounts = accounting.load(settings.load().territory_dir)
    with staff_session() as session:
        found = scdl.extract(session, year, accounts)
    content = scdl.as_csv(found)
    path = keep(folder, found.name, content)
    if as_json:
        print_json({"file": str(path), "rows": len(found.rows), "months": found.months, "unbooked": found.unbooked,
                    "bytes": len(content)})  # fmt: skip
        return
    click.echo(f"{len(found.rows)} ligne(s) de {len(found.months)} mois clos dans {path}")
    if found.unbooked:
        click.echo(f"Sans compte, hors du fichier : {euros(found.unbooked)} de coûts communs déclarés sans écriture.")
