"""The portal's pages, thin for now: the services and their live steps, one flow, the catalogue."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from api import auth, exporting
from api.pages import signing_in
from orchestrator.tables import FLOW_LIVE, Flow, Member, Service
from tenants import catalogue, operations, reading, statements

blueprint = APIBlueprint("pages", __name__, enable_openapi=False)
BLUEPRINTS = (blueprint, signing_in.blueprint)


@blueprint.get("/")
def home() -> str:
    """The services and what happens to them. `?part=live` answers with the part that is polled."""
    with auth.scope() as opened:
        services = reading.at_work(opened, auth.now())
        waiting = reading.waiting_orders(opened)
        # An operation under way is worth a look every second; a quiet page, now and then.
        live = any(service["flow"] and service["flow"].state in FLOW_LIVE for service in services)
        return _page("home", opened, services=services, waiting=waiting, live=live)


@blueprint.get("/flows/<int:flow_id>")
def flow(flow_id: int) -> str:
    """One operation: its steps with times, Ansible's tasks as they come."""
    with auth.scope() as opened:
        found = reading.find(opened, Flow, flow_id)
        service = reading.show(opened, Service, found.service_id)
        steps, told = reading.steps(opened, [flow_id]), reading.tasks(opened, flow_id)
        # A task is told when it starts and when it ends: only the last one may still be without its end.
        tasks = [task for task in told if task.task and (task.outcome != "started" or task is told[-1])]
        live = found.state in FLOW_LIVE
        cancellable = live and found.kind in operations.CANCELLABLE and not found.cancel_requested
        shown = {"flow": found, "service": service, "steps": steps, "tasks": tasks}
        return _page("flow", opened, **shown, live=live, cancellable=cancellable)


@blueprint.post("/flows/<int:flow_id>/cancel")
def cancel(flow_id: int) -> Response:
    """Ask an operation to stop and undo what it made."""
    with auth.scope() as opened:
        operations.cancel(opened, flow_id)
    return redirect(url_for("pages.flow", flow_id=flow_id))


@blueprint.get("/catalogue")
def offers() -> str:
    """What can be ordered, and what it costs a month."""
    with auth.scope() as opened:
        return _page("catalogue", opened, offers=catalogue.priced(opened, auth.now()), live=False)


@blueprint.get("/statements")
def accounts() -> str:
    """The members' accounts, newest month first."""
    with auth.scope() as opened:
        return _page("statements", opened, statements=statements.listed(opened), live=False)


@blueprint.get("/statements/<int:statement_id>.csv")
def download(statement_id: int) -> Response:
    """One account as a file."""
    with auth.scope() as opened:
        return exporting.csv_answer(reading.statement(opened, statement_id))


def _page(name: str, opened: Any, **shown: Any) -> str:
    if request.args.get("part") == "live":
        return render_template(f"{name}_live.html", **shown)
    member = opened.get(Member, g.caller.member_id) if g.caller.member_id else None
    return render_template(f"{name}.html", member=member, **shown)
