"""Leaving with one's data: the export of an application, and the certificate of its deletion."""

from __future__ import annotations

from apiflask import APIBlueprint
from flask import render_template
from flask_babel import gettext
from werkzeug.wrappers import Response

from api import auth
from api.exporting import archive, download
from api.pages.doing import do
from tenants import certificates, service_exports

blueprint = APIBlueprint("export_pages", __name__, enable_openapi=False, url_prefix="/services/<int:service_id>")


@blueprint.post("/exports")
def make(service_id: int) -> Response | tuple[str, int]:
    """Ask for an export; a refusal is said on the service's page."""
    done = gettext("L’export est en cours : l’archive sera sur cette page.")
    return do(service_id, lambda session: service_exports.ask(session, auth.settings(), service_id, auth.now()), done)


@blueprint.post("/exports/<int:export_id>/archive")
def fetch(service_id: int, export_id: int) -> Response:
    """The archive. It is asked for by POST: that somebody took it is written down."""
    with auth.scope() as session:
        return archive(*service_exports.download(session, auth.settings(), service_id, export_id, auth.now()))


@blueprint.get("/certificate")
def certificate(service_id: int) -> str:
    """What was deleted, when, and how."""
    with auth.scope() as session:
        known = certificates.certificate(session, service_id, auth.now())
    return render_template("services/certificate.html", known=known)


@blueprint.get("/certificate.txt")
def certificate_text(service_id: int) -> Response:
    """The same as a text to keep."""
    with auth.scope() as session:
        known = certificates.certificate(session, service_id, auth.now())
    name = f"suppression-{known['member']['slug']}-{known['service']['name']}.txt"
    return download(render_template("services/certificate.txt", known=known).encode(), name, "text/plain")
