"""Mails: queued in the transaction of what they tell, sent later by a duty of the worker."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from typing import Any
from uuid import UUID

import sqlalchemy as sa
import structlog
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from orchestrator import audit
from orchestrator.database import territory_session
from orchestrator.errors import ClocherError, Conflict, NotFound
from tenants.tables_notices import Mail

log = structlog.get_logger()

RETRIES = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 30, 120, 300, 600, 1440))
CLAIMED = timedelta(minutes=5)  # after that, a worker that took a mail and fell silent has not sent it
AT_ONCE = 20
KEPT = timedelta(days=90)  # what was sent is then forgotten


@dataclass(frozen=True)
class Rendered:
    """What a mail says."""

    subject: str
    text: str
    html: str


Render = Callable[[str, str, Mapping[str, Any]], Rendered]  # of template, language, facts
Carry = Callable[[EmailMessage], None]  # raises ClocherError; not retryable: this receiver will never have it


@dataclass(frozen=True)
class Sender:
    """What sending needs: the database, how a mail looks, what carries it, from whom, the time."""

    engine: sa.Engine
    actor: str
    render: Render
    carry: Carry
    sender: str
    clock: Callable[[], datetime]


def queue(
    session: Session,
    *,
    to: str,
    template: str,
    language: str,
    facts: Mapping[str, Any],
    entry_id: int | None = None,
) -> None:
    """Queue one mail; it leaves when the transaction is committed, or never.

    template: a file of api/mail/, without its ending; language: `fr` or `en`; facts: what the template shows, in JSON's
    types. `path` (`/orders/12`) becomes a link to the portal. Facts are erased when the mail has left, so that they may
    hold the single-use link of an invitation. entry_id: the audit entry told; a second mail about it to the same
    receiver is the first one.
    """
    row = {"receiver": to, "template": template, "language": language, "facts": dict(facts), "entry_id": entry_id}
    # Inline: the portal may write mails, not read them, so nothing of the row can come back.
    session.execute(insert(Mail.__table__).values(**row).inline().on_conflict_do_nothing())  # type: ignore[arg-type]


@dataclass(frozen=True)
class Claim:
    """A mail that is ours for a moment."""

    id: int
    ref: UUID
    receiver: str
    template: str
    language: str
    facts: dict[str, Any]
    queued_at: datetime
    attempts: int


def send(sender: Sender) -> int:
    """Send the mails that are due; how many were tried. One may leave twice, with the same Message-ID."""
    claims = _claim(sender)
    for claim in claims:
        error: ClocherError | None = None
        try:
            sender.carry(message(sender, claim))
        except ClocherError as refused:
            error = refused
        except Exception as broken:  # a template that breaks must not stop the other mails
            log.error("mail broke", mail=claim.id, template=claim.template, exc_info=broken)
            error = ClocherError("mail_broken", "Ce courriel ne peut être écrit.", detail=type(broken).__name__)
        _record(sender, claim, error)
    return len(claims)


def _claim(sender: Sender) -> list[Claim]:
    at = sender.clock()
    due = (Mail.state == "queued") & (Mail.due_at <= at)
    with territory_session(sender.engine, sender.actor) as session:
        rows = session.scalars(
            sa.select(Mail).where(due).order_by(Mail.due_at).limit(AT_ONCE).with_for_update(skip_locked=True)
        ).all()
        for row in rows:
            row.attempts, row.due_at = row.attempts + 1, at + CLAIMED
        return [
            Claim(row.id, row.ref, row.receiver, row.template, row.language, row.facts, row.queued_at, row.attempts)
            for row in rows
        ]


def message(sender: Sender, claim: Claim) -> EmailMessage:
    """The mail as it goes out. Its Message-ID and Date are those of the row: a retry can be recognised."""
    said = sender.render(claim.template, claim.language, claim.facts)
    domain = parseaddr(sender.sender)[1].rpartition("@")[2] or "localhost"
    mail = EmailMessage()
    mail["From"], mail["To"] = sender.sender, claim.receiver
    mail["Subject"] = " ".join(said.subject.split())
    mail["Date"] = format_datetime(claim.queued_at)
    mail["Message-ID"] = f"<{claim.ref.hex}@{domain}>"
    mail["List-Id"] = f"Clocher <notices.{domain}>"
    mail["Auto-Submitted"] = "auto-generated"  # so that nobody's absence answers (RFC 3834)
    mail.set_content(said.text)
    mail.add_alternative(said.html, subtype="html")
    mail["Content-Language"] = claim.language  # after the bodies, which would take it with them
    return mail


def _record(sender: Sender, claim: Claim, error: ClocherError | None) -> None:
    at = sender.clock()
    with territory_session(sender.engine, sender.actor) as session:
        row = session.get_one(Mail, claim.id, with_for_update=True)
        if error is None:
            row.state, row.sent_at, row.error, row.facts = "sent", at, None, {}
            return
        row.error = f"{error.code} {error.detail}".strip()[:500]
        if row.state != "queued":
            return
        if error.retryable and claim.attempts <= len(RETRIES):
            row.due_at = at + RETRIES[claim.attempts - 1]
        else:
            row.state = "failed"
        log.warning("mail not sent", mail=claim.id, state=row.state, code=error.code, attempts=claim.attempts)


def listed(session: Session, *, state: str | None = None, limit: int = 50) -> list[dict[str, Any]]:
    """Mails, newest first, without what they say."""
    columns = (Mail.id, Mail.receiver, Mail.template, Mail.language, Mail.state, Mail.attempts, Mail.due_at, Mail.error,
               Mail.queued_at, Mail.sent_at)  # fmt: skip
    query = sa.select(*columns).order_by(Mail.id.desc()).limit(limit)
    return [dict(row) for row in session.execute(query.where(Mail.state == state) if state else query).mappings()]


def retry(session: Session, mail_id: int, at: datetime) -> None:
    """Try a mail that failed, or waits for its next try, now. Raises not_found, mail_sent."""
    state = session.scalar(sa.select(Mail.state).where(Mail.id == min(mail_id, 2**63 - 1)))
    if state is None:
        raise NotFound("not_found", "Ce courriel n’existe pas.", "Voyez la liste.")
    changed = session.execute(
        sa.update(Mail)
        .where(Mail.id == mail_id, Mail.state != "sent")
        .values(state="queued", attempts=0, due_at=at, error=None)
        .returning(Mail.id)
    )
    if changed.first() is None:
        raise Conflict("mail_sent", "Ce courriel est déjà parti.", "Ce qu’il disait n’est plus gardé.")
    audit.record(session, "mail.retry", f"mail {mail_id}")


def forget(engine: sa.Engine, actor: str, at: datetime) -> int:
    """Delete the mails that left long ago; how many."""
    with territory_session(engine, actor) as session:
        old = sa.delete(Mail).where(Mail.state == "sent", Mail.sent_at < at - KEPT).returning(Mail.id)
        return len(session.scalars(old).all())
