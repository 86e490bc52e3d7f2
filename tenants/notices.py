"""What is told of what happened: the audit trail is read in order, and each entry becomes mails and webhook events.

Entries are chained without a gap, so nothing can appear behind the mark. Mails, deliveries and the mark are one
transaction: what happened is told exactly once, whatever becomes of the worker.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from orchestrator import audit
from orchestrator.database import territory_session
from orchestrator.errors import InvalidInput
from orchestrator.tables import AuditEntry, Member
from tenants import notices_mail, webhooks
from tenants.tables_notices import CHOICES, NoticeChoice, NoticeMark

log = structlog.get_logger()

AT_ONCE = 200  # entries of one transaction
# Audit action → event; a service's state is told by the state itself.
EVENTS = {
    "order.place": "order.placed",
    "order.approve": "order.approved",
    "order.reject": "order.rejected",
    "order.cancel": "order.cancelled",
    "order.expire": "order.expired",
    "flow.hold": "flow.held",
    "flow.failed": "flow.failed",
    "statement.close": "statement.closed",
    "period.close": "period.closed",
    "budget.reach": "budget.reached",
    "backup.late": "backup.late",
    "backup.unproved": "backup.unproved",
    "drift.found": "drift.found",
    "certificate.late": "certificate.late",
    "answer.ends": "answer.ends",
    "cloud.found": "cloud.found",
    "cloud.corrected": "cloud.corrected",
    "upgrade.announce": "upgrade.announced",
    "upgrade.postpone": "upgrade.postponed",
    "upgrade.miss": "upgrade.missed",
    "upgrade.done": "upgrade.done",
    "upgrade.failed": "upgrade.failed",
}
# What an audit entry is about → where the portal shows it.
PLACES = {"order": "/orders/", "service": "/services/", "flow": "/flows/", "statement": "/statements/"}


def tell(engine: sa.Engine, actor: str, public_url: str, at: datetime) -> int:
    """Turn the entries beyond the mark into mails and deliveries; how many entries. Another worker at it: none."""
    with territory_session(engine, actor) as session:
        mark = session.scalar(sa.select(NoticeMark).with_for_update(skip_locked=True))
        if mark is None:
            return 0
        rows = session.execute(
            sa.select(AuditEntry, Member)
            .outerjoin(Member, Member.id == AuditEntry.member_id)
            .where(AuditEntry.id > mark.entry_id)
            .order_by(AuditEntry.id)
            .limit(AT_ONCE)
        ).all()
        for entry, member in rows:
            _tell(session, entry, member, public_url, at)
            mark.entry_id = entry.id
        return len(rows)


def _tell(session: Session, entry: AuditEntry, member: Member | None, public_url: str, at: datetime) -> None:
    """Tell one entry. What breaks on it is said in the log and left out: nobody else waits for it."""
    try:
        with session.begin_nested():
            event = event_of(entry)
            if event:
                data = _data(entry, member, public_url)
                webhooks.tell(session, event, data, entry.at, entry.id, entry.member_id, at)
            notices_mail.queue(session, entry, member, at)
    except OperationalError:  # the database is away: all of it comes again
        raise
    except Exception:
        log.exception("entry not told", entry=entry.id, action=entry.action)


def event_of(entry: AuditEntry) -> str | None:
    """The event that an entry is for webhooks, if it is one."""
    if entry.action == "service.state":
        event = f"service.{entry.detail.get('to')}"
        # Only a new service "is active"; what started again was never away.
        again = event == "service.active" and entry.detail.get("from") != "creating"
        return event if event in webhooks.EVENTS and not again else None
    return EVENTS.get(entry.action)


def _data(entry: AuditEntry, member: Member | None, public_url: str) -> dict[str, Any]:
    kind, _, key = entry.subject.partition(" ")
    return {
        "entry": entry.id,
        "member": member.slug if member else None,
        kind: int(key) if key.isdigit() else key,
        "url": f"{public_url}{PLACES[kind]}{key}" if kind in PLACES else None,
        "actor": entry.actor,
        "detail": entry.detail,
    }


def choice(session: Session, account_id: int) -> str:
    """Which mails a person wants: `all` of its house, `mine` (as long as nothing was chosen), or `none`."""
    return session.scalar(sa.select(NoticeChoice.choice).where(NoticeChoice.account_id == account_id)) or "mine"


def choose(session: Session, account_id: int, wanted: str) -> None:
    """Keep which mails a person wants. What waits for its decision is told in any case. Raises invalid_choice."""
    if wanted not in CHOICES:
        raise InvalidInput("invalid_choice", "Ce choix n’existe pas.", "Choisissez parmi ceux proposés.")
    session.execute(
        insert(NoticeChoice)
        .values(account_id=account_id, choice=wanted)
        .on_conflict_do_update(index_elements=["account_id"], set_={"choice": wanted})
    )
    audit.record(session, "notice.choose", f"account {account_id}", detail={"choice": wanted})
