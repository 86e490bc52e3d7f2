"""Keys to the API: one's own, and those of the house."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint

from api import auth
from api.v1 import frame
from api.v1.schemas import ListOf
from api.v1.schemas_people import TokenIn, TokenMade, TokenOut, TokenQuery
from orchestrator.errors import InvalidInput
from tenants import tokens

blueprint = APIBlueprint("tokens", __name__, url_prefix="/api/v1/tokens", tag="Tokens")


own = APIBlueprint("own_tokens", __name__, url_prefix="/api/v1/me/tokens", tag="Tokens")


@blueprint.get("")
@blueprint.input(TokenQuery, location="query")
@blueprint.output(ListOf[TokenOut])
def list_tokens(query_data: TokenQuery) -> dict[str, Any]:
    """The tokens of the house, newest first, without their secrets; for the territory, of all."""
    with auth.scope() as session:
        return _page(tokens.listed(session), query_data)


def _page(rows: list[dict[str, Any]], query_data: TokenQuery) -> dict[str, Any]:
    now = auth.now()
    rows = [row for row in rows if query_data.member in (None, row["member"])]
    if query_data.living:
        rows = [row for row in rows if row["revoked_at"] is None and row["expires_at"] > now]
    return frame.cut(rows, query_data, lambda row: row["id"])


@blueprint.post("")
@blueprint.input(TokenIn, location="json")
@blueprint.output(TokenMade, status_code=201)
@frame.at_the_door
def make(json_data: TokenIn) -> dict[str, Any]:
    """A token of one's own, for the house that the caller acts for, within the scopes of the token that asks."""
    caller = frame.caller()
    if caller.account_id is None:
        raise InvalidInput("no_account", "Une machine ne crée pas de jeton.", "Demandez-le à une personne.")
    if caller.scopes is not None and not set(json_data.scopes) <= caller.scopes:
        raise InvalidInput(
            "invalid_scope", "Un jeton n’en fait pas un qui peut davantage.", "Choisissez parmi ses portées."
        )
    with auth.door() as opened:
        made, secret = tokens.make(
            opened, json_data.label, json_data.days, auth.now(),
            member_id=caller.member_id, scopes=json_data.scopes, account_id=caller.account_id,
        )  # fmt: skip
    names = ("id", "label", "scopes", "expires_at")
    return {**{name: getattr(made, name) for name in names}, "secret": secret}


@blueprint.delete("/<int:token_id>")
@blueprint.output({}, status_code=204)
def revoke(token_id: int) -> str:
    """End a token of the house at once, a person's or a machine's."""
    with auth.scope() as session:
        tokens.see(session, token_id)
    with auth.door() as opened:
        tokens.revoke(opened, token_id, auth.now())
    return ""


@own.get("")
@own.input(TokenQuery, location="query")
@own.output(ListOf[TokenOut])
def list_own(query_data: TokenQuery) -> dict[str, Any]:
    """One's own tokens, newest first, without their secrets; none for a machine."""
    account_id = frame.caller().account_id
    with auth.door() as opened:
        rows = tokens.listed(opened, account_id=account_id) if account_id is not None else []
    return _page(rows, query_data)


@own.delete("/<int:token_id>", endpoint="revoke")
@own.output({}, status_code=204)
@frame.at_the_door
def revoke_own(token_id: int) -> str:
    """End one of one's own tokens at once."""
    with auth.door() as opened:
        tokens.revoke(opened, token_id, auth.now(), account_id=frame.caller().account_id or 0)
    return ""
