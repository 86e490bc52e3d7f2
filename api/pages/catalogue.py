"""What can be ordered, and what it costs a month."""

from __future__ import annotations

from apiflask import APIBlueprint
from flask import render_template

from api import auth
from tenants import catalogue

blueprint = APIBlueprint("catalogue_pages", __name__, enable_openapi=False, url_prefix="/catalogue")


@blueprint.get("")
def offers() -> str:
    """The offers with today's prices."""
    with auth.scope() as session:
        return render_template("catalogue/offers.html", offers=catalogue.priced(session, auth.now()))
