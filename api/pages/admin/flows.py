"""All members' flows: list, one; what the DSI does about one that failed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from flask import flash, g, redirect, render_template, request, url_for
from flask_babel import gettext
from werkzeug.wrappers import Response as Answer

from api import auth, paging
from api.forms import Form
from api.pages.admin.guard import territory
from api.pages.flows import cancelling
from orchestrator import repair
from orchestrator.errors import InvalidInput
from orchestrator.tables import FLOW_KINDS, FLOW_LIVE, FLOW_STATES, Flow, Member, Service
from tenants import desk, operations, reading

blueprint = territory("admin_flows", "/admin/flows")
FILTERS = ("state", "member", "kind")


@blueprint.get("")
def list_() -> str:
    """The flows, newest first."""
    given = {name: request.args.get(name, "").strip() for name in FILTERS}
    after = paging.after()
    with auth.scope() as session:
        rows, following = desk.flows(session, given, after=after)
        held, _ = desk.flows(session, {"state": "held"})
    kept: dict[str, Any] = {name: value for name, value in given.items() if value}
    shown = {
        "form": Form.asked(),
        "rows": [SimpleNamespace(**row) for row in rows],
        "kept": kept,
        "states": FLOW_STATES,
        "kinds": FLOW_KINDS,
        "held": held,
    }
    shown |= {"next": url_for(".list_", **{**kept, "after": str(following)}) if following else None}
    return render_template("admin/flows/list.html", **shown, first=url_for(".list_", **kept) if after else None)


@blueprint.get("/<int:flow_id>")
def one(flow_id: int) -> str:
    """One flow: why it waits, steps, Ansible's tasks, the error with its detail, the acts."""
    part = "live" if request.args.get("part") == "live" else "one"
    return render_template(f"admin/flows/{part}.html", **_shown(flow_id), form=Form())


def _shown(flow_id: int) -> dict[str, Any]:
    with auth.scope() as session:
        flow = reading.find(session, Flow, flow_id)
        told = reading.tasks(session, flow_id)
        return {
            "flow": flow,
            "service": reading.show(session, Service, flow.service_id),
            "member": session.get_one(Member, flow.member_id),
            "steps": reading.steps(session, [flow_id]),
            "tasks": [task for task in told if task.task and (task.outcome != "started" or task is told[-1])],
            "why": desk.why(session, flow, auth.settings(), auth.now()),
            "live": flow.state in FLOW_LIVE and flow.state != "held",
            "cancellable": flow.state in ("queued", "running")
            and flow.kind in operations.CANCELLABLE
            and not flow.cancel_requested,
        }


@blueprint.get("/<int:flow_id>/undo")
def ask_undo(flow_id: int) -> str:
    """What undoing means."""
    return render_template("admin/flows/undo.html", **_shown(flow_id), form=Form())


@blueprint.post("/<int:flow_id>/retry")
def retry(flow_id: int) -> Answer:
    """Go on from the step that failed."""
    with auth.scope() as session:
        repair.retry(session, flow_id)
    flash(gettext("L’opération reprend à l’étape qui a échoué."), "success")
    return redirect(url_for(".one", flow_id=flow_id))


@blueprint.post("/<int:flow_id>/undo")
def undo(flow_id: int) -> Answer:
    """Undo what it has made."""
    with auth.scope() as session:
        repair.undo(session, flow_id)
    flash(gettext("Ce que l’opération a fait va être défait."), "success")
    return redirect(url_for(".one", flow_id=flow_id))


@blueprint.get("/<int:flow_id>/cancel")
def ask_cancel(flow_id: int) -> str:
    """What cancelling undoes, and the button that does it."""
    with auth.scope() as session:
        return render_template("admin/flows/cancel.html", **cancelling(session, flow_id))


@blueprint.post("/<int:flow_id>/cancel")
def cancel(flow_id: int) -> Answer:
    """Ask it to stop before its next step."""
    with auth.scope() as session:
        operations.cancel(session, flow_id)
    flash(gettext("L’annulation est demandée : l’opération s’arrête à sa prochaine étape."), "info")
    return redirect(url_for(".one", flow_id=flow_id))


@blueprint.post("/<int:flow_id>/hand-over")
def hand_over(flow_id: int) -> Answer | tuple[str, int]:
    """Say who is on it; the caller, when nobody is named."""
    sent = Form.sent()
    to = sent.values.get("to", "").strip() or g.caller.name
    try:
        with auth.scope() as session:
            repair.hand_over(session, flow_id, to, sent.values.get("note", "").strip())
    except InvalidInput as error:
        return _again(flow_id, sent.refused(error, "note")), error.status
    flash(gettext("C’est noté : %(who)s s’en occupe.", who=to), "success")
    return redirect(url_for(".one", flow_id=flow_id))


def _again(flow_id: int, form: Form) -> str:
    return render_template("admin/flows/one.html", **_shown(flow_id), form=form)
