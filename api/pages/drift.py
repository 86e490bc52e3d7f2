"""How a service compares with its play: compared now, and repaired after saying what that changes."""

from __future__ import annotations

from apiflask import APIBlueprint
from flask import render_template
from flask_babel import gettext
from werkzeug.wrappers import Response

from api import auth
from api.forms import Form
from api.pages.doing import do
from orchestrator.tables import Service
from tenants import drift, reading

blueprint = APIBlueprint("drift_pages", __name__, enable_openapi=False, url_prefix="/services/<int:service_id>/drift")


@blueprint.post("")
def check(service_id: int) -> Response | tuple[str, int]:
    """Compare the service with its play; a refusal is said on its page."""
    done = gettext("La comparaison commence ; le service n’est pas touché.")
    return do(service_id, lambda session: drift.check(session, service_id), done)


@blueprint.get("/repair")
def ask_repair(service_id: int) -> str:
    """What a repair will change, and the button that does it."""
    return _asked(service_id, Form())


def _asked(service_id: int, form: Form) -> str:
    with auth.scope() as session:
        service = reading.find(session, Service, service_id)
        row = drift.differing(session, service)
        return render_template("services/repair.html", service=service, row=row, form=form)


@blueprint.post("/repair")
def repair(service_id: int) -> Response | tuple[str, int]:
    """Run the service's play again."""
    return do(
        service_id,
        lambda session: drift.repair(session, service_id),
        gettext("La remise en conformité commence."),
        lambda form: _asked(service_id, form),
    )
