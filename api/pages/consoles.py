"""A service's console: its last lines, and its screen where the cloud offers one."""

from __future__ import annotations

from apiflask import APIBlueprint
from flask import redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from api import auth
from api.forms import Form
from orchestrator.errors import Conflict
from orchestrator.tables import Service
from tenants import consoles, reading
from tenants.tables_consoles import ConsoleReading

blueprint = APIBlueprint("console_pages", __name__, enable_openapi=False, url_prefix="/services/<int:service_id>")


@blueprint.get("/console")
def show(service_id: int) -> str:
    """The last reading; `?part=live` answers with the part that is polled while it is awaited."""
    return _page(service_id, Form())


def _page(service_id: int, form: Form) -> str:
    with auth.scope() as session:
        service = reading.find(session, Service, service_id)
        found = session.get(ConsoleReading, service.id)
        waiting = found is not None and found.state == "waiting"
        part = "live" if request.args.get("part") == "live" else "show"
        return render_template(f"consoles/{part}.html", service=service, reading=found, form=form, live=waiting)


@blueprint.post("/console")
def ask(service_id: int) -> Response | tuple[str, int]:
    """Have it read."""
    try:
        with auth.scope() as session:
            consoles.ask(session, service_id, auth.now())
    except Conflict as error:
        return _page(service_id, Form().refused(error)), error.status
    return redirect(url_for(".show", service_id=service_id))
