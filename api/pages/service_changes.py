"""Changing what a service is made of: choose, see what it costs and does, order."""

from __future__ import annotations

import secrets
from typing import Any

from apiflask import APIBlueprint
from flask import redirect, render_template, request, url_for
from sqlalchemy.orm import Session
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response

from api import auth
from api.forms import Form
from orchestrator.errors import ClocherError, Conflict, InvalidInput, Text
from orchestrator.tables import Service
from tenants import answering, catalogue, changes, parameters, reading, reading_service, wholes
from tenants.wholes import MAIN

blueprint = APIBlueprint("service_changes", __name__, enable_openapi=False, url_prefix="/services")
KINDS = ("resize", "volume", "address", "parameters")


@blueprint.get("/<int:service_id>/change/<kind>")
def ask(service_id: int, kind: str) -> str:
    """The choice, and once something is chosen (in the address) its effect and the button that orders it."""
    return _page(service_id, kind, request.args, Form(request.args.to_dict()))


def _page(service_id: int, kind: str, typed: MultiDict[str, str], form: Form) -> str:
    with auth.scope() as session:
        service = reading.find(session, Service, service_id)
        _check(kind)
        whole = reading_service.whole(session, service)
        shown: dict[str, Any] = {"whole": whole, "kind": kind, "service": service}
        if kind == "resize":
            shown["offers"] = [one for one in catalogue.priced(session, auth.now()) if _same_kind(one, whole)]
            shown["before"] = reading_service.size_before(session, service.id)
        rules = answering.changeable(session, service)
        preview, wanted = None, _wanted(kind, typed, rules)
        if wanted is not None:
            try:
                preview = changes.preview(session, service_id, wanted, auth.now())
            except (InvalidInput, Conflict) as error:
                form.refused(error, _field(kind, error))
        return render_template(
            "services/change.html", form=form, preview=preview, wanted=wanted or {}, main=MAIN, rules=rules,
            sent=_flat(wanted or {}), key=typed.get("key") or secrets.token_urlsafe(18), **shown,
        )  # fmt: skip


def _check(kind: str) -> None:
    if kind not in KINDS:
        raise InvalidInput("unknown_act", "Cette action n’existe pas.", "Revenez à la page du service.")


def _same_kind(offer: dict[str, Any], whole: Any) -> bool:
    return whole is not None and wholes.same_family(offer["kind"], offer["stack"], whole.offer)


def _field(kind: str, error: ClocherError) -> str:
    if error.code in ("volume_shrinks", "too_many_volumes", "nothing_changes", "invalid_change"):
        return {"resize": "offer", "volume": "disk_gib"}.get(kind, "")
    return ""


def _flat(wanted: dict[str, Any]) -> dict[str, Any]:
    """What is wanted as the fields of a form."""
    return {"answers": True, **wanted["answers"]} if "answers" in wanted else wanted


def _wanted(kind: str, typed: MultiDict[str, str], rules: list[dict[str, Any]]) -> dict[str, Any] | None:
    """What was chosen, as `wholes.read` takes it; None as long as nothing was."""
    if kind == "resize":
        return {"offer": typed["offer"]} if typed.get("offer") else None
    if kind == "address":
        return {"public_address": typed["public_address"] == "1"} if "public_address" in typed else None
    if kind == "parameters":
        return {"answers": {rule["name"]: _answer(rule, typed) for rule in rules}} if "answers" in typed else None
    size = typed.get("disk_gib", "").strip()
    if not size:
        return None
    number: int | str = int(size) if size.isdecimal() and len(size) < 10 else size
    return {"volume": typed.get("volume", "").strip() or MAIN, "disk_gib": number}


def _answer(rule: dict[str, Any], typed: MultiDict[str, str]) -> Any:
    text = typed.get(rule["name"], "").strip()
    # A browser leaves an unticked box out.
    return text == "1" if rule["type"] == "boolean" else parameters.from_text(rule, text)


@blueprint.post("/<int:service_id>/change/<kind>")
def order(service_id: int, kind: str) -> Response | tuple[str, int]:
    """Order the change at the price that was shown."""
    try:
        with auth.scope() as session:
            service = reading.find(session, Service, service_id)
            _check(kind)
            order_id = _order(session, service, kind)
    except ClocherError as error:
        if error.status == 404 or error.code == "unknown_act":
            raise
        return _page(service_id, kind, request.form, Form.sent().refused(error, _field(kind, error))), error.status
    return redirect(url_for("order_pages.one", order_id=order_id, placed=1))


def _order(session: Session, service: Service, kind: str) -> int:
    wanted = _wanted(kind, request.form, answering.changeable(session, service)) or {}
    placed = changes.place(session, service.id, wanted, request.form.get("key", ""), auth.now())
    if str(placed.difference) != request.form.get("difference"):
        raise Conflict(
            "price_changed",
            Text("Le prix vient de changer : {monthly} par mois.", monthly=placed.monthly),
            "Rien n’est commandé. Relisez l’effet avant de commander.",
        )
    return placed.id
