"""The members: list, one, made and edited here, closed; each change is planned, shown, confirmed, then applied."""

from __future__ import annotations

from typing import Any

from flask import Response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as Answer

from api import auth
from api.exporting import download
from api.forms import Form
from api.pages.admin import members_fields
from api.pages.admin.guard import territory
from orchestrator.errors import Conflict, InvalidInput
from tenants import members_changes, members_form, members_list, register
from tenants.declarations import KINDS
from tenants.tables_administration import CHANGE_LIVE

blueprint = territory("admin_members", "/admin/members")


@blueprint.get("")
def list_() -> str:
    """All members, narrowed by name, nature and state; and the changes under way."""
    filters = members_list.Filters.read(request.args)
    with auth.scope() as session:
        rows = members_list.listed(session, filters)
        changes = [change for change in members_changes.listed(session) if change.state in CHANGE_LIVE]
    shown = {"form": Form.asked(), "rows": rows, "changes": changes, "kinds": KINDS, "kept": filters.given}
    return render_template("admin/members/list.html", **shown)


@blueprint.get("/export.csv")
def export_list() -> Response:
    """The list as a file."""
    with auth.scope() as session:
        rows = members_list.listed(session, members_list.Filters.read(request.args))
    return download(members_list.as_csv(rows), "membres.csv", "text/csv")


@blueprint.get("/new")
def new() -> str:
    """The form for a new member."""
    return _form(Form(members_fields.BEGIN), None)


@blueprint.post("/new")
def make() -> Answer | tuple[str, int]:
    """Have a new member planned."""
    return _ask(None)


@blueprint.get("/<member_slug>")
def one(member_slug: str) -> str:
    """One member: who it is, what it may hold, holds and uses, what was changed."""
    with auth.scope() as session:
        member = members_list.one(session, member_slug, auth.now())
        changes = members_changes.listed(session, member_slug)
    return render_template("admin/members/one.html", member=member, changes=changes)


@blueprint.get("/<member_slug>/edit")
def edit(member_slug: str) -> str:
    """The form of a member as it is."""
    with auth.scope() as session:
        document = members_list.document(session, member_slug)
    return _form(Form(members_fields.typed(document)), member_slug)


@blueprint.post("/<member_slug>/edit")
def change(member_slug: str) -> Answer | tuple[str, int]:
    """Have the change planned."""
    return _ask(member_slug)


def _ask(slug: str | None) -> Answer | tuple[str, int]:
    sent = Form.sent()
    document = members_fields.document(request.form, slug)
    try:
        with auth.scope() as session:
            if slug is not None:
                members_list.document(session, slug)
            asked = members_changes.ask(session, document, new=slug is None)
    except (InvalidInput, Conflict) as error:
        return _form(sent.refused(error), slug), error.status
    return redirect(url_for("admin_members.show_change", change_id=asked.id))


def _form(form: Form, slug: str | None) -> str:
    shown: dict[str, Any] = {"form": form, "slug": slug, "kinds": KINDS, "quotas": members_form.QUOTAS}
    shown |= {
        "contacts": members_fields.contact_rows(form.values),
        "years": members_fields.years(form.values, auth.now()),
    }
    return render_template("admin/members/form.html", **shown)


@blueprint.get("/<member_slug>/export.yaml")
def export(member_slug: str) -> Response:
    """The member as the file that would declare it."""
    with auth.scope() as session:
        text = members_form.as_yaml(members_list.document(session, member_slug))
    return download(text.encode(), f"{member_slug}.yaml", "application/yaml")


@blueprint.get("/<member_slug>/register.csv")
def export_register(member_slug: str) -> Response:
    """The member's register of processing."""
    with auth.scope() as session:
        content = register.as_csv(register.register(session, member_slug))
    return download(content, f"registre-{member_slug}.csv", "text/csv")


@blueprint.get("/<member_slug>/close")
def ask_close(member_slug: str) -> str:
    """What closing means."""
    with auth.scope() as session:
        return _close_page(members_list.one(session, member_slug, auth.now()), Form())


@blueprint.post("/<member_slug>/close")
def close(member_slug: str) -> Answer | tuple[str, int]:
    """Close it: the confirmation was the page before."""
    sent = Form.sent()
    with auth.scope() as session:
        member = members_list.one(session, member_slug, auth.now())
    try:
        if sent.values.get("confirm", "").strip() != member_slug:
            raise _not_typed(member_slug)
        with auth.scope() as session:
            asked = members_changes.ask_closing(session, member_slug)
            members_changes.confirm(session, asked.id, auth.now())
    except (InvalidInput, Conflict) as error:
        return _close_page(member, sent.refused(error)), error.status
    return redirect(url_for("admin_members.show_change", change_id=asked.id))


def _not_typed(word: str) -> InvalidInput:
    fault = {"parameter": "confirm", "code": "not_confirmed", "sentence": "Ce mot ne correspond pas."}
    return InvalidInput(
        "not_confirmed", "La confirmation manque.", "Écrivez le mot demandé.", facts={"errors": [fault]}
    )


def _close_page(member: dict[str, Any], form: Form) -> str:
    return render_template("admin/members/close.html", member=member, form=form)


@blueprint.get("/changes/<int:change_id>")
def show_change(change_id: int) -> str:
    """One change: its plan, how far it is, what went wrong. `?part=live` answers with the part that is polled."""
    with auth.scope() as session:
        found = members_changes.find(session, change_id)
    live = found.state in ("planning", "applying")
    name = "change_live" if request.args.get("part") == "live" else "change"
    return render_template(f"admin/members/{name}.html", change=found, live=live)


@blueprint.post("/changes/<int:change_id>/confirm")
def confirm(change_id: int) -> Answer:
    """Let a worker do what was planned."""
    with auth.scope() as session:
        members_changes.confirm(session, change_id, auth.now())
    return redirect(url_for("admin_members.show_change", change_id=change_id))


@blueprint.post("/changes/<int:change_id>/discard")
def discard(change_id: int) -> Answer:
    """Give a plan up."""
    with auth.scope() as session:
        members_changes.discard(session, change_id, auth.now())
    return redirect(url_for("admin_members.show_change", change_id=change_id))
