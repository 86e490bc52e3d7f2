"""The audit trail: searched, exported, proved; and for how long it is kept."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

from flask import Response, flash, g, redirect, render_template, url_for
from flask_babel import gettext
from werkzeug.wrappers import Response as Answer

from api import auth, paging
from api.exporting import download
from api.forms import Form
from api.pages.admin.guard import territory
from orchestrator import audit
from orchestrator.database import territory_session
from orchestrator.errors import InvalidInput
from tenants import trail
from tenants.trail import Search

blueprint = territory("admin_audit", "/admin/audit")
TEXTS, DAYS = ("actor", "action", "subject", "member"), ("since", "until")
FILTERS = (*TEXTS, *DAYS)
FORMATS = {"csv": (trail.as_csv, "text/csv"), "jsonl": (trail.as_lines, "application/x-ndjson")}


@blueprint.get("")
def list_() -> str:
    """The entries that were sought, newest first."""
    form = Form.asked()
    search = _search(form)
    after = paging.after()
    with auth.scope() as session:
        rows, following = trail.page(session, search, auth.settings().timezone, after=after)
        actions = trail.actions(session)
    kept: dict[str, Any] = {name: form.values[name] for name in FILTERS if form.values.get(name)}
    shown = {"form": form, "rows": rows, "kept": kept, "actions": actions, "filtered": search != Search()}
    shown |= {"next": url_for("admin_audit.list_", **{**kept, "after": str(following)}) if following else None}
    shown |= {"first": url_for("admin_audit.list_", **kept) if after else None}
    return render_template("admin/audit/list.html", **shown)


def _search(form: Form) -> Search:
    texts = {name: form.values.get(name, "").strip() for name in TEXTS}
    days: dict[str, date | None] = {}
    for name in DAYS:
        try:
            days[name] = date.fromisoformat(form.values[name]) if form.values.get(name) else None
        except ValueError:
            days[name] = None
            form.errors[name] = gettext("Une date est attendue.")
    return Search(**texts, since=days["since"], until=days["until"])


@blueprint.get("/export.<kind>")
def export(kind: str) -> Response:
    """What was sought, as a file: csv or jsonl."""
    if kind not in FORMATS:
        raise InvalidInput("unknown_format", "Ce format n’existe pas.", "Choisissez csv ou jsonl.")
    write, content = FORMATS[kind]
    search, zone = _search(Form.asked()), auth.settings().timezone
    engine, actor = auth.engines().staff, g.caller.actor

    def pieces() -> Iterator[str]:
        # The file leaves after the request is over: it has a transaction of its own.
        with territory_session(engine, actor) as session:
            yield from write(trail.every(session, search, zone))

    return download(pieces(), f"journal.{kind}", content)


@blueprint.post("/verify")
def verify() -> Answer:
    """Recompute the chain and say what came out."""
    with auth.scope() as session:
        broken = audit.first_break(session)
    if broken is None:
        flash(gettext("Le journal est entier : chaque entrée suit de celle d’avant."), "success")
    else:
        flash(
            gettext("Le journal est rompu à l’entrée %(entry)s : comparez avec une sauvegarde.", entry=broken), "danger"
        )
    return redirect(url_for("admin_audit.list_"))


@blueprint.get("/retention")
def retention() -> str:
    """How long the trail is kept, and what was purged."""
    with auth.scope() as session:
        kept = trail.retention(session)
    return _retention_page(Form({"days": kept.days, "reason": kept.reason or ""}))


@blueprint.post("/retention")
def set_retention() -> Answer | tuple[str, int]:
    """Keep it longer or shorter."""
    sent = Form.sent()
    try:
        with auth.scope() as session:
            days, reason = sent.values.get("days", ""), sent.values.get("reason", "")
            trail.set_retention(session, int(days) if days.isdecimal() and len(days) < 5 else 0, reason, auth.now())
    except InvalidInput as error:
        return _retention_page(sent.refused(error)), error.status
    flash(gettext("La durée de conservation est enregistrée."), "success")
    return redirect(url_for("admin_audit.retention"))


def _retention_page(form: Form) -> str:
    with auth.scope() as session:
        kept, purges = trail.retention(session), trail.purges(session)
    return render_template("admin/audit/retention.html", form=form, kept=kept, purges=purges)
