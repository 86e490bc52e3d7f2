"""Who asks, and what they may."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint

from api import auth
from api.v1 import frame
from api.v1.schemas_people import MeOut
from tenants import roles, slugs
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
