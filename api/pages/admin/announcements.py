"""Announcements: what the DSI tells one member or all; list, write, withdraw."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from flask import flash, redirect, render_template, url_for
from flask_babel import gettext
from werkzeug.wrappers import Response as Answer

from api import auth
from api.forms import Form
from api.pages.admin.guard import territory
from orchestrator.errors import InvalidInput
from tenants import announcements, members_list
from tenants.members_list import Filters
from tenants.tables_administration import LEVELS, Announcement

blueprint = territory("admin_announcements", "/admin/announcements")
LOCAL = "%Y-%m-%dT%H:%M"  # what a browser's field of date and time holds


@blueprint.get("")
def list_() -> str:
    """All announcements, newest first, and which are shown now."""
    now = auth.now()
    with auth.scope() as session:
        rows = [(row, member, state(row, now)) for row, member in announcements.listed(session)]
    return render_template("admin/announcements/list.html", rows=rows)


def state(row: Announcement, now: datetime) -> str:
    """withdrawn, over, coming or shown."""
    if row.withdrawn_at is not None:
        return "withdrawn"
    if row.ends_at is not None and row.ends_at <= now:
        return "over"
    return "coming" if row.starts_at > now else "shown"


@blueprint.get("/new")
def new() -> str:
    """The form, for now."""
    return _form(Form({"level": "info", "starts_at": _local(auth.now())}), None)


@blueprint.post("/new")
def make() -> Answer | tuple[str, int]:
    """Announce."""
    return _write(None)


@blueprint.get("/<int:announcement_id>")
def edit(announcement_id: int) -> str:
    """The form as it was written."""
    with auth.scope() as session:
        row = announcements.find(session, announcement_id)
        slugs = {member["id"]: member["slug"] for member in members_list.listed(session, Filters())}
    typed: dict[str, Any] = {"level": row.level, "starts_at": _local(row.starts_at)}
    typed |= {"ends_at": _local(row.ends_at) if row.ends_at else "", "member": slugs.get(row.member_id, "")}
    for language in ("fr", "en"):
        typed |= {f"title_{language}": row.title[language], f"body_{language}": row.body[language]}
    return _form(Form(typed), row.id)


@blueprint.post("/<int:announcement_id>")
def change(announcement_id: int) -> Answer | tuple[str, int]:
    """Write it anew."""
    return _write(announcement_id)


@blueprint.post("/<int:announcement_id>/withdraw")
def withdraw(announcement_id: int) -> Answer:
    """Stop showing it."""
    with auth.scope() as session:
        announcements.withdraw(session, announcement_id, auth.now())
    flash(gettext("L’annonce n’est plus affichée."), "success")
    return redirect(url_for("admin_announcements.list_"))


def _write(announcement_id: int | None) -> Answer | tuple[str, int]:
    sent = Form.sent()
    typed = {name: str(value) for name, value in sent.values.items()}
    try:
        with auth.scope() as session:
            announcements.write(
                session,
                announcement_id,
                level=typed.get("level", ""),
                title={language: typed.get(f"title_{language}", "") for language in ("fr", "en")},
                body={language: typed.get(f"body_{language}", "") for language in ("fr", "en")},
                starts_at=_instant(typed.get("starts_at", "")),
                ends_at=_instant(typed.get("ends_at", "")),
                member=typed.get("member") or None,
            )
    except InvalidInput as error:
        return _form(sent.refused(error), announcement_id), error.status
    flash(gettext("L’annonce est enregistrée."), "success")
    return redirect(url_for("admin_announcements.list_"))


def _local(at: datetime) -> str:
    return at.astimezone(ZoneInfo(auth.settings().timezone)).strftime(LOCAL)


def _instant(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(auth.settings().timezone))
    except ValueError:
        return None


def _form(form: Form, announcement_id: int | None) -> str:
    with auth.scope() as session:
        members = [(row["slug"], row["name"]) for row in members_list.listed(session, Filters(state="active"))]
    shown = {"form": form, "announcement_id": announcement_id, "members": members, "levels": LEVELS}
    return render_template("admin/announcements/form.html", **shown)
