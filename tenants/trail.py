"""The audit trail for people: searched, exported, proved, and purged when the law no longer wants it kept.

CNIL, délibération 2021-122: traces are kept six months to a year; up to three years for a documented risk. What belongs
to accounts (periods, statements, prices, pools, keys) is kept with them, and so is every purge.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator import audit
from orchestrator.database import territory_session
from orchestrator.errors import N_, InvalidInput
from orchestrator.steps import Runtime
from orchestrator.tables import AuditEntry, Member
from tenants.exports import safe
from tenants.prices import midnight
from tenants.tables_administration import AuditPurge, AuditRetention

SHORTEST, USUAL, LONGEST = 180, 365, 1095  # days
REASON = 20  # characters: fewer don't document a risk
EXPORTED = 1000  # entries read at a time
# From one action to the next in the index: DISTINCT would read the whole trail.
ACTIONS = """
WITH RECURSIVE found AS (
    SELECT min(action) AS action FROM audit_entries
    UNION ALL
    SELECT (SELECT min(action) FROM audit_entries WHERE action > found.action) FROM found WHERE action IS NOT NULL
)
SELECT action FROM found WHERE action IS NOT NULL
"""
COLUMNS = ("id", "at", "actor", "action", "subject", "member", "detail", "hash")


@dataclass(frozen=True)
class Search:
    """What to look for; empty: anything. action and subject: their beginning; since, until: local days, both in."""

    actor: str = ""
    action: str = ""
    subject: str = ""
    member: str = ""
    since: date | None = None
    until: date | None = None


def page(
    session: Session, search: Search, timezone: str, *, after: int | None = None, limit: int = 50
) -> tuple[list[dict[str, Any]], int | None]:
    """At most `limit` entries, newest first, older than the entry `after`; and the next `after`, None at the end."""
    query = (
        sa.select(
            AuditEntry.id, AuditEntry.at, AuditEntry.actor, AuditEntry.action, AuditEntry.subject, AuditEntry.detail,
            AuditEntry.hash, Member.slug.label("member"),
        )
        .outerjoin(Member, Member.id == AuditEntry.member_id)
        .where(*_conditions(search, timezone))
        .order_by(AuditEntry.id.desc())
        .limit(limit + 1)
    )  # fmt: skip
    if after is not None:
        query = query.where(AuditEntry.id < after)
    rows = [dict(row) for row in session.execute(query).mappings()]
    return rows[:limit], rows[limit - 1]["id"] if len(rows) > limit else None


def _conditions(search: Search, timezone: str) -> Iterator[sa.ColumnElement[bool]]:
    if search.actor:
        yield AuditEntry.actor.icontains(search.actor, autoescape=True)
    if search.action:
        yield AuditEntry.action.startswith(search.action, autoescape=True)
    if search.subject:
        yield AuditEntry.subject.startswith(search.subject, autoescape=True)
    if search.member:
        yield Member.slug == search.member
    if search.since:
        yield AuditEntry.at >= midnight(search.since, timezone)
    if search.until and search.until < date.max:  # no day follows that one
        yield AuditEntry.at < midnight(search.until + timedelta(days=1), timezone)


def every(session: Session, search: Search, timezone: str) -> Iterator[dict[str, Any]]:
    """All that `page` would give, page after page."""
    after: int | None = None
    while True:
        rows, after = page(session, search, timezone, after=after, limit=EXPORTED)
        yield from rows
        if after is None:
            return


def as_csv(rows: Iterator[dict[str, Any]]) -> Iterator[str]:
    """A file for a spreadsheet: UTF-8 with BOM, `;`, the detail as JSON; no text can run as a formula."""
    yield "\ufeff" + _line(list(COLUMNS))
    for row in rows:
        yield _line([safe(text) for text in _texts(row).values()])


def _line(cells: list[str]) -> str:
    text = io.StringIO()
    csv.writer(text, delimiter=";", lineterminator="\r\n").writerow(cells)
    return text.getvalue()


def as_lines(rows: Iterator[dict[str, Any]]) -> Iterator[str]:
    """A file for a program: one JSON object a line."""
    for row in rows:
        yield json.dumps(_texts(row) | {"id": row["id"], "detail": row["detail"]}, ensure_ascii=False) + "\n"


def _texts(row: dict[str, Any]) -> dict[str, str]:
    """The columns as texts, in their order; instants in ISO 8601."""
    written = {
        **row,
        "at": row["at"].isoformat(),
        "detail": json.dumps(row["detail"], ensure_ascii=False),
        "hash": row["hash"].hex() if row["hash"] else "",
    }
    return {name: "" if written[name] is None else str(written[name]) for name in COLUMNS}


def actions(session: Session) -> list[str]:
    """What stands in the trail as an action, by name."""
    return list(session.scalars(sa.text(ACTIONS)))


def retention(session: Session) -> AuditRetention:
    """For how long the trail is kept."""
    return session.get_one(AuditRetention, 1)


def purges(session: Session) -> list[AuditPurge]:
    """What was purged, newest first."""
    return list(session.scalars(sa.select(AuditPurge).order_by(AuditPurge.id.desc())))


def set_retention(session: Session, days: int, reason: str, at: datetime) -> AuditRetention:
    """Keep the trail for `days`; beyond a year only for a reason. Raises InvalidInput invalid_retention."""
    reason = reason.strip()
    if not SHORTEST <= days <= LONGEST:
        raise _refused("days", N_("De 180 à 1 095 jours : la CNIL demande de six mois à un an, trois ans au plus."))
    if days > USUAL and len(reason) < REASON:
        raise _refused("reason", N_("Au-delà d’un an, il faut un motif : quel risque, documenté où."))
    row = session.get_one(AuditRetention, 1, with_for_update=True)
    row.days, row.reason, row.set_by, row.set_at = days, reason or None, session.info["actor"], at
    session.flush()
    audit.record(session, "audit.retention", "audit", detail={"days": days, "reason": reason or None})
    return row


def _refused(field: str, sentence: str) -> InvalidInput:
    fault = {"parameter": field, "code": "invalid_retention", "sentence": sentence}
    return InvalidInput("invalid_retention", sentence, "Corrigez la durée ou le motif.", facts={"errors": [fault]})


def purge(runtime: Runtime) -> int:
    """A worker's duty: remove what is older than the retention; how many entries. The purge is itself in the trail."""
    with territory_session(runtime.engine, "retention") as session:
        return int(session.scalar(sa.text("SELECT clocher_purge_audit()")) or 0)
