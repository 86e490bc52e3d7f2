"""`clocher disputes`."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import click

from api.output import euros, json_option, print_json, print_rows
from api.staff import staff_session
from orchestrator.errors import InvalidInput
from tenants import disputes
from tenants.tables_disputes import STATES

TOLD = dict(zip(STATES, ("ouverte", "répondue", "réglée", "rejetée", "retirée"), strict=True))
number = click.argument("dispute_id", metavar="DISPUTE", type=click.IntRange(1))
in_state = click.option("--state", type=click.Choice(STATES), help="In this state only.")
of_member = click.option("--member", help="Of one member only, by its short name.")
what_is_said = click.option("--words", required=True, help="What is answered; the member reads it.")
in_euros = click.option("--amount", help="Euros, below zero in favour of the member: -12.40.")
by_quantity = click.option("--quantity", help="Unit-hours at the price of the line instead.")
because = click.option("--because", required=True, help="Why; the member reads it.")


@click.group("disputes", short_help="What members object to: list, show, answer, settle, reject.")
def command() -> None:
    """Objections of members to lines of their closed statements."""


@command.command("list")
@in_state
@of_member
@json_option
def list_(state: str | None, member: str | None, as_json: bool) -> None:
    """Disputes, the newest first."""
    with staff_session() as session:
        print_disputes(disputes.listed(session, state=state, member=member), as_json)


def print_disputes(rows: list[dict[str, Any]], as_json: bool) -> None:
    """A line for each, or all of them as JSON."""
    if not as_json:
        rows = [row | {"state": TOLD[row["state"]], "amount": row["amount"] and euros(row["amount"])} for row in rows]
    print_rows(
        rows,
        [("id", "N°"), ("member", "Membre"), ("period", "Mois"), ("position", "Ligne"), ("state", "État"),
         ("amount", "Montant"), ("carried", "Porté par"), ("reason", "Raison")],
        as_json=as_json,
        empty="Aucune contestation.",
    )  # fmt: skip


@command.command()
@number
@json_option
def show(dispute_id: int, as_json: bool) -> None:
    """One dispute, with the line that it is about."""
    with staff_session() as session:
        tell(disputes.one(session, dispute_id), as_json)


@command.command()
@number
@what_is_said
@json_option
def answer(dispute_id: int, words: str, as_json: bool) -> None:
    """Answer one. It stays open."""
    with staff_session() as session:
        disputes.answer(session, dispute_id, words, datetime.now(UTC))
        tell(disputes.one(session, dispute_id), as_json)


@command.command()
@number
@in_euros
@by_quantity
@because
@json_option
def settle(dispute_id: int, amount: str | None, quantity: str | None, because: str, as_json: bool) -> None:
    """Settle one. By a line of the next month that is open."""
    with staff_session() as session:
        disputes.settle(
            session, dispute_id, because, datetime.now(UTC), amount=decimal(amount), quantity=decimal(quantity)
        )
        tell(disputes.one(session, dispute_id), as_json)


@command.command()
@number
@because
@json_option
def reject(dispute_id: int, because: str, as_json: bool) -> None:
    """Turn one down."""
    with staff_session() as session:
        disputes.reject(session, dispute_id, because, datetime.now(UTC))
        tell(disputes.one(session, dispute_id), as_json)


def decimal(text: str | None) -> Decimal | None:
    """A number as people type it. Raises InvalidInput invalid_amount."""
    try:
        return None if text is None else Decimal(text.replace(",", "."))
    except InvalidOperation:
        raise InvalidInput("invalid_amount", "Ce n’est pas un nombre.", "Écrivez-le comme -12,40.") from None


def tell(found: dict[str, Any], as_json: bool) -> None:
    """One for a person, or as JSON."""
    if as_json:
        print_json(found)
        return
    click.echo(f"Contestation n° {found['id']} — {found['name']}, {found['period']}, ligne {found['position']} : "
               f"{TOLD[found['state']]}")  # fmt: skip
    click.echo(f"{found['line']['label']} : {euros(Decimal(found['line']['amount']))}")
    said = [found["reason"], found["answer"], found["decision"], found["amount"] and euros(found["amount"])]
    click.echo("\n".join(f"- {words}" for words in said if words))
