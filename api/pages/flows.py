"""One operation: its steps with times, Ansible's tasks as they come."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from api import auth
from api.forms import Form
from orchestrator.tables import FLOW_LIVE, Flow, Service
from tenants import operations, reading

blueprint = APIBlueprint("flow_pages", __name__, enable_openapi=False, url_prefix="/flows")


@blueprint.get("/<int:flow_id>")
def show(flow_id: int) -> str:
    """The page; `?part=live` answers with the part that is polled."""
    with auth.scope() as session:
        told = shown(session, flow_id)
        part = "live" if request.args.get("part") == "live" else "flow"
        return render_template(f"flows/{part}.html", **told)


def shown(session: Session, flow_id: int) -> dict[str, Any]:
    """What `flows/live.html` needs to know of an operation. Raises not_found."""
    flow = reading.find(session, Flow, flow_id)
    told = reading.tasks(session, flow_id)
    live = flow.state in FLOW_LIVE
    return {
        "flow": flow,
        "service": reading.show(session, Service, flow.service_id),
        "steps": reading.steps(session, [flow_id]),
        # A task is told when it starts and when it ends: only the last one may still be without its end.
        "tasks": [task for task in told if task.task and (task.outcome != "started" or task is told[-1])],
        "live": live,
        "cancellable": live and flow.kind in operations.CANCELLABLE and not flow.cancel_requested,
    }


@blueprint.get("/<int:flow_id>/cancel")
def ask_cancel(flow_id: int) -> str:
    """What cancelling undoes, and the button that does it."""
    with auth.scope() as session:
        return render_template("flows/cancel.html", **cancelling(session, flow_id))


def cancelling(session: Session, flow_id: int) -> dict[str, Any]:
    """What a page that asks whether to cancel needs to know. Raises not_found, flow_ended or not_cancellable."""
    flow = operations.cancellable(session, flow_id)
    return {"flow": flow, "service": reading.show(session, Service, flow.service_id), "form": Form()}


@blueprint.post("/<int:flow_id>/cancel")
def cancel(flow_id: int) -> Response:
    """Ask an operation to stop and undo what it made."""
    with auth.scope() as session:
        operations.cancel(session, flow_id)
    flash(gettext("L’annulation est demandée : l’opération s’arrête à sa prochaine étape."), "info")
    return redirect(url_for(".show", flow_id=flow_id))
