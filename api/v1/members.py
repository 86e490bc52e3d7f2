"""The members, by the DSI; and each member's register of processing."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import Response

from api import auth
from api.v1 import frame
from api.v1.schemas import ListOf
from api.v1.schemas_admin import (
    ChangeOut,
    ConfirmIn,
    MemberDetail,
    MemberEdit,
    MemberIn,
    MemberOut,
    MemberQuery,
)
from api.v1.schemas_trail import RegisterOut
from orchestrator.errors import InvalidInput
from tenants import members_changes, members_form, members_list, register

blueprint = APIBlueprint("members", __name__, url_prefix="/api/v1/members", tag="Members")
ONE = "/<member_slug>"


@blueprint.get("")
@blueprint.input(MemberQuery, location="query")
@blueprint.output(ListOf[MemberOut])
def list_members(query_data: MemberQuery) -> dict[str, Any]:
    """The members, by short name."""
    with auth.scope() as session:
        rows = members_list.listed(session, query_data.filters())
    return frame.cut(rows, query_data, lambda row: row["slug"], newest_first=False)


@blueprint.post("")
@blueprint.input(MemberIn, location="json")
@blueprint.output(ChangeOut, status_code=202)
def make(json_data: MemberIn) -> Any:
    """Have a new member planned; confirm the change that is the answer, once its state is `planned`."""
    with auth.scope() as session:
        return members_changes.ask(session, json_data.document(json_data.slug), new=True)


@blueprint.get(ONE)
@blueprint.output(MemberDetail)
def show(member_slug: str) -> dict[str, Any]:
    """One member: as it is declared, what it may hold and holds."""
    with auth.scope() as session:
        found = members_list.one(session, member_slug, auth.now())
        said = {name: getattr(found["row"], name) for name in ("state", "origin")}
        return {**found, **said, "declaration": members_list.document(session, member_slug)}


@blueprint.put(ONE)
@blueprint.input(MemberEdit, location="json")
@blueprint.output(ChangeOut, status_code=202)
def edit(member_slug: str, json_data: MemberEdit) -> Any:
    """Have the change of a member planned."""
    with auth.scope() as session:
        members_list.document(session, member_slug)
        return members_changes.ask(session, json_data.document(member_slug), new=False)


@blueprint.get(f"{ONE}/export.yaml")
@blueprint.doc(responses={200: "An application/yaml file"})
def export(member_slug: str) -> Response:
    """The member as the file that would declare it."""
    with auth.scope() as session:
        text = members_form.as_yaml(members_list.document(session, member_slug))
    return frame.file(text.encode(), f"{member_slug}.yaml")


@blueprint.post(f"{ONE}/close")
@blueprint.input(ConfirmIn, location="json")
@blueprint.output(ChangeOut, status_code=202)
def close(member_slug: str, json_data: ConfirmIn) -> Any:
    """Close a member: it orders no more and leaves the cloud; its accounts stay."""
    with auth.scope() as session:
        members_list.document(session, member_slug)
        if json_data.confirm != member_slug:
            raise InvalidInput("not_confirmed", "La confirmation manque.", "Écrivez le nom court du membre.")
        asked = members_changes.ask_closing(session, member_slug)
        return members_changes.confirm(session, asked.id, auth.now())


@blueprint.get(f"{ONE}/register")
@blueprint.output(RegisterOut)
def show_register(member_slug: str) -> dict[str, Any]:
    """The register of processing (RGPD, article 30.2) of a member."""
    with auth.scope() as session:
        return register.register(session, member_slug)


@blueprint.get(f"{ONE}/register.csv")
@blueprint.doc(responses={200: "A text/csv file"})
def export_register(member_slug: str) -> Response:
    """The register as a file for a spreadsheet."""
    with auth.scope() as session:
        content = register.as_csv(register.register(session, member_slug))
    return frame.file(content, f"registre-{member_slug}.csv")
