"""Who asks, and what they may."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import current_app
from sqlalchemy.orm import Session

from api import auth
from api.v1 import frame
from api.v1.schemas_people import AccountIn, AccountOut, MeOut, NoticesIn, NoticesOut, PasswordIn
from orchestrator.errors import InvalidInput, Unauthenticated
from tenants import accounts, notices, roles, second_factor, signing_in, slugs
from tenants.tables_identity import SCOPES

blueprint = APIBlueprint("me", __name__, url_prefix="/api/v1/me", tag="Me")


@blueprint.get("")
@blueprint.output(MeOut)
def show() -> dict[str, Any]:
    """Who asks: the house, the roles, and what they may with this token."""
    caller = frame.caller()
    return {
        "name": caller.name,
        "member": _house(caller),
        "roles": sorted(caller.roles),
        "scopes": [name for name in SCOPES if caller.scopes is None or name in caller.scopes],
        "acts": sorted(act for act in roles.acts() if caller.may(act)),
    }


def _house(caller: auth.Caller) -> str | None:
    if caller.member_id is None or not caller.roles:
        return None
    with auth.scope() as session:
        return slugs.of(session, [caller.member_id])[caller.member_id]


@blueprint.get("/account")
@blueprint.output(AccountOut)
def show_account() -> dict[str, Any]:
    """One's own account."""
    with auth.door() as opened:
        return _account(opened, _own())


def _own() -> int:
    account_id = frame.caller().account_id
    if account_id is None:
        raise InvalidInput("no_account", "Une machine n’a pas de compte.", "Demandez-le avec le jeton d’une personne.")
    return account_id


def _account(opened: Session, account_id: int) -> dict[str, Any]:
    found = accounts.find(opened, account_id)
    names = ("id", "email", "name", "language", "created_at", "signed_in_at")
    held = [
        {"role": role, "member": place.slug}
        for place in accounts.places(opened, account_id)
        for role in sorted(place.roles)
    ]
    more = {"second_factor": second_factor.is_on(opened, account_id), "roles": held}
    return {**{name: getattr(found, name) for name in names}, **more}


@blueprint.put("/account")
@blueprint.input(AccountIn, location="json")
@blueprint.output(AccountOut)
@frame.at_the_door
def change_account(json_data: AccountIn) -> dict[str, Any]:
    """Change one's name and language."""
    with auth.door() as opened:
        accounts.rename(opened, _own(), json_data.name, json_data.language)
        return _account(opened, _own())


@blueprint.put("/password")
@blueprint.input(PasswordIn, location="json")
@blueprint.output({}, status_code=204)
def change_password(json_data: PasswordIn) -> str:
    """Replace one's password, by whoever knows the present one; all one's sessions end, tokens stay."""
    engine, hasher = auth.engines().door, current_app.extensions["hasher"]
    try:
        signing_in.change_password(engine, hasher, _own(), None, json_data.present, json_data.wanted, auth.now())
    except Unauthenticated as error:  # it is not the token that is wrong
        raise InvalidInput(error.code, error.sentence, error.action) from error
    return ""


@blueprint.get("/notices")
@blueprint.output(NoticesOut)
def show_notices() -> dict[str, Any]:
    """Which mails one gets."""
    with auth.door() as opened:
        return {"choice": notices.choice(opened, _own())}


@blueprint.put("/notices")
@blueprint.input(NoticesIn, location="json")
@blueprint.output(NoticesOut)
@frame.at_the_door
def choose_notices(json_data: NoticesIn) -> dict[str, Any]:
    """Choose which mails one gets; what waits for one's own decision is told in any case."""
    with auth.door() as opened:
        notices.choose(opened, _own(), json_data.choice)
    return {"choice": json_data.choice}
