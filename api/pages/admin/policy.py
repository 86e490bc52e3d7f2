"""The approval rules: what is in force, its versions; draft another, see what it would have asked, adopt it."""

from __future__ import annotations

from typing import Any

import yaml
from flask import flash, redirect, render_template, url_for
from flask_babel import gettext
from werkzeug.wrappers import Response as Answer

from api import auth
from api.forms import Form
from api.pages.admin.guard import territory
from orchestrator.errors import InvalidInput, NotFound, Text
from tenants import policy, policy_simulation
from tenants.declarations_yaml import BrokenYaml, load_yaml
from tenants.policy import Policy

blueprint = territory("admin_policy", "/admin/policy")


@blueprint.get("")
def show() -> str:
    """The rules in force, and the versions."""
    with auth.scope() as session:
        current, versions = policy.current(session), policy.listed(session)
    return render_template("admin/policy/show.html", current=current, versions=versions)


@blueprint.get("/new")
def new() -> str:
    """A draft that begins as what is in force."""
    with auth.scope() as session:
        current = policy.current(session).policy
    return render_template("admin/policy/form.html", form=Form({"rules": as_yaml(current)}))


def as_yaml(wanted: Policy) -> str:
    """The rules as people edit them."""
    document = wanted.model_dump(mode="json", exclude_none=True)
    return yaml.safe_dump(document, allow_unicode=True, sort_keys=False, width=110)


@blueprint.post("/new")
def draft() -> Answer | tuple[str, int]:
    """Keep the draft, if its rules hold."""
    sent = Form.sent()
    try:
        with auth.scope() as session:
            made = policy.draft(session, _read(sent.values.get("rules", "")), auth.now())
    except InvalidInput as error:
        return render_template("admin/policy/form.html", form=sent.refused(error, "rules")), error.status
    return redirect(url_for(".one", version=made.version))


def _read(text: str) -> dict[str, Any]:
    try:
        document = load_yaml(text)
    except BrokenYaml as error:
        raise InvalidInput(
            "invalid_policy", Text("La politique est refusée : {wrong}.", wrong=error.sentence), "Corrigez ces règles."
        ) from error
    if not isinstance(document, dict):
        raise InvalidInput(
            "invalid_policy", "La politique est refusée : un ensemble de clés est attendu.", "Corrigez ces règles."
        )
    return document


@blueprint.get("/<int:version>")
def one(version: int) -> str:
    """One version: its rules, and what it would have asked of the latest orders."""
    with auth.scope() as session:
        found = next((row for row in policy.listed(session) if row.version == version), None)
        if found is None:
            raise NotFound("not_found", "Cette version n’existe pas.", "Revenez à la liste.")
        wanted = Policy.model_validate(found.document)
        simulated = policy_simulation.simulate(session, wanted)
    return render_template("admin/policy/one.html", version=found, policy=wanted, simulated=simulated)


@blueprint.post("/<int:version>/adopt")
def adopt(version: int) -> Answer:
    """Put it in force."""
    with auth.scope() as session:
        policy.adopt(session, version, auth.now())
    flash(gettext("La politique est en vigueur ; les commandes qui attendent gardent leurs étapes."), "success")
    return redirect(url_for(".show"))


@blueprint.post("/<int:version>/discard")
def discard(version: int) -> Answer:
    """Give it up."""
    with auth.scope() as session:
        policy.discard(session, version, auth.now())
    flash(gettext("Le brouillon est abandonné."), "success")
    return redirect(url_for(".show"))
