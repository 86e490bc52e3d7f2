"""Services: the list, one with all that is known of it, and the acts that need no order."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from apiflask import APIBlueprint
from flask import current_app, flash, g, make_response, redirect, render_template, request, url_for
from flask_babel import gettext
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from api import auth, paging
from api.forms import Form
from orchestrator.errors import N_, ClocherError, InvalidInput, NotFound
from orchestrator.tables import FLOW_LIVE, SERVICE_STATES, Service
from tenants import (
    acts,
    addresses,
    applications,
    backups,
    deletions,
    drift,
    energy,
    estimates,
    operations,
    prices,
    reading,
    reading_orders,
    reading_service,
    service_exports,
    service_secrets,
    trade_meters,
    upgrades,
    upgrades_planned,
)
from tenants.acts import Act
from tenants.prices import InForce
from tenants.wholes import Whole

blueprint = APIBlueprint("service_pages", __name__, enable_openapi=False, url_prefix="/services")
FILTERS = ("state", "text", "member")
SIZES = (50, 200)  # rows of a page
LIVING = tuple(state for state in SERVICE_STATES if state not in ("deleted", "failed"))


@blueprint.get("")
def listed() -> str:
    """The services, newest first; those that are gone only when asked for."""
    given = {name: request.args.get(name, "").strip() for name in FILTERS}
    after, rows_wanted = paging.after(), request.args.get("rows", 50, type=int)
    territory = g.caller.member_id is None
    with auth.scope() as session:
        rows, following = reading.page(
            session, Service, after=after, limit=rows_wanted if rows_wanted in SIZES else 50, text=given["text"],
            states=[given["state"]] if given["state"] in SERVICE_STATES else [], living=not given["state"],
            member=(given["member"] or None) if territory else None,
        )  # fmt: skip
        members = reading_orders.active_members(session) if territory else []
        titles = reading_service.titles(session, {row["specification"].get("offer") for row in rows})
    kept: dict[str, Any] = {name: value for name, value in given.items() if value}
    paged = kept | ({"rows": rows_wanted} if rows_wanted == SIZES[1] else {})
    return render_template(
        "services/list.html", rows=rows, form=Form.asked(), kept=kept, members=members, titles=titles,
        states=SERVICE_STATES,
        next=url_for(".listed", **{**paged, "after": str(following)}) if following else None,
        first=url_for(".listed", **paged) if after else None,
    )  # fmt: skip


@blueprint.get("/<int:service_id>")
def one(service_id: int) -> str | Response:
    """One service. `?part=live` answers with the part that is polled; `was` is the state that the page shows.

    The whole page comes again when the operation has ended or the state is another: so do the title and the acts.
    """
    polled = request.args.get("part") == "live"
    with auth.scope() as session:
        if polled:
            shown = _live(session, service_id)
            answer = make_response(render_template("services/live.html", **shown))
            if not shown["live"] or shown["row"]["state"] != request.args.get("was", shown["row"]["state"]):
                answer.headers["HX-Refresh"] = "true"
            return answer
        return render_template("services/one.html", **_shown(session, service_id))


def _live(session: Session, service_id: int) -> dict[str, Any]:
    row = reading.show(session, Service, service_id)
    newest = reading_service.newest_flow(session, row["id"])
    return {
        "row": row,
        "flow": newest,
        "steps": reading.steps(session, [newest.id]) if newest else [],
        "live": newest is not None and newest.state in FLOW_LIVE,
    }


def _shown(session: Session, service_id: int) -> dict[str, Any]:
    zone = current_app.config["TIMEZONE"]
    view = reading_service.service_page(session, service_id, auth.now(), zone)
    newest, book = view.flows[0] if view.flows else None, prices.in_force(session, auth.now())
    return {
        "view": view,
        "titles": reading_service.titles(session, [view.row["specification"].get("offer")]),
        "backups": backups.kept(session, view.service, auth.now(), auth.settings().backup_hour, zone),
        "drift": drift.of(session, view.service),
        "energy": energy.of_service(session, service_id, view.service.member_id),
        "exports": service_exports.taken(session, view.service),
        "runs": applications.of(session, view.service, auth.now(), zone),
        "address": addresses.of(session, view.service, auth.now(), zone),
        "certificates": addresses.certificates(session, auth.now()) if _is_entry(view.service) else None,
        "measured_every": auth.settings().availability_seconds // 60 or 1,
        "counts": trade_meters.counts(session, service_id, view.whole.offer.stack if view.whole else None),
        "newer": upgrades.newer(session, view.service, auth.now()),
        "planned": upgrades_planned.of(session, service_id),
        "secrets": service_secrets.listed(session, view.service),
        "row": view.row,
        "flow": newest,
        "steps": reading.steps(session, [newest.id]) if newest else [],
        "live": newest is not None and newest.state in FLOW_LIVE,
        "acts": {act.name: act for act in _possible(session, view.service, book, view.whole)},
        "estimate": estimates.of_whole(book, view.whole),
    }


def _is_entry(service: Service) -> bool:
    """Whether it is the territory's entry, and the territory looks."""
    caller = auth.caller()
    return (
        bool(caller and caller.member_id is None) and service.specification.get("stack", {}).get("provides") == "entry"
    )


def _possible(session: Session, service: Service, book: InForce, whole: Whole | None = None) -> list[Act]:
    chosen = auth.settings()
    grace = timedelta(hours=chosen.delete_grace_hours)
    return acts.possible(session, service, book, grace=grace, most=chosen.snapshots_per_service, whole=whole)


Do = Callable[[Session, int], object]


def _rename(session: Session, service_id: int) -> object:
    return operations.rename(session, service_id, request.form.get("name", "").strip())


def _keys(session: Session, service_id: int) -> object:
    lines = request.form.get("ssh_keys", "").splitlines()
    return operations.replace_keys(session, service_id, [line.strip() for line in lines if line.strip()])


def _snapshot(session: Session, service_id: int) -> object:
    most = auth.settings().snapshots_per_service
    return operations.snapshot(session, service_id, request.form.get("name", ""), most=most)


def _delete(session: Session, service_id: int) -> object:
    grace = timedelta(hours=auth.settings().delete_grace_hours)
    return deletions.delete(session, service_id, auth.now(), grace)


def _delete_now(session: Session, service_id: int) -> object:
    if request.form.get("confirm", "").strip() != reading.find(session, Service, service_id).name:
        raise InvalidInput("not_confirmed", "Le nom n’est pas celui du service.", "Recopiez-le pour confirmer.")
    return deletions.delete(session, service_id, auth.now(), timedelta())


# act: what does it, what is said afterwards, the field that a refusal belongs to.
DOES: dict[str, tuple[Do, str, str]] = {
    "start": (lambda s, i: operations.ask(s, i, "start"), N_("La machine démarre."), ""),
    "stop": (lambda s, i: operations.ask(s, i, "stop"), N_("La machine s’arrête."), ""),
    "reboot": (
        lambda s, i: operations.reboot(s, i, hard=request.form.get("how") == "hard"),
        N_("La machine redémarre."),
        "",
    ),
    "rename": (_rename, N_("Le changement de nom est en cours."), "name"),
    "keys": (_keys, N_("Les clés sont en cours de remplacement."), "ssh_keys"),
    "snapshot": (_snapshot, N_("L’instantané est en cours."), "name"),
    "protect": (lambda s, i: operations.protect(s, i, True), N_("Le service est protégé."), ""),
    "unprotect": (lambda s, i: operations.protect(s, i, False), N_("La protection est levée."), ""),
    "delete": (_delete, N_("La suppression est prévue ; vous pouvez encore l’annuler."), ""),
    "delete_now": (_delete_now, N_("Le service est en cours de suppression."), "confirm"),
    "restore_deleted": (deletions.restore_deleted, N_("La suppression est annulée."), ""),
}
FIELD_FAULTS = ("invalid_name", "name_taken", "nothing_changes", "invalid_keys", "invalid_ssh_key", "not_confirmed")


@blueprint.get("/<int:service_id>/acts/<act>")
def ask(service_id: int, act: str) -> str:
    """What an act does, costs and loses, and the button that does it."""
    return _asked(service_id, act, Form())


def _asked(service_id: int, name: str, form: Form) -> str:
    with auth.scope() as session:
        service = reading.find(session, Service, service_id)
        known = _possible(session, service, prices.in_force(session, auth.now()))
        found = next((act for act in known if act.name == name), None)
        if name not in DOES:
            raise InvalidInput("unknown_act", "Cette action n’existe pas.", "Revenez à la page du service.")
        if found is None:
            raise _useless()
        return render_template(
            "services/act.html", service=service, act=found, form=form, gone=_gone(session, found, service_id)
        )


def _gone(session: Session, act: Act, service_id: int) -> dict[str, Any] | None:
    """What a deletion takes with it, by name."""
    if not act.allowed or act.name not in ("delete", "delete_now"):
        return None
    view = reading_service.service_page(session, service_id, auth.now(), current_app.config["TIMEZONE"])
    return {"volumes": view.whole.volumes if view.whole else {}, "snapshots": len(view.snapshots)}


def _useless() -> InvalidInput:
    return InvalidInput("nothing_changes", "Le service est déjà ainsi.", "Revenez à sa page.")


@blueprint.post("/<int:service_id>/acts/<act>")
def do(service_id: int, act: str) -> Response | tuple[str, int]:
    """Do it; a refusal is said on the page that asked."""
    try:
        with auth.scope() as session:
            reading.find(session, Service, service_id)
            if act not in DOES:
                raise InvalidInput("unknown_act", "Cette action n’existe pas.", "Revenez à la page du service.")
            does, told, _ = DOES[act]
            does(session, service_id)
    except NotFound:
        raise
    except ClocherError as error:
        if error.code == "unknown_act":
            raise
        field = DOES[act][2] if error.code in FIELD_FAULTS else ""
        return _asked(service_id, act, Form.sent().refused(error, field)), error.status
    flash(gettext(told), "success")
    return redirect(url_for(".one", service_id=service_id))
