"""The audit trail: one entry for each change, in the transaction that makes it. The database chains the hashes."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator.tables import AuditEntry


def record(
    session: Session, action: str, subject: str, *, member_id: int | None = None, detail: dict[str, Any] | None = None
) -> None:
    """Write that the session's actor did `action` (`order.place`) to `subject` (`order 42`). No secrets."""
    session.execute(
        # Inline: the door may write entries, not read them, so nothing of the row can come back.
        sa.insert(AuditEntry)
        .inline()
        .values(actor=session.info["actor"], action=action, subject=subject, member_id=member_id, detail=detail or {})
    )


def first_break(session: Session) -> int | None:
    """The id of the first entry that does not follow from the one before; None when the chain is whole.

    Needs a session of the territory: a member sees only its own links.
    """
    broken: int | None = session.execute(
        sa.text(
            "SELECT min(id) FROM (SELECT e.id, e.hash, e.previous_hash,"
            " clocher_audit_hash(lag(e.hash, 1, sha256('clocher')) OVER (ORDER BY e.id), e) AS expected"
            " FROM audit_entries e) chain WHERE hash IS DISTINCT FROM expected"
        )
    ).scalar_one()
    return broken
