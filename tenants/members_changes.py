"""A member made, edited or closed in the pages: asked for, planned by a worker, confirmed by a person, then done.

The pages hold no key to the cloud: `members_working` is what the worker does with a change.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from orchestrator import audit
from orchestrator.errors import Conflict, InvalidInput, NotFound, Text
from orchestrator.places import Change
from orchestrator.tables import Member
from tenants import members, members_closing, members_form
from tenants.tables_administration import CHANGE_LIVE, MemberChange


def ask(session: Session, document: dict[str, Any], *, new: bool) -> MemberChange:
    """Have a member planned as the document describes it; `new`: there must be none of its slug yet.

    Raises InvalidInput invalid_member (faults by field), Conflict change_running, NotFound unknown_member.
    """
    declaration = members_form.read(document)
    found = session.scalar(sa.select(Member).where(Member.slug == declaration.slug))
    if new and found is not None:
        raise _taken("slug", Text("« {slug} » est déjà un membre", slug=declaration.slug))
    if not new and found is None:
        raise NotFound("unknown_member", Text("Le membre « {slug} » n’existe pas.", slug=declaration.slug))
    other = sa.select(Member.name).where(Member.siret == declaration.siret, Member.slug != declaration.slug)
    if name := session.scalar(other):
        raise _taken("siret", Text("ce SIRET est celui de « {name} »", name=name))
    change = MemberChange(slug=declaration.slug, kind="edit", member_id=found.id if found else None)
    change.declaration = document
    return _add(session, change, "member.plan")


def ask_closing(session: Session, slug: str) -> MemberChange:
    """Propose to close a member; it waits for a confirmation. Raises as `members_closing.check`, change_running."""
    member = members.find(session, slug)
    members_closing.check(session, member)
    changes = [asdict(Change("state", member.state, "closed"))]
    plan = {"new": False, "database": changes, "cloud": [asdict(Change("place", member.subnet_cidr, None))]}
    change = MemberChange(slug=slug, kind="close", member_id=member.id, state="planned", plan=plan)
    return _add(session, change, "member.plan")


def _taken(field: str, sentence: str) -> InvalidInput:
    fault = {"parameter": field, "code": "duplicate_member", "sentence": sentence, "action": ""}
    return InvalidInput(
        "invalid_member",
        "Ce membre n’est pas décrit comme il faut.",
        "Corrigez les champs signalés ; rien n’a été changé.",
        facts={"errors": [fault]},
    )


def _add(session: Session, change: MemberChange, action: str) -> MemberChange:
    live = sa.select(MemberChange.id).where(MemberChange.slug == change.slug, MemberChange.state.in_(CHANGE_LIVE))
    running = session.scalar(live)
    if running is None:
        change.requested_by = session.info["actor"]
        try:
            with session.begin_nested():
                session.add(change)
                session.flush()
        except IntegrityError:  # somebody was faster
            running = session.scalar(live)
    if running is not None:
        raise Conflict(
            "change_running",
            Text("Un changement de « {slug} » est déjà en cours.", slug=change.slug),
            "Appliquez-le ou abandonnez-le d’abord.",
            facts={"change": running},
        )
    detail = {"change": change.id, "kind": change.kind}
    audit.record(session, action, f"member {change.slug}", member_id=change.member_id, detail=detail)
    return change


def find(session: Session, change_id: int, *, lock: bool = False) -> MemberChange:
    """One change; NotFound `not_found`."""
    found = session.get(MemberChange, change_id, with_for_update=lock, populate_existing=lock)
    if found is None:
        raise NotFound("not_found", "Cela n’existe pas, ou n’est pas à vous.", "Revenez à la liste.")
    return found


def listed(session: Session, slug: str | None = None, limit: int = 20) -> list[MemberChange]:
    """The latest changes, of one member if named."""
    query = sa.select(MemberChange).order_by(MemberChange.id.desc()).limit(limit)
    return list(session.scalars(query.where(MemberChange.slug == slug) if slug else query))


def confirm(session: Session, change_id: int, at: datetime) -> MemberChange:
    """Let a worker do what was planned. Raises Conflict not_planned."""
    change = _decide(session, change_id, "member.confirm")
    change.state, change.confirmed_by, change.confirmed_at = "applying", session.info["actor"], at
    change.worker_id, change.error_code, change.error_sentence = None, None, None
    session.flush()
    return change


def discard(session: Session, change_id: int, at: datetime) -> MemberChange:
    """Give a planned change up; nothing was changed by it. Raises Conflict not_planned."""
    change = _decide(session, change_id, "member.discard")
    change.state, change.ended_at = "discarded", at
    session.flush()
    return change


def _decide(session: Session, change_id: int, action: str) -> MemberChange:
    change = find(session, change_id, lock=True)
    if change.state != "planned":
        raise Conflict(
            "not_planned", "Ce changement n’attend pas de confirmation.", "Relisez-le.", facts={"state": change.state}
        )
    audit.record(session, action, f"member {change.slug}", member_id=change.member_id, detail={"change": change.id})
    return change
