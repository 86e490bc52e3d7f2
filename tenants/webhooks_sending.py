"""Sending webhooks: claimed in one transaction, posted in none, recorded in another.

A worker that dies in between leaves a claim that runs out: the delivery is sent again, under the same id.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import sqlalchemy as sa
import structlog
from cryptography.fernet import Fernet, InvalidToken
from sqlalchemy.orm import Session
from standardwebhooks import Webhook

from orchestrator.database import territory_session
from orchestrator.errors import ClocherError
from tenants import outside, webhooks
from tenants.outside import Answer, Rules
from tenants.tables_notices import Attempt, Delivery, Endpoint

log = structlog.get_logger()

# After the first try, as the specification of Standard Webhooks proposes: a little over three days in all.
RETRIES = tuple(timedelta(seconds=seconds) for seconds in (5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400))
PATIENCE = timedelta(days=5)  # an endpoint that failed for so long is disabled
AT_ONCE, PER_ENDPOINT = 8, 4  # threads; deliveries that one endpoint has under way, so that a slow one stops no other
LONGEST_WAIT = timedelta(days=1)  # what `Retry-After` may ask for; our own pace holds where it is slower
GONE = 410


@dataclass(frozen=True)
class Sender:
    """What sending needs: the database, what opens secrets, what may be reached, the time."""

    engine: sa.Engine
    actor: str
    box: Fernet
    rules: Rules
    clock: Callable[[], datetime]
    find: outside.Resolve = outside.resolve


@dataclass(frozen=True)
class Claim:
    """A delivery that is ours for a moment."""

    id: int
    endpoint_id: int
    member_id: int | None
    ref: str
    url: str
    body: str
    secrets: tuple[bytes, ...]


@dataclass(frozen=True)
class Outcome:
    """What came of a try."""

    at: datetime
    milliseconds: int
    answer: Answer | None = None
    error: str | None = None

    @property
    def accepted(self) -> bool:
        return self.answer is not None and 200 <= self.answer.status < 300


def send(sender: Sender) -> int:
    """Send what is due; how many were tried."""
    claims = claim(sender)
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="webhook") as pool:
        for _ in pool.map(lambda one: record(sender, one, attempt(sender, one)), claims):
            pass
    return len(claims)


def claim(sender: Sender) -> list[Claim]:
    """Take what is due, a few of each endpoint, so that no other worker sends it now."""
    at = sender.clock()
    due = (Delivery.state == "queued") & (Delivery.due_at <= at)
    rank = sa.func.row_number().over(partition_by=Delivery.endpoint_id, order_by=Delivery.due_at)
    ranked = sa.select(Delivery.id, rank.label("rank")).where(due).subquery()
    first = sa.select(ranked.c.id).where(ranked.c.rank <= PER_ENDPOINT).limit(4 * AT_ONCE)
    with territory_session(sender.engine, sender.actor) as session:
        rows = session.execute(
            sa.select(Delivery, Endpoint)
            .join(Endpoint, Endpoint.id == Delivery.endpoint_id)
            .where(Delivery.id.in_(first), due, Endpoint.state == "active")
            .options(sa.orm.undefer(Endpoint.secret), sa.orm.undefer(Endpoint.previous_secret))
            .with_for_update(of=Delivery, skip_locked=True)
        ).all()
        for delivery, _ in rows:
            delivery.attempts += 1
            delivery.due_at = at + timedelta(seconds=4 * sender.rules.timeout + 60)
        return [_claim(delivery, endpoint, at) for delivery, endpoint in rows]


def _claim(delivery: Delivery, endpoint: Endpoint, at: datetime) -> Claim:
    sealed = [endpoint.secret]
    if endpoint.previous_secret and endpoint.previous_until and endpoint.previous_until > at:
        sealed.append(endpoint.previous_secret)
    return Claim(delivery.id, endpoint.id, delivery.member_id, f"msg_{delivery.ref.hex}", endpoint.url, delivery.body,
                 tuple(sealed))  # fmt: skip


def attempt(sender: Sender, claim: Claim) -> Outcome:
    """Post once; no transaction is open."""
    at, began = sender.clock(), time.monotonic()
    answer, error = None, None
    try:
        signatures = [
            Webhook(sender.box.decrypt(sealed).decode()).sign(claim.ref, at, claim.body) for sealed in claim.secrets
        ]
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Clocher",
            "webhook-id": claim.ref,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": " ".join(signatures),
        }
        answer = outside.post(claim.url, claim.body.encode(), headers, sender.rules, find=sender.find)
    except ClocherError as refused:
        error = f"{refused.code} {refused.detail}".strip()
    except InvalidToken:
        error = "secret_unreadable"  # sealed under another installation's key
    return Outcome(at, round((time.monotonic() - began) * 1000), answer, error)


def record(sender: Sender, claim: Claim, outcome: Outcome) -> None:
    """Write what came of a try: done, to be tried again, or given up, and what that says of the endpoint."""
    with territory_session(sender.engine, sender.actor) as session:
        endpoint = session.get_one(Endpoint, claim.endpoint_id, with_for_update=True)  # first, as who replays does
        delivery = session.get_one(Delivery, claim.id, with_for_update=True)
        told = outcome.answer
        session.add(
            Attempt(
                delivery_id=claim.id, member_id=claim.member_id, at=outcome.at, milliseconds=outcome.milliseconds,
                status=told.status if told else None, answer=told.start if told else None, error=outcome.error,
            )
        )  # fmt: skip
        if outcome.accepted:
            delivery.state, delivery.ended_at, endpoint.failing_since = "sent", outcome.at, None
        elif delivery.state == "queued":
            _fail(session, delivery, endpoint, outcome)


def _fail(session: Session, delivery: Delivery, endpoint: Endpoint, outcome: Outcome) -> None:
    at = outcome.at
    if delivery.attempts > len(RETRIES):
        delivery.state, delivery.ended_at = "failed", at
    else:
        delivery.due_at = max(at + RETRIES[delivery.attempts - 1], _asked(outcome))
    endpoint.failing_since = endpoint.failing_since or at
    session.flush()
    gone = outcome.answer is not None and outcome.answer.status == GONE
    if endpoint.state == "active" and (gone or at - endpoint.failing_since >= PATIENCE):
        log.warning("webhook disabled", endpoint=endpoint.id, gone=gone)
        webhooks.disable(session, endpoint, at, "gone" if gone else "failing")


def _asked(outcome: Outcome) -> datetime:
    """When the receiver wants the next try (RFC 9110, 10.2.3: seconds, or a date), a day from now at the latest."""
    text, at = (outcome.answer.retry_after or "" if outcome.answer else "").strip(), outcome.at
    if text.isascii() and text.isdigit():
        return at + min(timedelta(seconds=int(text[:9])), LONGEST_WAIT)
    try:
        wanted = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return at
    return min(wanted if wanted.tzinfo else wanted.replace(tzinfo=UTC), at + LONGEST_WAIT)
