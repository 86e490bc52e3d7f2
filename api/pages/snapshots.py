"""A service's snapshots: going back to one, deleting one, and those that are made by the clock."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import current_app, flash, redirect, render_template, request, url_for
from flask_babel import gettext
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from api import auth
from api.forms import Form
from api.pages.doing import do
from orchestrator import snapshots
from orchestrator.errors import ClocherError, InvalidInput
from orchestrator.tables import Service
from tenants import operations, reading, restoring, schedules
from tenants.tables_schedules import SnapshotSchedule

blueprint = APIBlueprint("snapshot_pages", __name__, enable_openapi=False, url_prefix="/services/<int:service_id>")
KEPT = {"daily": 7, "weekly": 4, "monthly": 0}


@blueprint.get("/snapshots/<int:snapshot_id>/restore")
def ask_restore(service_id: int, snapshot_id: int) -> str:
    """What going back can bring back, what it loses, and what it costs to be able to return."""
    return _asked_restore(service_id, snapshot_id, Form())


def _asked_restore(service_id: int, snapshot_id: int, form: Form) -> str:
    with auth.scope() as session:
        service = reading.find(session, Service, service_id)
        most = auth.settings().snapshots_per_service
        seen = restoring.preview(session, service_id, snapshot_id, auth.now(), most=most)
        return render_template(
            "snapshots/restore.html", service=service, snapshot=seen.snapshot, seen=seen, form=form,
        )  # fmt: skip


@blueprint.post("/snapshots/<int:snapshot_id>/restore")
def restore(service_id: int, snapshot_id: int) -> Response | tuple[str, int]:
    """Bring the service back to a snapshot."""
    return do(
        service_id,
        lambda session: _restore(session, service_id, snapshot_id),
        gettext("La restauration commence."),
        lambda form: _asked_restore(service_id, snapshot_id, form),
    )


def _restore(session: Session, service_id: int, snapshot_id: int) -> None:
    reading.find(session, Service, service_id)
    found = snapshots.find(session, min(snapshot_id, reading.BEYOND), service_id)
    safety = gettext("Avant restauration de %(name)s", name=found.name)
    operations.restore(
        session, service_id, snapshot_id, volumes=request.form.get("what") == "volumes",
        safety=safety[: operations.LONGEST_NAME] if request.form.get("safety") else None,
        most=auth.settings().snapshots_per_service,
    )  # fmt: skip


@blueprint.get("/snapshots/<int:snapshot_id>/delete")
def ask_delete(service_id: int, snapshot_id: int) -> str:
    """What deleting a snapshot loses."""
    return _asked_delete(service_id, snapshot_id, Form())


def _asked_delete(service_id: int, snapshot_id: int, form: Form) -> str:
    with auth.scope() as session:
        service = reading.find(session, Service, service_id)
        found = snapshots.find(session, min(snapshot_id, reading.BEYOND), service.id)
        return render_template("snapshots/delete.html", service=service, snapshot=found, form=form)


@blueprint.post("/snapshots/<int:snapshot_id>/delete")
def delete(service_id: int, snapshot_id: int) -> Response | tuple[str, int]:
    """Delete a snapshot for good."""
    return do(
        service_id,
        lambda session: operations.delete_snapshot(session, service_id, snapshot_id),
        gettext("L’instantané est en cours de suppression."),
        lambda form: _asked_delete(service_id, snapshot_id, form),
    )


@blueprint.get("/schedule")
def show_schedule(service_id: int) -> str:
    """When snapshots are made, and how many are kept."""
    with auth.scope() as session:
        service = reading.find(session, Service, service_id)
        found = session.get(SnapshotSchedule, service.id)
        return _schedule(service, found, Form(_typed(found)))


def _typed(found: SnapshotSchedule | None) -> dict[str, Any]:
    """A schedule as its form holds it; every night when there is none yet."""
    if found is None:
        return {"hour": "2", **KEPT, **{f"day-{day}": "1" for day in schedules.EVERY_DAY}}
    kept = {name: getattr(found, name) for name in KEPT}
    return {"hour": str(found.hour), **kept, **{f"day-{day}": "1" for day in found.weekdays}}


def _schedule(service: Service, found: SnapshotSchedule | None, form: Form) -> str:
    zone = current_app.config["TIMEZONE"]
    following = schedules.next_due(found.hour, found.weekdays, auth.now(), zone) if found else None
    return render_template(
        "snapshots/schedule.html", service=service, schedule=found, form=form, following=following,
        days=[str(day) for day in schedules.EVERY_DAY], most=auth.settings().snapshots_per_service,
    )  # fmt: skip


@blueprint.post("/schedule")
def put_schedule(service_id: int) -> Response | tuple[str, int]:
    """Make snapshots by the clock from now on."""
    try:
        with auth.scope() as session:
            reading.find(session, Service, service_id)
            chosen = [day for day in schedules.EVERY_DAY if request.form.get(f"day-{day}")]
            kept = {name: _number(name) for name in KEPT}
            schedules.put(session, service_id, auth.now(), hour=_number("hour"), weekdays=chosen,
                          most=auth.settings().snapshots_per_service, **kept)  # fmt: skip
    except ClocherError as error:
        if error.status == 404:
            raise
        with auth.scope() as session:
            service = reading.find(session, Service, service_id)
            found = session.get(SnapshotSchedule, service.id)
            return _schedule(service, found, Form.sent().refused(error)), error.status
    flash(gettext("Les instantanés programmés sont enregistrés."), "success")
    return redirect(url_for("service_pages.one", service_id=service_id))


def _number(name: str) -> int:
    text = request.form.get(name, "").strip()
    if not text.isdecimal() or len(text) > 4:
        sentence = gettext("Un nombre entier est attendu.")
        fault = {"parameter": name, "code": "invalid_schedule", "sentence": sentence}
        raise InvalidInput("invalid_schedule", sentence, "Corrigez le calendrier.", facts={"errors": [fault]})
    return int(text)


@blueprint.post("/schedule/remove")
def remove_schedule(service_id: int) -> Response:
    """Make no more of them; those that exist stay."""
    with auth.scope() as session:
        schedules.remove(session, service_id)
    flash(gettext("Plus aucun instantané n’est programmé ; ceux qui existent restent."), "success")
    return redirect(url_for("service_pages.one", service_id=service_id))
