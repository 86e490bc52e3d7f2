"""Pages that are for those who act for the whole territory."""

from __future__ import annotations

from apiflask import APIBlueprint
from flask import g

from orchestrator.errors import Forbidden


def territory(name: str, prefix: str) -> APIBlueprint:
    """A blueprint whose pages nobody opens who acts for one member, whatever their role there."""
    blueprint = APIBlueprint(name, __name__, url_prefix=prefix, enable_openapi=False)
    blueprint.before_request(_refuse_members)
    return blueprint


def _refuse_members() -> None:
    if g.caller is None or g.caller.member_id is not None:
        raise Forbidden("territory_only", "Cette page est celle de l’agglomération.", "Revenez à l’accueil.")
