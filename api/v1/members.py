"""The members, by the DSI; and each member's register of processing."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import Response

from api import auth
from api.v1 import frame
from api.v1.schemas import Cut, ListOf
from api.v1.schemas_admin import (
    ChangeOut,
    ConfirmIn,
    MemberDetail,
    MemberEdit,
    MemberIn,
    MemberOut,
    MemberQuery,
    RegisterOut,
)
from orchestrator.errors import InvalidInput
from tenants import members_changes, members_form, members_list, register
from tenants.members_list import Filters

blueprint = APIBlueprint("members", __name__, url_prefix="/api/v1/members", tag="Members")
ONE = "/<slug>"
CHANGE = "/changes/<int:change_id>"


@blueprint.get("")
@blueprint.input(MemberQuery, location="query")
@blueprint.output(ListOf[MemberOut])
def list_members(query_data: MemberQuery) -> dict[str, Any]:
    """The members, by short name."""
    with auth.scope() as session:
        rows = members_list.listed(session, query_data.filters())
    return frame.cut(rows, query_data, lambda row: row["slug"], newest_first=False)


@blueprint.get("/export.csv")
@blueprint.doc(responses={200: "A text/csv file"})
def export_list() -> Response:
    """All members as a file for a spreadsheet."""
    with auth.scope() as session:
        return frame.file(members_list.as_csv(members_list.listed(session, Filters())), "membres.csv")


@blueprint.post("")
@blueprint.input(MemberIn, location="json")
@blueprint.output(ChangeOut, status_code=202)
def make(json_data: MemberIn) -> Any:
    """Have a new member planned; confirm the change that is the answer, once its state is `planned`."""
    with auth.scope() as session:
        return members_changes.ask(session, json_data.document(json_data.slug), new=True)


@blueprint.get(ONE)
@blueprint.output(MemberDetail)
def show(slug: str) -> dict[str, Any]:
    """One member: as it is declared, what it may hold and holds."""
    with auth.scope() as session:
        found = members_list.one(session, slug, auth.now())
        row = found["row"]
        return {**found, "declaration": members_list.document(session, slug), "state": row.state, "origin": row.origin}


@blueprint.put(ONE)
@blueprint.input(MemberEdit, location="json")
@blueprint.output(ChangeOut, status_code=202)
def edit(slug: str, json_data: MemberEdit) -> Any:
    """Have the change of a member planned."""
    with auth.scope() as session:
        members_list.document(session, slug)
        return members_changes.ask(session, json_data.document(slug), new=False)


@blueprint.get(f"{ONE}/export.yaml")
@blueprint.doc(responses={200: "An application/yaml file"})
def export(slug: str) -> Response:
    """The member as the file that would declare it."""
    with auth.scope() as session:
        text = members_form.as_yaml(members_list.document(session, slug))
    return frame.file(text.encode(), f"{slug}.yaml")


@blueprint.post(f"{ONE}/close")
@blueprint.input(ConfirmIn, location="json")
@blueprint.output(ChangeOut, status_code=202)
def close(slug: str, json_data: ConfirmIn) -> Any:
    """Close a member: it orders no more and leaves the cloud; its accounts stay."""
    with auth.scope() as session:
        members_list.document(session, slug)
        if json_data.confirm != slug:
            raise InvalidInput("not_confirmed", "La confirmation manque.", "Écrivez le nom court du membre.")
        asked = members_changes.ask_closing(session, slug)
        return members_changes.confirm(session, asked.id, auth.now())


@blueprint.get(f"{ONE}/register")
@blueprint.output(RegisterOut)
def show_register(slug: str) -> dict[str, Any]:
    """The register of processing (RGPD, article 30.2) of a member."""
    with auth.scope() as session:
        return register.register(session, slug)


@blueprint.get(f"{ONE}/register.csv")
@blueprint.doc(responses={200: "A text/csv file"})
def export_register(slug: str) -> Response:
    """The register as a file for a spreadsheet."""
    with auth.scope() as session:
        return frame.file(register.as_csv(register.register(session, slug)), f"registre-{slug}.csv")


@blueprint.get("/changes")
@blueprint.input(Cut, location="query")
@blueprint.output(ListOf[ChangeOut])
def list_changes(query_data: Cut) -> dict[str, Any]:
    """The latest changes of members, newest first."""
    with auth.scope() as session:
        return frame.cut(members_changes.listed(session, limit=1000), query_data, lambda change: change.id)


@blueprint.get(CHANGE)
@blueprint.output(ChangeOut)
def show_change(change_id: int) -> Any:
    """One change: its plan, how far it is, what went wrong."""
    with auth.scope() as session:
        return members_changes.find(session, change_id)


@blueprint.post(f"{CHANGE}/confirm")
@blueprint.output(ChangeOut)
def confirm(change_id: int) -> Any:
    """Let a worker do what was planned."""
    with auth.scope() as session:
        return members_changes.confirm(session, change_id, auth.now())


@blueprint.post(f"{CHANGE}/discard")
@blueprint.output(ChangeOut)
def discard(change_id: int) -> Any:
    """Give a plan up."""
    with auth.scope() as session:
        return members_changes.discard(session, change_id, auth.now())
