"""What the site says of itself: accessibility, site map, publisher, personal data. For everybody."""

from __future__ import annotations

from apiflask import APIBlueprint
from flask import render_template

blueprint = APIBlueprint("legal_pages", __name__, enable_openapi=False)


@blueprint.get("/accessibilite")
def accessibility() -> str:
    """The declaration of accessibility, by the model of the RGAA."""
    return render_template("legal/accessibility.html")


@blueprint.get("/plan-du-site")
def site_map() -> str:
    """All pages that the reader may open."""
    return render_template("legal/site_map.html")


@blueprint.get("/mentions-legales")
def notices() -> str:
    """Who publishes the site, and where it is kept."""
    return render_template("legal/notices.html")


@blueprint.get("/donnees-personnelles")
def personal_data() -> str:
    """What is kept of people, why and how long."""
    return render_template("legal/personal_data.html")
