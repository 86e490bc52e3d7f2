"""`clocher members`: from what is declared to what exists."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import click
import sqlalchemy as sa

from api.asking import confirm, yes_option
from api.output import json_option, print_json, print_rows
from orchestrator import settings
from orchestrator.cloud import Cloud, connect
from orchestrator.database import connect as connect_database
from orchestrator.database import territory_session
from orchestrator.errors import ClocherError, InvalidInput
from orchestrator.places import Change
from tenants import members, members_closing, members_form, members_record
from tenants.declarations import Declaration, load

SOMETHING_TO_DO = 3  # exit status of `plan --check`
FIELDS = {
    "name": "nom", "kind": "nature", "population": "population", "insee_code": "code INSEE", "contacts": "contacts",
    "subnet_cidr": "sous-réseau", "state": "état", "project": "projet", "role": "rôle", "network": "réseau",
    "subnet": "sous-réseau", "router": "routeur", "interface": "interface du routeur", "gateway": "sortie du routeur",
    "origin": "géré par", "admin_networks": "réseaux d’administration",
    "security_group": "groupe de sécurité", "rule": "règle", "place": "emplacement", "nameservers": "serveurs de noms",
}  # fmt: skip


@click.group("members", short_help="The members: plan and apply what is declared.")
def command() -> None:
    """The members of the territory, declared in YAML files."""


@command.command()
@json_option
@click.option("--check", is_flag=True, help=f"Exit with {SOMETHING_TO_DO} if something would change.")
def plan(as_json: bool, check: bool) -> None:
    """Show what `apply` would change, in the database and in the cloud. Changes nothing."""
    with _ground() as (engine, cloud, declared):
        found = members.plan(engine, cloud, declared, actor=_actor(), tell=_progress)
    print_json(_as_json(found)) if as_json else _show(found)
    errors = [member.problem for member in found.members if member.problem]
    sys.exit(errors[0].exit_status if errors else SOMETHING_TO_DO if check and not found.idle else 0)


@command.command()
@json_option
@yes_option
@click.option("--take", multiple=True, metavar="SLUG", help="Let the file be the master of this member again.")
def apply(as_json: bool, yes: bool, take: tuple[str, ...]) -> None:
    """Show the plan, ask, and do it. Again: nothing to do."""
    if as_json and not yes:
        raise InvalidInput("confirmation_needed", "Avec --json, personne ne peut confirmer.", "Ajoutez --yes.")
    with _ground() as (engine, cloud, declared):
        found = members.plan(engine, cloud, declared, actor=_actor(), tell=_progress, take=take)
        if not as_json:
            _show(found)
        if not found.idle and not yes:
            confirm("Appliquer ?")
        done = members.apply(engine, cloud, found, actor=_actor(), tell=_progress)
    if as_json:
        print_json([_done_as_json(one) for one in done])
    elif done:
        click.echo(f"{sum(one.error is None for one in done)} membres à jour, {_failures(done)} en échec.")
    errors = [one.error for one in done if one.error]
    for one in done:
        if one.error:
            click.echo(f"{one.slug} : {one.error}  [{one.error.code}]", err=True)
    sys.exit(errors[0].exit_status if errors else 0)


@command.command("list")
@json_option
def list_(as_json: bool) -> None:
    """The members in the database."""
    with _engine() as engine, territory_session(engine, _actor()) as session:
        known = members_record.read(session)
    columns = (
        ("slug", "Membre"), ("name", "Nom"), ("kind", "Nature"), ("siret", "SIRET"), ("population", "Population"),
        ("subnet_cidr", "Sous-réseau"), ("state", "État"), ("in_cloud", "Dans le nuage"),
    )  # fmt: skip
    rows = [
        {"slug": slug, **member.values, "in_cloud": member.place is not None} for slug, member in sorted(known.items())
    ]
    print_rows(rows, columns, as_json=as_json, empty="Aucun membre : lancez « clocher members apply ».")


@command.command()
@click.argument("slug")
@json_option
def show(slug: str, as_json: bool) -> None:
    """All that the database holds of one member."""
    with _engine() as engine, territory_session(engine, _actor()) as session:
        members.find(session, slug)
        member = members_record.read(session)[slug]
    values = {"slug": slug, **member.values, "place": asdict(member.place) if member.place else None}
    if as_json:
        print_json(values)
        return
    rows = [{"field": _label(field), "value": members_record.said(value)} for field, value in values.items()]
    print_rows(rows, (("field", "Champ"), ("value", "Valeur")), as_json=False, empty="")


@command.command()
@click.argument("slug")
def export(slug: str) -> None:
    """Print a member as the YAML that would declare it. One made in the pages too."""
    with _engine() as engine, territory_session(engine, _actor()) as session:
        members.find(session, slug)
        click.echo(members_form.as_yaml(members_form.document(members_record.read(session)[slug])), nl=False)


@command.command()
@click.argument("slug")
@yes_option
@json_option
def close(slug: str, yes: bool, as_json: bool) -> None:
    """Close a member. It orders no more and leaves the cloud; its accounts stay. Refused while it has services."""
    if not yes:
        confirm(f"Clore « {slug} » et retirer son réseau du nuage ?")
    with _engine() as engine:
        gone = members_closing.close(engine, connect(settings.load()), slug, actor=_actor())
    if as_json:
        print_json({"slug": slug, "state": "closed", "place_removed": gone})
    else:
        click.echo(f"{slug} : clos" + (", retiré du nuage." if gone else " ; il n’avait pas de place dans le nuage."))


@contextmanager
def _engine() -> Iterator[sa.Engine]:
    engine = connect_database(settings.load(), "clocher_staff")
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def _ground() -> Iterator[tuple[sa.Engine, Cloud, tuple[Declaration, ...]]]:
    # The declarations first: a mistake in them is told even where no cloud is.
    declared = load(settings.load().territory_dir)
    with _engine() as engine:
        yield engine, connect(settings.load()), declared


def _actor() -> str:
    return f"cli:{getpass.getuser()}"


def _progress(line: str) -> None:
    click.echo(line, err=True)


def _show(found: members.Plan) -> None:
    """The plan for people: new members in one line each, the others field by field."""
    for member in found.members:
        if member.problem:
            click.echo(f"! {member.slug} : {member.problem}  [{member.problem.code}]")
        elif member.known is None:
            parts = f"{len(member.database)} champs, {len(member.cloud)} éléments dans le nuage"
            click.echo(f"+ {member.slug} : {member.declaration.name}, nouveau membre en {member.cidr} ({parts})")
        elif not member.idle:
            click.echo(f"~ {member.slug} : {member.declaration.name}")
            for place, changes in (("base", member.database), ("nuage", member.cloud)):
                for change in changes:
                    click.echo(f"    {place:5} {_line(change)}")
    for slug in found.undeclared:
        click.echo(f"? {slug} : n’est plus déclaré ; gardé tel quel")
    for slug in found.kept:
        click.echo(f"= {slug} : géré dans les pages ; son fichier est laissé de côté (apply --take {slug} le reprend)")
    same = sum(member.idle for member in found.members)
    click.echo("Rien à faire." if found.idle else f"{len(found.members) - same} membres à changer, {same} inchangés.")


def _line(change: Change) -> str:
    sign = "+" if change.old is None else "-" if change.new is None else "~"
    values = " → ".join(value for value in (change.old, change.new) if value is not None)
    return f"{sign} {_label(change.field)} : {values}"


def _label(field: str) -> str:
    return FIELDS.get(field, field.replace("quota.", "quota ").replace("budget.", "budget "))


def _failures(done: tuple[members.Applied, ...]) -> int:
    return sum(one.error is not None for one in done)


def _error(error: ClocherError | None) -> dict[str, str] | None:
    return {"code": error.code, "sentence": error.sentence, "action": error.action} if error else None


def _as_json(found: members.Plan) -> dict[str, Any]:
    return {
        "members": [
            {
                "slug": member.slug,
                "new": member.known is None,
                "database": [asdict(change) for change in member.database],
                "cloud": [asdict(change) for change in member.cloud],
                "error": _error(member.problem),
            }
            for member in found.members
        ],
        "undeclared": list(found.undeclared),
        "kept": list(found.kept),
    }


def _done_as_json(one: members.Applied) -> dict[str, Any]:
    return {"slug": one.slug, "changes": [asdict(change) for change in one.changes], "error": _error(one.error)}
