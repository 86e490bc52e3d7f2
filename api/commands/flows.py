"""`clocher flows`: see what runs, follow it, stop it, repair what is held."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NoReturn

import click
import sqlalchemy as sa

from api import words
from api.asking import confirm, yes_option
from api.output import json_option, print_json, print_rows
from api.staff import staff_session
from orchestrator import repair
from orchestrator.errors import NotFound
from orchestrator.tables import FLOW_LIVE, FLOW_STATES, Flow, FlowStep, Member, Service
from tenants import operations

LOOK_SECONDS = 0.5
COLUMNS = [
    ("flow", "Opération"),
    ("member", "Membre"),
    ("service", "Service"),
    ("kind", "Nature", "kind"),
    ("state", "État", "flow"),
    ("worker", "Exécutant"),
    ("queued_at", "Demandée"),
    ("ended_at", "Finie"),
    ("error", "Motif"),
]
flow_argument = click.argument("flow", type=click.IntRange(1, 2**63 - 1))


@click.group()
def command() -> None:
    """The runs of operations: list, watch, cancel, repair."""


@command.command("list")
@click.option("--state", type=click.Choice(FLOW_STATES), multiple=True, help="Only these states (repeatable).")
@click.option("--member", help="Only this member (its slug).")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1000), help="How many at most.")
@json_option
def show_list(state: tuple[str, ...], member: str | None, limit: int, as_json: bool) -> None:
    """List the latest flows."""
    query = _flows().order_by(Flow.id.desc()).limit(limit)
    if state:
        query = query.where(Flow.state.in_(state))
    if member:
        query = query.where(Member.slug == member)
    with staff_session() as session:
        rows = [dict(row) for row in session.execute(query).mappings()]
    print_flows(rows, as_json)


def print_flows(rows: list[dict[str, Any]], as_json: bool) -> None:
    """Flows as a table."""
    print_rows(rows, COLUMNS, as_json=as_json, empty="Aucune opération. Une commande approuvée en crée une.")


@command.command()
@flow_argument
@json_option
def watch(flow: int, as_json: bool) -> None:
    """Follow a flow until it ends; each step as it happens. Exit status 1 when it did not succeed."""
    follow(lambda: _read(flow), as_json)


def follow(read: Callable[[], tuple[dict[str, Any], list[dict[str, Any]]]], as_json: bool) -> NoReturn:
    """Tell each step of what `read` gives (a flow, its steps) as it happens, and exit when the flow has ended."""
    told: dict[str, str] = {}
    while True:
        found, steps = read()
        if not as_json:
            _tell(steps, told)
        if found["state"] not in FLOW_LIVE:
            break
        time.sleep(LOOK_SECONDS)
    if as_json:
        print_json({**found, "steps": steps})
    else:
        why = f" — {found['error']}" if found["error"] else ""
        kind, state = words.french(found["kind"], "kind"), words.french(found["state"], "flow")
        click.echo(f"{kind} {found['flow']} : {state}{why}")
    raise SystemExit(0 if found["state"] == "done" else 1)


@command.command()
@flow_argument
@yes_option
@json_option
def cancel(flow: int, yes: bool, as_json: bool) -> None:
    """Ask a flow to stop and undo what it made."""
    if not yes:
        with staff_session() as session:
            found = operations.cancellable(session, flow)
            name = session.get_one(Service, found.service_id).name
        ask_to_cancel(flow, found.kind, name)
    with staff_session() as session:
        state = operations.cancel(session, flow).state
    tell_cancelled(flow, state, as_json)


def ask_to_cancel(flow: int, kind: str, service: str) -> None:
    """Say what cancelling a flow (its number and kind, the name of its service) undoes, and ask."""
    what = f"L’opération {flow} ({words.french(kind, 'kind')} : « {service} »)"
    confirm(f"{what} s’arrête et défait tout ce qu’elle a créé. L’annuler ?")


def tell_cancelled(flow: int, state: str, as_json: bool) -> None:
    """Say that a flow was asked to stop."""
    if as_json:
        print_json({"flow": flow, "state": state, "cancel_requested": True})
    else:
        click.echo(f"Annulation demandée pour l’opération {flow}. Suivez-la : clocher flows watch {flow}")


@command.command()
@flow_argument
@json_option
def retry(flow: int, as_json: bool) -> None:
    """Run an operation that is held again, from the step that failed."""
    with staff_session() as session:
        tell_repair(flow, repair.retry(session, flow).state, "reprend à l’étape qui a échoué", as_json)


@command.command()
@flow_argument
@yes_option
@json_option
def undo(flow: int, yes: bool, as_json: bool) -> None:
    """Undo what an operation that is held has made; it then has failed."""
    if not yes:
        ask_to_undo(flow)
    with staff_session() as session:
        tell_repair(flow, repair.undo(session, flow).state, "défait ce qu’elle a créé", as_json)


@command.command("hand-over")
@flow_argument
@click.argument("to")
@click.option("--note", default="", help="What they should know.")
@json_option
def hand_over(flow: int, to: str, note: str, as_json: bool) -> None:
    """Say that TO (a name that people know) is on an operation."""
    with staff_session() as session:
        tell_keeper(flow, repair.hand_over(session, flow, to, note).keeper, as_json)


def ask_to_undo(flow: int) -> None:
    """Say what undoing a held flow means, and ask."""
    confirm(f"L’opération {flow} défait tout ce qu’elle a créé, puis elle a échoué. La défaire ?")


def tell_repair(flow: int, state: str, does: str, as_json: bool) -> None:
    """Say that a held flow runs again, and what it `does`."""
    if as_json:
        print_json({"flow": flow, "state": state})
    else:
        click.echo(f"L’opération {flow} {does}. Suivez-la : clocher flows watch {flow}")


def tell_keeper(flow: int, keeper: str | None, as_json: bool) -> None:
    """Say who is on a flow now."""
    if as_json:
        print_json({"flow": flow, "keeper": keeper})
    else:
        click.echo(f"L’opération {flow} est suivie par {keeper}.")


def _flows() -> Any:
    return (
        sa.select(
            Flow.id.label("flow"),
            Member.slug.label("member"),
            Service.name.label("service"),
            Flow.kind,
            Flow.state,
            Flow.worker_id.label("worker"),
            Flow.queued_at,
            Flow.started_at,
            Flow.ended_at,
            Flow.error_code,
            Flow.error_sentence.label("error"),
            Flow.error_detail.label("detail"),
        )
        .join(Service, Service.id == Flow.service_id)
        .join(Member, Member.id == Flow.member_id)
    )


def _read(flow: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    steps = sa.select(
        FlowStep.name, FlowStep.state, FlowStep.attempts, FlowStep.message, FlowStep.started_at, FlowStep.ended_at
    )
    with staff_session() as session:
        found = session.execute(_flows().where(Flow.id == flow)).mappings().one_or_none()
        if found is None:
            raise NotFound("not_found", f"L’opération {flow} n’existe pas.", "Voyez : clocher flows list")
        told = session.execute(steps.where(FlowStep.flow_id == flow).order_by(FlowStep.id)).mappings()
        return dict(found), [dict(step) for step in told]


def _tell(steps: list[dict[str, Any]], told: dict[str, str]) -> None:
    for step in steps:
        line = f"{step['name']} : {step['state']}" + (f" — {step['message']}" if step["message"] else "")
        if told.get(step["name"]) != line:
            click.echo(line)
            told[step["name"]] = line
