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


# What a purge left standing is proved by one hash over it, which the purge wrote in the chain. After the purge each
# entry follows from the one before, the first one from the last that went; the head proves the end.
BROKEN = """
WITH anchor AS (SELECT last_id, last_hash, removed, kept_hash FROM audit_purges ORDER BY id DESC LIMIT 1),
    start AS (SELECT coalesce(max(last_id), 0) AS id FROM anchor),
    said AS (SELECT e.id, e.detail FROM audit_entries e WHERE e.action = 'audit.purge' AND e.id > (SELECT id FROM start)
        ORDER BY e.id LIMIT 1)
SELECT min(id) FROM (
    SELECT e.id FROM (
        SELECT a.*, lag(a.hash, 1, coalesce((SELECT last_hash FROM anchor), sha256('clocher')))
            OVER (PARTITION BY a.id > (SELECT id FROM start) ORDER BY a.id) AS before
        FROM audit_entries a) e
    JOIN audit_entries a ON a.id = e.id
    WHERE e.hash IS DISTINCT FROM clocher_audit_hash(
        CASE WHEN e.id > (SELECT id FROM start) THEN e.before ELSE e.previous_hash END, a)
    UNION ALL
    SELECT last_id + 1 FROM anchor LEFT JOIN said ON true
    WHERE clocher_kept_hash(last_id) IS DISTINCT FROM kept_hash
        OR (said.detail ->> 'last_id')::bigint IS DISTINCT FROM last_id
        OR said.detail ->> 'last_hash' IS DISTINCT FROM encode(last_hash, 'hex')
        OR said.detail ->> 'kept_hash' IS DISTINCT FROM encode(kept_hash, 'hex')
    UNION ALL
    SELECT h.id FROM audit_head h LEFT JOIN audit_entries e ON e.id = h.id
    WHERE h.id > 0 AND e.hash IS DISTINCT FROM h.hash
) broken
"""


def first_break(session: Session) -> int | None:
    """The id of the first entry that does not follow from the one before; None when the chain is whole.

    Needs a session of the territory (a member sees only its own links), as the staff or the owner.
    """
    broken: int | None = session.execute(sa.text(BROKEN)).scalar_one()
    return broken
