"""A member's year: its yearly statement (état annuel), calls made and to come, and files."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import Response, g, render_template, request
from sqlalchemy.orm import Session

from api import annual_files, auth, language
from api.exporting import FILES, download
from orchestrator.tables import Member
from tenants import accounting, cycle, cycle_terms, cycle_year, reading_orders
from tenants.statements import Document

blueprint = APIBlueprint("annual_pages", __name__, enable_openapi=False, url_prefix="/statements/annual")


@blueprint.get("")
def show() -> str:
    """One year (`?year=`) of a member; the territory says which (`?member=`)."""
    shown: dict[str, Any] = {}
    with auth.scope() as session:
        if g.caller.member_id is None:
            shown["members"] = reading_orders.active_members(session)
        if g.caller.member_id is not None or request.args.get("member"):
            member, year = _member(session), _year()
            shown |= {"document": _document(session, year, member), "row": _row(session, year, member)}
            shown |= {"years": cycle.years(session, member.id, auth.today().year), "year": year, "member": member}
    return render_template("statements/annual.html", **shown)


def _row(session: Session, year: int, member: Member) -> cycle.Row | None:
    return next(iter(cycle.rows(session, year, member.id)), None)


@blueprint.get("/file.<any(csv, json, pdf):kind>")
def file(kind: str) -> Response:
    """A yearly statement to take away."""
    with auth.scope() as session:
        member, year = _member(session), _year()
        document = _document(session, year, member)
    content = annual_files.one(document, kind, auth.settings(), language.current())
    return download(content, f"etat-annuel-{year}-{member.slug}.{kind}", FILES[kind])


def _member(session: Session) -> Member:
    slug = request.args.get("member", "").strip() if g.caller.member_id is None else ""
    return session.get_one(Member, auth.member_id(session, slug or None))


def _year() -> int:
    given = request.args.get("year", "").strip()
    return cycle_terms.checked_year(
        int(given) if given.isdecimal() and len(given) == 4 else 0 if given else auth.today().year
    )


def _document(session: Session, year: int, member: Member) -> Document:
    return cycle_year.annual(session, year, member, accounting.load(auth.settings().territory_dir), auth.today())
