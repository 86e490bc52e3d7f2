"""People: of a member, by who manages its accounts; of everybody, by the DSI."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from sqlalchemy.orm import Session

from api import auth
from api.v1 import frame
from api.v1.schemas import ListOf
from api.v1.schemas_people import InviteIn, PeopleQuery, PersonOut, RolesIn
from orchestrator.errors import NotFound
from tenants import accounts, invitations, reading, second_factor

blueprint = APIBlueprint("people", __name__, url_prefix="/api/v1/people", tag="People")
ONE = "/<int:account_id>"


@blueprint.get("")
@blueprint.input(PeopleQuery, location="query")
@blueprint.output(ListOf[PersonOut])
def list_people(query_data: PeopleQuery) -> dict[str, Any]:
    """Who has an account here, newest first; for the territory, in every house."""
    with auth.scope() as session:
        rows = [row for row in _people(session) if query_data.state in (None, row["state"])]
    return frame.cut(rows, query_data, lambda row: row["id"])


def _people(session: Session) -> list[dict[str, Any]]:
    member_id = frame.caller().member_id
    return accounts.listed(session, member_id, everybody=member_id is None)


@blueprint.post("")
@blueprint.input(InviteIn, location="json")
@blueprint.output(PersonOut, status_code=201)
def invite(json_data: InviteIn) -> dict[str, Any]:
    """Invite a person, known or not, to a house; who has no way in yet is mailed a link."""
    with auth.scope() as session:
        member_id = _house(session, json_data.member)
        invited = invitations.invite(
            session, json_data.email, json_data.name, json_data.language, member_id, set(json_data.roles), auth.now()
        )
        return _one(session, invited.account_id)


def _house(session: Session, slug: str | None) -> int | None:
    """In which house: one's own; only the territory may name another."""
    own = frame.caller().member_id
    return reading.member(session, slug).id if slug is not None else own


def _one(session: Session, account_id: int) -> dict[str, Any]:
    found = [row for row in _people(session) if row["id"] == account_id]
    if not found:
        raise NotFound("not_found", "Ce compte n’existe pas, ou n’est pas à vous.", "Revenez à la liste.")
    return found[0]


@blueprint.get(ONE)
@blueprint.output(PersonOut)
def show(account_id: int) -> dict[str, Any]:
    """One person, and the roles that the caller may see."""
    with auth.scope() as session:
        return _one(session, account_id)


@blueprint.put(f"{ONE}/roles")
@blueprint.input(RolesIn, location="json")
@blueprint.output(PersonOut)
def set_roles(account_id: int, json_data: RolesIn) -> dict[str, Any]:
    """Give a person exactly these roles in one house; none: sessions and tokens there end at once."""
    with auth.scope() as session:
        person = _one(session, account_id)
        accounts.set_roles(session, account_id, _house(session, json_data.member), set(json_data.roles))
        session.flush()
        after = [row for row in _people(session) if row["id"] == account_id]
        return after[0] if after else {**person, "roles": []}


@blueprint.post(f"{ONE}/invite-again")
@blueprint.output({}, status_code=204)
def invite_again(account_id: int) -> str:
    """Mail a fresh link to who has not answered."""
    with auth.scope() as session:
        _one(session, account_id)
        invitations.invite_again(session, account_id, frame.caller().member_id, auth.now())
    return ""


@blueprint.post(f"{ONE}/close")
@blueprint.output(PersonOut)
def close(account_id: int) -> dict[str, Any]:
    """A person leaves for good: all roles, sessions and tokens end; what was ordered stays."""
    with auth.scope() as session:
        accounts.close(session, account_id, auth.now())
        return _one(session, account_id)


@blueprint.delete(f"{ONE}/second-factor")
@blueprint.output({}, status_code=204)
def take_second_factor(account_id: int) -> str:
    """Take the second factor off who lost the telephone and the recovery codes."""
    with auth.scope() as session:
        accounts.find(session, account_id)
        second_factor.take_off(session, account_id)
    return ""
