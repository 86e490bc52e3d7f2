"""The announcements on top of every page, and putting one aside until one signs in again."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import Flask, redirect, request, session
from werkzeug.wrappers import Response as Answer

from api import auth
from api.pages.signing_in import same_site
from tenants import announcements

blueprint = APIBlueprint("announcing", __name__, enable_openapi=False)
MOST = 40  # remembered as put aside: the cookie must stay small


def install(app: Flask) -> None:
    """Let every page show what is announced to the caller."""
    app.jinja_env.globals["announcements"] = current


def current() -> list[dict[str, Any]]:
    """What the caller should read now and did not put aside."""
    asking = auth.caller()
    if asking is None or not asking.roles:
        return []
    aside = session.get("aside", [])
    with auth.scope() as opened:
        found = announcements.current(opened, auth.now())
    return [
        {"id": one.id, "level": one.level, "title": one.title, "text": one.body} for one in found if one.id not in aside
    ]


@blueprint.post("/announcements/<int:announcement_id>/dismiss")
def dismiss(announcement_id: int) -> Answer:
    """Put one aside, in this browser until the next sign-in."""
    with auth.scope() as opened:
        announcements.find(opened, announcement_id)
    session["aside"] = [*session.get("aside", []), announcement_id][-MOST:]
    return redirect(same_site(request.form.get("next")) or "/")
