"""`clocher periods`."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import click

from api.asking import confirm, yes_option
from api.output import euros, json_option, keep, print_json, print_rows
from api.staff import staff_session
from orchestrator import settings
from orchestrator.errors import Conflict, InvalidInput
from tenants import adjustments, finance, focus_columns, focus_files, periods, pools, statements

STATES = {"open": "ouverte", "draft": "projet", "checked": "contrôlée", "closed": "close"}
month = click.argument("month", metavar="MONTH")


@click.group("periods", short_help="Billing months: draft, check, close.")
def command() -> None:
    """Billing months, written as 2026-10."""


@command.command("list")
@json_option
def list_(as_json: bool) -> None:
    """Every period, the newest first."""
    with staff_session() as session:
        rows = periods.listed(session)
    if not as_json:
        for row in rows:
            row["state"] = STATES[row["state"]] + (" (exemple)" if row["sample"] else "")
            row["total"] = euros(row["total"])
    print_rows(
        rows,
        [("period", "Période"), ("state", "État", "period"), ("statements", "Relevés"), ("total", "Total"),
         ("metered_until", "Mesurée jusqu’au"), ("closed_at", "Close le")],
        as_json=as_json,
        empty="Aucune période. « clocher periods draft 2026-10 » en établit une.",
    )  # fmt: skip


@command.command("adjustments")
@month
@json_option
def adjustments_(month: str, as_json: bool) -> None:
    """What a month corrects of closed ones. Facts that came after their month was closed, line by line."""
    with staff_session() as session:
        rows = adjustments.listed(session, periods.find(session, month).label)
    if not as_json:
        for row in rows:
            seconds = row["unit_seconds"]  # none of a fee or a minimum
            row["hours"] = None if seconds is None else (seconds / 3600).quantize(Decimal("0.01"))
            row["amount"] = euros(row["amount"])
    print_rows(
        rows,
        [("member", "Membre"), ("corrects", "Mois rectifié"), ("corrects_position", "Ligne"), ("service", "Service"),
         ("meter", "Compteur", "meter"), ("hours", "Unités × heures"), ("amount", "Montant")],
        as_json=as_json,
        empty=f"{month} ne rectifie aucun mois clos.",
    )  # fmt: skip


@command.command()
@month
@json_option
def draft(month: str, as_json: bool) -> None:
    """Meter, price, share and state a month anew. Up to now if it still runs."""
    chosen = settings.load()
    declared = finance.sharing(chosen.territory_dir)
    click.echo(f"Établissement de {month} : mesure, prix, répartition…", err=True)
    with staff_session() as session:
        pools.apply_keys(session, declared)
        periods.draft(session, month, declared, datetime.now(UTC), chosen.timezone)
        rows = statements.listed(session, month)
    show(rows, f"Relevés de {month} (projet)", as_json)


@command.command()
@month
@json_option
def check(month: str, as_json: bool) -> None:
    """Prove that a draft adds up. Exit status 3 and the differences when it does not."""
    click.echo(f"Contrôle de {month}…", err=True)
    with staff_session() as session:
        found = periods.check(session, month)
    print_rows(
        [asdict(difference) for difference in found],
        [("check", "Contrôle"), ("subject", "Où"), ("expected", "Attendu"), ("found", "Trouvé")],
        as_json=as_json,
        empty=f"Tout concorde : {month} est contrôlée.",
    )
    if found:
        raise Conflict(
            "period_differs", f"{len(found)} différence(s) dans {month}.", "Établissez-la de nouveau puis contrôlez-la."
        )


@command.command()
@month
@yes_option
@json_option
def close(month: str, yes: bool, as_json: bool) -> None:
    """Seal a checked month for good."""
    if as_json and not yes:
        raise InvalidInput("confirmation_needed", "Avec --json, personne ne peut confirmer.", "Ajoutez --yes.")
    with staff_session() as session:
        sample = periods.closable(session, month, datetime.now(UTC)).sample  # before anybody is asked
        rows = statements.listed(session, month)
    total = sum((row["total"] for row in rows), Decimal("0.00"))
    said = f"{month}{' (exemple)' if sample else ''} : {len(rows)} relevés, {euros(total)} en tout."
    if not yes:
        confirm(f"{said} Une période close ne change plus. La clore ?")
    with staff_session() as session:
        closed = periods.close(session, month, datetime.now(UTC))
        answer = {"period": closed.label, "state": closed.state, "sample": sample, "statements": len(rows),
                  "total": total, "closed_at": closed.closed_at}  # fmt: skip
    if as_json:
        print_json(answer)
    else:
        click.echo(f"Close : {said}")


@command.command()
@month
@click.option("--member", help="Of one member only, by its short name.")
@click.option(
    "--format", "form", type=click.Choice(["focus-csv", "focus-parquet"]), default="focus-csv", show_default=True,
    help="Of the file: FOCUS, the FinOps Open Cost and Usage Specification.",
)  # fmt: skip
@click.option(
    "--focus", "version", type=click.Choice(focus_columns.ALL), default=focus_columns.DEFAULT, show_default=True,
    help="Its version; 1.4 has the columns of shared costs.",
)  # fmt: skip
@click.option(
    "--to", "folder", type=click.Path(file_okay=False, path_type=Path), default=".", show_default=True,
    help="The folder that gets the file.",
)  # fmt: skip
@json_option
def export(month: str, member: str | None, form: str, version: str, folder: Path, as_json: bool) -> None:
    """Write the month's charges to a file for tools of FinOps. `clocher statements export` writes the accounts."""
    territory, kind = settings.load().territory_dir, form.removeprefix("focus-")
    with staff_session() as session:
        period = periods.find(session, month)
        documents = statements.documents(session, period, member)
        name, content = focus_files.make(
            session, period, documents, territory, version=version, kind=kind, member=member
        )
    path = keep(folder, name, content)
    if as_json:
        print_json({"file": str(path), "statements": len(documents), "bytes": len(content)})
    else:
        click.echo(f"{len(documents)} relevé(s) dans {path}")


def show(rows: list[dict[str, object]], title: str, as_json: bool) -> None:
    """A table of statements in brief."""
    if not as_json:
        for row in rows:
            row["total"] = euros(Decimal(str(row["total"])))
            row["state"] = STATES[str(row["state"])] + (" (exemple)" if row["sample"] else "")
    print_rows(
        rows,
        [("period", "Période"), ("state", "État"), ("member", "Membre"), ("name", "Nom"), ("total", "Total")],
        as_json=as_json,
        empty="Aucun relevé. « clocher periods draft 2026-10 » en établit.",
        title=title,
    )
