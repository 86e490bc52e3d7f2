"""Newer versions of an application: what they bring, and the upgrade."""

from __future__ import annotations

from apiflask import APIBlueprint
from flask import render_template, request
from flask_babel import gettext
from werkzeug.wrappers import Response

from api import auth
from api.forms import Form
from api.pages.doing import do
from orchestrator.tables import Service
from tenants import reading, upgrades, upgrades_planned
from tenants.upgrades_planned import Rules

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


@blueprint.get("/postpone")
def ask_postpone(service_id: int) -> str:
    """Until when the planned upgrade would be put off, and the field for the reason."""
    return _postponing(service_id, Form())


def _postponing(service_id: int, form: Form) -> str:
    with auth.scope() as session:
        service = reading.find(session, Service, service_id)
        planned = upgrades_planned.postponable(session, service)
        given = upgrades_planned.POSTPONED
        later, _ = Rules.of(auth.settings()).place(session, planned.member_id, planned.starts_at + given)
        return render_template(
            "services/postpone.html", service=service, planned=planned, form=form, later=later, days=given.days
        )


@blueprint.post("/postpone")
def postpone(service_id: int) -> Response | tuple[str, int]:
    """Put the planned upgrade off, once."""
    reason, rules = request.form.get("reason", ""), Rules.of(auth.settings())
    return do(
        service_id,
        lambda session: upgrades_planned.postpone(session, service_id, reason, auth.now(), rules),
        gettext("La mise à jour est reportée ; la DSI en est prévenue."),
        lambda form: _postponing(service_id, form),
    )
