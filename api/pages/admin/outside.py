"""What was made or changed in the cloud without Clocher, and until when the cloud was read."""

from __future__ import annotations

from flask import render_template

from api import auth
from api.pages.admin.guard import territory
from tenants import readings

blueprint = territory("admin_outside", "/admin/outside")


@blueprint.get("")
def show() -> str:
    """What was made by hand and is there, what was changed of ordered services, each member's last comparison."""
    with auth.scope() as session:
        rows, changes, status = readings.outside(session), readings.corrections(session), readings.status(session)
        notified = readings.notified(session)
    return render_template("admin/outside/show.html", rows=rows, changes=changes, status=status, notified=notified)
