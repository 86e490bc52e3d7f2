"""The catalogue's versions: list, one, draft by copy or YAML, edit, preview, publish, withdraw."""

from __future__ import annotations

from typing import Any

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext
from werkzeug.wrappers import Response as Answer

from api import auth
from api.forms import Form
from api.pages.admin.guard import territory
from orchestrator.errors import Conflict, InvalidInput
from tenants import catalogue, catalogue_versions, prices, reading
from tenants.tables import Offer

blueprint = territory("admin_catalogue", "/admin/catalogue")
STATES = ("draft", "published", "withdrawn")
LIMITS = ("minimum", "maximum", "default")


@blueprint.get("")
def list_() -> str:
    """Every version, by offer."""
    state = request.args.get("state", "")
    with auth.scope() as session:
        rows = catalogue_versions.listed(session, state if state in STATES else "")
    return render_template(
        "admin/catalogue/list.html", rows=rows, form=Form.asked(), states=STATES, filtered=bool(state)
    )


@blueprint.get("/<int:offer_id>")
def one(offer_id: int) -> str:
    """One version as members see it: texts, form and price; and what may be done with it."""
    with auth.scope() as session:
        offer = catalogue_versions.find(session, offer_id)
        monthly = _monthly(session, offer)
    return render_template("admin/catalogue/one.html", offer=offer, rules=offer.parameters["rules"], monthly=monthly)


def _monthly(session: Any, offer: Offer) -> Any:
    try:
        return prices.in_force(session, auth.now()).service(catalogue.components(offer))
    except Conflict:  # missing_price
        return None


@blueprint.post("/<int:offer_id>/copy")
def copy(offer_id: int) -> Answer:
    """A draft that begins as this version."""
    with auth.scope() as session:
        draft = catalogue_versions.copy(session, offer_id)
    return redirect(url_for(".edit", offer_id=draft.id))


@blueprint.get("/yaml")
def yaml_form() -> str:
    """Paste a file of the catalogue; `?offer=` begins with the file of that version."""
    offer_id = request.args.get("offer", type=int)
    if offer_id is None:
        return render_template("admin/catalogue/yaml.html", form=Form())
    with auth.scope() as session:
        offer = catalogue_versions.find(session, min(offer_id, reading.BEYOND))
        form = Form({"yaml": catalogue_versions.as_yaml(offer)})
    return render_template("admin/catalogue/yaml.html", form=form)


@blueprint.post("/yaml")
def read_yaml() -> Answer | tuple[str, int]:
    """Drafts of what it declares."""
    sent = Form.sent()
    try:
        with auth.scope() as session:
            made = catalogue_versions.read(session, sent.values.get("yaml", ""))
    except (InvalidInput, Conflict) as error:
        return render_template("admin/catalogue/yaml.html", form=sent.refused(error, "yaml")), error.status
    flash(gettext("%(count)s brouillons préparés.", count=len(made)), "success" if made else "info")
    return redirect(url_for(".list_", state="draft"))


@blueprint.get("/<int:offer_id>/edit")
def edit(offer_id: int) -> str:
    """The form of a draft."""
    with auth.scope() as session:
        offer = catalogue_versions.find(session, offer_id)
    return _form(Form(_typed(offer)), offer)


def _typed(offer: Offer) -> dict[str, Any]:
    fields = {name: getattr(offer, name) for name in ("flavor", "vcpus", "ram_mib", "approval")}
    for language in ("fr", "en"):
        fields |= {f"title.{language}": offer.title[language], f"summary.{language}": offer.summary[language]}
    for rule in offer.parameters["rules"]:
        fields |= {f"{rule['name']}.{name}": rule[name] for name in _limits(rule)}
    return fields


def _limits(rule: dict[str, Any]) -> tuple[str, ...]:
    return LIMITS if rule["type"] == "integer" else ()


@blueprint.post("/<int:offer_id>/edit")
def change(offer_id: int) -> Answer | tuple[str, int]:
    """Change a draft."""
    sent = Form.sent()
    given = {name: text.strip() for name, text in request.form.items()}
    with auth.scope() as session:
        offer = catalogue_versions.find(session, offer_id)
    wanted: dict[str, Any] = {name: given.get(name, "") for name in ("flavor", "vcpus", "ram_mib", "approval")}
    for name in ("title", "summary"):
        wanted[name] = {language: given.get(f"{name}.{language}", "") for language in ("fr", "en")}
    wanted["limits"] = {
        rule["name"]: {name: given.get(f"{rule['name']}.{name}", "") for name in _limits(rule)}
        for rule in offer.parameters["rules"]
    }
    try:
        with auth.scope() as session:
            catalogue_versions.edit(session, offer_id, wanted)
    except (InvalidInput, Conflict) as error:
        return _form(sent.refused(error), offer), error.status
    flash(gettext("Le brouillon est enregistré."), "success")
    return redirect(url_for(".one", offer_id=offer_id))


def _form(form: Form, offer: Offer) -> str:
    rules = [rule for rule in offer.parameters["rules"] if rule["type"] == "integer"]
    return render_template("admin/catalogue/form.html", form=form, offer=offer, rules=rules)


@blueprint.post("/<int:offer_id>/publish")
def publish(offer_id: int) -> Answer:
    """Let members order it."""
    with auth.scope() as session:
        catalogue_versions.publish(session, offer_id)
    flash(gettext("La version est publiée."), "success")
    return redirect(url_for(".one", offer_id=offer_id))


@blueprint.post("/<int:offer_id>/withdraw")
def withdraw(offer_id: int) -> Answer:
    """Take it out of the catalogue, or give the draft up."""
    with auth.scope() as session:
        catalogue_versions.withdraw(session, offer_id)
    flash(gettext("La version est retirée ; les services et commandes gardent la leur."), "success")
    return redirect(url_for(".one", offer_id=offer_id))
