"""Newer versions of an application: what they bring, and the upgrade."""

from __future__ import annotations

from apiflask import APIBlueprint
from flask import render_template
from flask_babel import gettext
from werkzeug.wrappers import Response

from api import auth
from api.forms import Form
from api.pages.doing import do
from orchestrator.tables import Service
from tenants import reading, upgrades

blueprint = APIBlueprint(
    "upgrade_pages", __name__, enable_openapi=False, url_prefix="/services/<int:service_id>/upgrade"
)


@blueprint.get("")
def ask(service_id: int) -> str:
    """What the newer version brings, what happens, and the button that does it."""
    return _asked(service_id, Form())


def _asked(service_id: int, form: Form) -> str:
    with auth.scope() as session:
        service = reading.find(session, Service, service_id)
        found = upgrades.newer(session, service, auth.now())
        if found is None:
            raise upgrades.none_newer(service)
        return render_template("services/upgrade.html", service=service, newer=found, form=form)


@blueprint.post("")
def upgrade(service_id: int) -> Response | tuple[str, int]:
    """Bring the application to its newest version."""
    most = auth.settings().snapshots_per_service
    return do(
        service_id,
        lambda session: upgrades.upgrade(session, service_id, auth.now(), most=most),
        gettext("La mise à jour commence."),
        lambda form: _asked(service_id, form),
    )
