"""`clocher vat`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import click

from api import language
from api.commands.prices import exact
from api.output import json_option, print_json, print_rows
from api.staff import staff_session
from orchestrator import settings
from orchestrator.errors import InvalidInput
from tenants import contracts, vat_rules
from tenants.tables import REGIMES
from tenants.tables_vat import TEXTS, Contract

source = click.option("--source", required=True, help="Where finance read it: article, deliberation, page.")
checked = click.option("--checked-on", help="The day when somebody read it there (2026-11-29).")
NOT_CHECKED = "à vérifier"


@click.group("vat", short_help="VAT: rates, legal texts, unit costs, contracts.")
def command() -> None:
    """What VAT follows, and what is agreed with each member. Rows are added, never rewritten."""


@command.command()
@json_option
def show(as_json: bool) -> None:
    """Each member's regime today; rates, texts and unit costs with their source."""
    today = datetime.now(UTC).astimezone(ZoneInfo(settings.load().timezone)).date()
    with staff_session() as session:
        found = vat_rules.whole(session, today)
        found |= {
            "rates": [_row(one, "since", "rate", "source", "checked_on") for one in found["rates"]],
            "texts": [_row(one, "code", "since", "text", "source", "checked_on") for one in found["texts"]],
        }
    if as_json:
        print_json(found)
        return
    regimes = [{**one, "regime": _word(one["regime"])} for one in found["members"]]
    _table("Membres", regimes, ("name", "Membre"), ("regime", "Régime"), ("since", "Dès"), ("reference", "Contrat"))
    rates = [{**one, "rate": f"{exact(one['rate'])} %", "checked_on": one["checked_on"] or NOT_CHECKED}
             for one in found["rates"]]  # fmt: skip
    dated = (("since", "Dès le"), ("source", "Source"))
    _table("Taux normal", rates, ("rate", "Taux"), *dated, ("checked_on", "Vérifié le"))
    texts = [{**one, "text": one["text"]["fr"], "checked_on": one["checked_on"] or NOT_CHECKED}
             for one in found["texts"]]  # fmt: skip
    _table("Mentions", texts, ("code", "Objet", "legal_text"), ("text", "Texte"), *dated, ("checked_on", "Vérifié le"))
    costs = [{**one, "hourly": exact(Decimal(one["hourly"]))} for one in found["costs"]]
    _table("Coûts unitaires", costs, ("meter", "Mesure", "meter"), ("hourly", "€ par heure"), *dated)


def _row(one: Any, *names: str) -> dict[str, Any]:
    return {name: getattr(one, name) for name in names}


def _word(regime: str) -> str:
    return language.word(regime, "vat_regime", "fr")


def _table(title: str, rows: list[dict[str, Any]], *columns: tuple[str, ...]) -> None:
    print_rows(rows, list(columns), as_json=False, empty=f"{title} : rien.", title=title)


@command.command()
@click.option("--from", "since", required=True, help="The day from which it holds (2026-01-01).")
@click.option("--rate", required=True, help="In percent: 20, 5.5.")
@source
@checked
@json_option
def rate(as_json: bool, **given: Any) -> None:
    """Add a standard rate of VAT."""
    _added(vat_rules.add_rate, given, as_json)


@command.command()
@click.option("--from", "since", required=True, help="The day from which it holds (2026-01-01).")
@click.option("--code", required=True, type=click.Choice(TEXTS), help="Of which regime, or what of payment.")
@click.option("--fr", required=True, help="In French.")
@click.option("--en", required=True, help="In English.")
@source
@checked
@json_option
def text(as_json: bool, **given: Any) -> None:
    """Add what accounts say of a regime or of payment."""
    _added(vat_rules.add_text, given, as_json)


@command.command()
@click.option("--from", "since", required=True, help="The month from which it holds (2026-01).")
@click.option("--meter", required=True, help="What is counted: vcpu, ram, volume…")
@click.option("--hourly", required=True, help="Euros for one unit during one hour.")
@source
@json_option
def cost(as_json: bool, **given: Any) -> None:
    """Add a unit cost, which exempt members (261 B) are billed exactly."""
    _added(vat_rules.add_cost, given, as_json)


def _added(add: Any, given: dict[str, Any], as_json: bool) -> None:
    with _by_field(), staff_session() as session:
        row = add(session, given)
        answer = {"id": row.id, **{name: value for name, value in given.items() if value}}
    print_json(answer) if as_json else click.echo("Ajouté ; les périodes closes gardent ce qu’elles disaient.")


@command.command("contracts")
@click.argument("member")
@json_option
def list_contracts(member: str, as_json: bool) -> None:
    """What was agreed with a member, newest month first."""
    with staff_session() as session:
        rows = [_contract(one) for one in contracts.listed(session, member)]
    if not as_json:
        rows = [{**row, "regime": _word(row["regime"])} for row in rows]
    print_rows(
        rows,
        [("since", "Dès"), ("regime", "Régime"), ("reference", "Contrat"), ("service_code", "Code service"),
         ("engagement", "Engagement"), ("city", "Ville"), ("made_by", "Par")],
        as_json=as_json,
        empty="Aucun contrat : une entreprise paie la TVA, un membre public est hors champ.",
    )  # fmt: skip


def _contract(one: Contract) -> dict[str, Any]:
    return _row(one, "id", "since", "regime", *contracts.TEXTS, *contracts.FLAGS, "made_by")


@command.command()
@click.argument("member")
@click.option("--from", "since", required=True, help="The month from which it holds (2026-10).")
@click.option("--regime", required=True, type=click.Choice(REGIMES), help="Of VAT; a company's is normal.")
@click.option("--reference", help="The convention or contract.")
@click.option("--vat-number", help="Of the member, as FR40303265045.")
@click.option("--street", help="Of the address for invoices.")
@click.option("--postcode", help="Of the address for invoices.")
@click.option("--city", help="Of the address for invoices.")
@click.option("--service-code", help="Chorus Pro: which service of the payer.")
@click.option("--engagement", help="Chorus Pro: the payer's commitment.")
@click.option("--service-required", is_flag=True, help="The payer insists on a service code.")
@click.option("--engagement-required", is_flag=True, help="The payer insists on a commitment.")
@json_option
def agree(member: str, as_json: bool, **given: Any) -> None:
    """Agree on something with a member from a month on; what is left out is nothing."""
    with _by_field(), staff_session() as session:
        made = _contract(contracts.write(session, member, given))
    if as_json:
        print_json(made)
    else:
        click.echo(f"Dès {made['since']:%m/%Y} : {_word(made['regime'])}.")


@contextmanager
def _by_field() -> Iterator[None]:
    """Every fault in the sentence: a terminal has no fields to show them at."""
    try:
        yield
    except InvalidInput as error:
        faults = [f"{fault['parameter']} : {fault['sentence']}" for fault in error.facts.get("errors", [])]
        told = " ".join([error.sentence, *faults])
        raise InvalidInput(error.code, told, error.action, facts=error.facts) from error
