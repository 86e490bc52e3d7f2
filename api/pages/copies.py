"""A test copy of an application: what it costs, its order, and the original's data again."""

from __future__ import annotations

import secrets

from apiflask import APIBlueprint
from flask import redirect, render_template, request, url_for
from flask_babel import gettext
from werkzeug.wrappers import Response

from api import auth
from api.forms import Form
from api.pages.doing import do
from orchestrator.errors import ClocherError, Conflict, InvalidInput, Text
from orchestrator.tables import Service
from tenants import backups, carried, copies, reading

blueprint = APIBlueprint("copy_pages", __name__, enable_openapi=False, url_prefix="/services/<int:service_id>")
OF_THE_NAME = ("invalid_name", "name_taken")


@blueprint.get("/copies")
def ask(service_id: int) -> str:
    """What a copy is, what it costs, and the form that orders it."""
    return _page(service_id, Form(request.args.to_dict()))


def _page(service_id: int, form: Form) -> str:
    with auth.scope() as session:
        service = reading.find(session, Service, service_id)
        seen, kept = None, []
        try:
            seen = copies.preview(session, service_id, None, None, auth.now())
            kept = [row for row in backups.listed(session, service.id) if row.state == "ready"]
        except (Conflict, InvalidInput) as error:
            form.refused(error)
        return render_template(
            "services/copy.html", service=service, seen=seen, kept=kept, form=form, name=copies.default_name(service),
            key=form.values.get("key") or secrets.token_urlsafe(18),
        )  # fmt: skip


@blueprint.post("/copies")
def order(service_id: int) -> Response | tuple[str, int]:
    """Order the copy at the price that was shown."""
    name, chosen = request.form.get("name", "").strip() or None, request.form.get("backup", "")
    backup_id = int(chosen) if chosen.isdecimal() and len(chosen) < 19 else None
    try:
        with auth.scope() as session:
            placed = copies.place(session, service_id, name, backup_id, request.form.get("key", ""), auth.now())
            if str(placed.monthly) != request.form.get("monthly"):
                raise Conflict(
                    "price_changed",
                    Text("Le prix vient de changer : {monthly} par mois.", monthly=placed.monthly),
                    "Rien n’est commandé. Relisez le prix avant de commander.",
                )
            order_id = placed.id
    except ClocherError as error:
        if error.status == 404:
            raise
        return _page(service_id, Form.sent().refused(error, "name" if error.code in OF_THE_NAME else "")), error.status
    return redirect(url_for("order_pages.one", order_id=order_id, placed=1))


@blueprint.get("/refresh")
def ask_refresh(service_id: int) -> str:
    """What giving a copy the original's data again loses, and the button that does it."""
    return _asked(service_id, Form())


def _asked(service_id: int, form: Form) -> str:
    with auth.scope() as session:
        service = reading.find(session, Service, service_id)
        mark = carried.copied_from(service)
        if mark is None:
            raise carried.no_copy()
        return render_template("services/refresh.html", service=service, original=mark["name"], form=form)


@blueprint.post("/refresh")
def refresh(service_id: int) -> Response | tuple[str, int]:
    """Give the copy the data of the original's newest backup."""
    return do(
        service_id,
        lambda session: copies.refresh(session, service_id),
        gettext("La copie reprend les données de l’original."),
        lambda form: _asked(service_id, form),
    )
