"""What the DSI has to say to one member or to all, from an instant to another, in both languages."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator import audit
from orchestrator.errors import InvalidInput, NotFound, Number, Text
from orchestrator.tables import Member
from tenants import reading
from tenants.tables_administration import LEVELS, Announcement

LONGEST = 300  # characters of a title; a body has four times as many


# Built once: every page asks.
AT = sa.bindparam("at", type_=sa.TIMESTAMP(timezone=True))
CURRENT = (
    sa.select(Announcement)
    .where(
        Announcement.withdrawn_at.is_(None),
        Announcement.starts_at <= AT,
        Announcement.ends_at.is_(None) | (Announcement.ends_at > AT),
    )
    .order_by(
        sa.case({level: number for number, level in enumerate(LEVELS)}, value=Announcement.level).desc(),
        Announcement.starts_at.desc(),
    )
)


def current(session: Session, at: datetime) -> list[Announcement]:
    """What the session may see and should read now, the gravest first."""
    return list(session.scalars(CURRENT, {"at": at}))


def listed(session: Session, limit: int = 200) -> list[tuple[Announcement, str | None]]:
    """All announcements with the name of the member that each is for, newest first."""
    query = sa.select(Announcement, Member.name).outerjoin(Member, Member.id == Announcement.member_id)
    return [(row[0], row[1]) for row in session.execute(query.order_by(Announcement.id.desc()).limit(limit))]


def write(
    session: Session,
    announcement_id: int | None,
    *,
    level: str,
    title: dict[str, str],
    body: dict[str, str],
    starts_at: datetime | None,
    ends_at: datetime | None,
    member: str | None,
) -> Announcement:
    """Make or change an announcement; `member`: a slug, None for all.

    Raises InvalidInput invalid_announcement (faults: level, title_fr, title_en, body_fr, body_en, starts_at, ends_at),
    NotFound unknown_member or not_found.
    """
    row = Announcement(made_by=session.info["actor"]) if announcement_id is None else find(session, announcement_id)
    texts = {"title": (title, LONGEST), "body": (body, 4 * LONGEST)}
    faults = [
        _fault(f"{name}_{language}", Text("un texte est attendu, de {most} caractères au plus", most=Number(most)))
        for name, (text, most) in texts.items()
        for language in ("fr", "en")
        if not 0 < len(text.get(language, "").strip()) <= most
    ]
    if level not in LEVELS:
        faults.append(_fault("level", Text("choisissez un niveau")))
    if starts_at is None:
        faults.append(_fault("starts_at", Text("une date et une heure sont attendues")))
    elif ends_at is not None and ends_at <= starts_at:
        faults.append(_fault("ends_at", Text("la fin doit suivre le début")))
    if faults or starts_at is None:
        raise InvalidInput(
            "invalid_announcement", "Cette annonce est à corriger.", "Voyez les champs.", facts={"errors": faults}
        )
    member_id = reading.member(session, member).id if member else None
    row.level, row.starts_at, row.ends_at, row.member_id = level, starts_at, ends_at, member_id
    row.title = {language: title[language].strip() for language in ("fr", "en")}
    row.body = {language: body[language].strip() for language in ("fr", "en")}
    session.add(row)
    session.flush()
    detail: dict[str, Any] = {"level": level, "title": row.title["fr"], "starts_at": starts_at.isoformat()}
    audit.record(session, "announcement.write", f"announcement {row.id}", member_id=member_id, detail=detail)
    return row


def _fault(field: str, sentence: str) -> dict[str, str]:
    return {"parameter": field, "code": "invalid_announcement", "sentence": sentence}


def find(session: Session, announcement_id: int) -> Announcement:
    """One announcement; NotFound `not_found`."""
    found = session.get(Announcement, announcement_id)
    if found is None:
        raise NotFound("not_found", "Cela n’existe pas, ou n’est pas à vous.", "Revenez à la liste.")
    return found


def withdraw(session: Session, announcement_id: int, at: datetime) -> Announcement:
    """Stop showing it; again: no change."""
    row = find(session, announcement_id)
    if row.withdrawn_at is None:
        row.withdrawn_at = at
        session.flush()
        audit.record(session, "announcement.withdraw", f"announcement {row.id}", member_id=row.member_id)
    return row
