"""A service that goes to another member: to whom, what that does and costs, and the button that does it."""

from __future__ import annotations

import secrets

from apiflask import APIBlueprint
from flask import redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from api import auth
from api.forms import Form
from orchestrator.errors import ClocherError
from orchestrator.tables import Service
from tenants import moves, reading, reading_orders

blueprint = APIBlueprint("move_pages", __name__, enable_openapi=False, url_prefix="/services/<int:service_id>/move")
OF_THE_NAME = ("invalid_name", "name_taken")


@blueprint.get("")
def ask(service_id: int) -> str:
    """The members to choose from; once one is chosen (in the address) what the move does, and the button."""
    return _page(service_id, Form(request.args.to_dict()))


def _page(service_id: int, form: Form) -> str:
    with auth.scope() as session:
        service, seen, own = reading.find(session, Service, service_id), None, ""
        own = reading.show(session, Service, service_id)["member"]
        if form.values.get("to"):
            try:
                seen = moves.preview(
                    session, service_id, form.values["to"], form.values.get("name", "").strip() or None, auth.now()
                )
            except ClocherError as error:
                form.refused(error, "name" if error.code in OF_THE_NAME else "to")
        others = [one for one in reading_orders.active_members(session) if one[0] != own]
        return render_template(
            "services/move.html", service=service, seen=seen, members=others, form=form,
            key=form.values.get("key") or secrets.token_urlsafe(18),
        )  # fmt: skip


@blueprint.post("")
def move(service_id: int) -> Response | tuple[str, int]:
    """Have the service go to the member that was chosen."""
    wish = request.form
    keys = [line.strip() for line in wish.get("ssh_keys", "").splitlines() if line.strip()]
    try:
        with auth.scope() as session:
            name = wish.get("name", "").strip() or None
            order_id = moves.place(
                session, service_id, wish.get("to", ""), name, keys, wish.get("key", ""), auth.now()
            ).id
    except ClocherError as error:
        if error.code == "not_found":
            raise
        return _page(service_id, Form.sent().refused(error)), error.status
    return redirect(url_for("order_pages.one", order_id=order_id, placed=1))
