"""Drift: which guests are no longer as their plays make them."""

from __future__ import annotations

from collections import Counter

from flask import render_template, request

from api import auth
from api.pages.admin.guard import territory
from orchestrator.tables_drift import DRIFT_STATES
from tenants import drift

blueprint = territory("admin_drift", "/admin/drift")


@blueprint.get("")
def show() -> str:
    """The guests that differ from their play or could not be compared; `?state=same`: those that do not differ."""
    with auth.scope() as session:
        rows = drift.listed(session)
    asked = request.args.get("state", "")
    counts = Counter(row["state"] for row in rows)
    chosen = [row for row in rows if row["state"] == asked or (asked not in DRIFT_STATES and row["state"] != "same")]
    return render_template("admin/drift/show.html", rows=chosen, counts=counts, all=len(rows), now=auth.now())
