"""What the DSI has to say to one member or to all."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from sqlalchemy.orm import Session

from api import auth
from api.v1 import frame
from api.v1.schemas import Cut, ListOf
from api.v1.schemas_admin import AnnouncementIn, AnnouncementOut, AnnouncementRow
from tenants import announcements, slugs
from tenants.tables_administration import Announcement

blueprint = APIBlueprint("announcements", __name__, url_prefix="/api/v1/announcements", tag="Announcements")
ONE = "/<int:announcement_id>"


@blueprint.get("/current")
@blueprint.output(ListOf[AnnouncementOut])
def list_current() -> dict[str, Any]:
    """What the caller should read now, the gravest first. Always whole."""
    with auth.scope() as session:
        return {"items": announcements.current(session, auth.now())}


@blueprint.get("")
@blueprint.input(Cut, location="query")
@blueprint.output(ListOf[AnnouncementRow])
def list_announcements(query_data: Cut) -> dict[str, Any]:
    """All announcements, newest first."""
    with auth.scope() as session:
        rows = [row for row, _ in announcements.listed(session, limit=1000)]
        names = slugs.of(session, [row.member_id for row in rows])
        return frame.cut([_fields(row, names) for row in rows], query_data, lambda row: row["id"])


def _fields(row: Announcement, names: dict[int, str]) -> dict[str, Any]:
    shown = {name: getattr(row, name) for name in AnnouncementOut.model_fields}
    return {**shown, "member": names.get(row.member_id or 0)}


@blueprint.get(ONE)
@blueprint.output(AnnouncementRow)
def show(announcement_id: int) -> dict[str, Any]:
    """One announcement."""
    with auth.scope() as session:
        return _one(session, announcements.find(session, announcement_id))


def _one(session: Session, row: Announcement) -> dict[str, Any]:
    return _fields(row, slugs.of(session, [row.member_id]))


@blueprint.post("")
@blueprint.input(AnnouncementIn, location="json")
@blueprint.output(AnnouncementRow, status_code=201)
def make(json_data: AnnouncementIn) -> dict[str, Any]:
    """Announce."""
    with auth.scope() as session:
        return _one(session, announcements.write(session, None, **json_data.model_dump()))


@blueprint.put(ONE)
@blueprint.input(AnnouncementIn, location="json")
@blueprint.output(AnnouncementRow)
def change(announcement_id: int, json_data: AnnouncementIn) -> dict[str, Any]:
    """Write it anew."""
    with auth.scope() as session:
        announcements.find(session, announcement_id)
        return _one(session, announcements.write(session, announcement_id, **json_data.model_dump()))


@blueprint.post(f"{ONE}/withdraw")
@blueprint.output(AnnouncementRow)
def withdraw(announcement_id: int) -> dict[str, Any]:
    """Stop showing it."""
    with auth.scope() as session:
        return _one(session, announcements.withdraw(session, announcement_id, auth.now()))
