"""The register of processing (RGPD, article 30) of one's house."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import g, render_template, request
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from api import auth
from api.exporting import download
from orchestrator.tables import Member
from tenants import reading_orders, register

blueprint = APIBlueprint("register_pages", __name__, enable_openapi=False, url_prefix="/register")


@blueprint.get("")
def show() -> str:
    """What the agglomeration processes for the house; the territory chooses whose."""
    with auth.scope() as session:
        slug = _slug(session)
        document = register.register(session, slug) if slug else None
        members = reading_orders.active_members(session) if g.caller.member_id is None else []
    return render_template("register/show.html", document=document, members=members, slug=slug)


@blueprint.get("/register.csv")
def export() -> Response:
    """The same for a spreadsheet."""
    with auth.scope() as session:
        slug = _slug(session) or auth.member_id(session, None)
        document: dict[str, Any] = register.register(session, str(slug))
    return download(register.as_csv(document), f"registre-{slug}.csv", "text/csv")


def _slug(session: Session) -> str | None:
    if g.caller.member_id is None:
        return request.args.get("member", "").strip() or None
    return session.get_one(Member, g.caller.member_id).slug
