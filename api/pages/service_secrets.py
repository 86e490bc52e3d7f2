"""The secrets of an application: read once, on a page that nothing keeps, and renewed."""

from __future__ import annotations

from apiflask import APIBlueprint
from flask import Response, flash, make_response, redirect, render_template, url_for
from flask_babel import gettext
from werkzeug.wrappers import Response as Answer

from api import auth
from orchestrator.tables import Service
from tenants import reading, service_secrets

blueprint = APIBlueprint(
    "service_secret_pages", __name__, enable_openapi=False, url_prefix="/services/<int:service_id>/secrets/<name>"
)


@blueprint.post("/show")
def show(service_id: int, name: str) -> Response:
    """The secret, on this page and never again."""
    with auth.scope() as session:
        secret = service_secrets.show(session, auth.settings(), service_id, name, auth.now())
        service = reading.find(session, Service, service_id)
        [seen] = [one for one in service_secrets.listed(session, service) if one["name"] == name]
        page = render_template("services/secret.html", service=service, seen=seen, secret=secret.get_secret_value())
    answer = make_response(page)
    answer.headers["Cache-Control"] = "no-store"
    return answer


@blueprint.post("/renew")
def renew(service_id: int, name: str) -> Answer:
    """A new secret, once the application knows it."""
    with auth.scope() as session:
        service_secrets.renew(session, service_id, name)
    flash(gettext("Le renouvellement est en cours ; le nouveau secret se lira ensuite, une fois."), "success")
    return redirect(url_for("service_pages.one", service_id=service_id))
