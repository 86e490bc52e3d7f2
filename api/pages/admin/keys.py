"""Finance's keys: their versions, and what a key that is not voted would have given."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any

from flask import Response, render_template, request, url_for

from api import auth
from api.exporting import download
from api.forms import Form
from api.pages.admin.guard import territory
from orchestrator.errors import Conflict, InvalidInput
from tenants import keys_export, keys_proposal, keys_simulation, pools
from tenants.finance import CRITERIA
from tenants.keys_proposal import Proposal

blueprint = territory("finance_keys", "/finance/keys")
PERCENT = re.compile(r"[0-9]{1,3}([.,][0-9]{1,4})?")


@blueprint.get("")
def list_() -> str:
    """Every version of every key."""
    with auth.scope() as session:
        rows = [
            {**row, "last": row["until"] and row["until"] - timedelta(days=1)} for row in pools.listed_keys(session)
        ]
    today = auth.today()
    return render_template("admin/finance/keys.html", rows=rows, today=today, fields=_fields)


def _fields(weights: Mapping[str, Any]) -> dict[str, Any]:
    """A key as the form's fields hold it."""
    return {f"weights.{name}": f"{(Decimal(weight) * 100).normalize():f}" for name, weight in weights.items()}


@blueprint.get("/simulate")
def simulate() -> str | tuple[str, int]:
    """The form, and what the key in the address would have given."""
    form, found, status = Form.asked(), None, 200
    with auth.scope() as session:
        base = keys_simulation.base(session)
        if base.months and any(f"weights.{criterion}" in request.args for criterion in CRITERIA):
            try:
                found = keys_simulation.simulate(session, _proposal())
            except (InvalidInput, Conflict) as error:
                form, status = form.refused(error), error.status
    codes = request.args.getlist("pools")
    shown: dict[str, Any] = {"form": form, "base": base, "found": found, "codes": codes, "criteria": CRITERIA}
    if found:
        keys = {key.rpartition(" v")[0] for pool in found.base.pools for key in pool.keys}
        shown["code"] = min(keys) if len(keys) == 1 else "…"
        shown["file"] = url_for(".export", **{"pools": codes, **_fields(found.proposal.weights)})
    return render_template("admin/finance/simulation.html", **shown), status


@blueprint.get("/simulate.csv")
def export() -> Response:
    """The same as a file."""
    with auth.scope() as session:
        content = keys_export.as_csv(keys_simulation.simulate(session, _proposal()))
    return download(content, keys_export.FILE, "text/csv")


def _proposal() -> Proposal:
    typed = {criterion: request.args.get(f"weights.{criterion}", "").strip() for criterion in CRITERIA}
    return keys_proposal.read({name: _part(text) for name, text in typed.items()}, request.args.getlist("pools"))


def _part(text: str) -> str:
    """What a percentage is of 1; other texts as they are, to be refused."""
    if not PERCENT.fullmatch(text):
        return text and "?"
    return f"{Decimal(text.replace(',', '.')) / 100:f}"
