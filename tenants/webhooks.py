"""Webhooks in the form of Standard Webhooks: who wants to be told of what, where, and what was sent.

Whoever receives one verifies it with the library `standardwebhooks` and the secret that is shown once.
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from cryptography.fernet import Fernet
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from orchestrator import audit
from orchestrator.database import territory_session
from orchestrator.errors import Conflict, InvalidInput, NotFound, Text
from tenants import outside
from tenants.approvers import Caller
from tenants.tables_notices import Attempt, Delivery, Endpoint

PREFIX = "whsec_"
TEST = "webhook.test"
EVENTS = (
    "order.placed", "order.approved", "order.rejected", "order.cancelled", "order.expired",
    "service.active", "service.stopped", "service.deleted", "service.failed",
    "flow.held", "flow.failed", "statement.closed", "period.closed", "budget.reached",
    "backup.late", "backup.unproved", "drift.found", "cloud.found", "cloud.corrected",
    "certificate.late", "answer.ends",
    "upgrade.announced", "upgrade.postponed", "upgrade.missed", "upgrade.done", "upgrade.failed",
)  # fmt: skip
BOTH_SIGN = timedelta(hours=24)  # after a rotation
MOST = 20  # endpoints of one house
FORGOTTEN_AT_ONCE = 1000  # deliveries of one transaction
ASKED = "asked"  # why an endpoint is disabled, when somebody wanted it


def add(
    session: Session,
    box: Fernet,
    rules: outside.Rules,
    who: Caller,
    label: str,
    url: str,
    events: Sequence[str],
    at: datetime,
) -> tuple[Endpoint, str]:
    """A new endpoint of the caller's house, and its secret, which nobody can show again. events empty: all.

    Raises InvalidInput invalid_label, invalid_url, address_refused, https_needed or unknown_event, Conflict
    too_many_endpoints.
    """
    _check(rules, label, url, events)
    here = (Endpoint.member_id.is_not_distinct_from(who.member_id)) & (Endpoint.state != "removed")
    if (session.scalar(sa.select(sa.func.count()).select_from(Endpoint).where(here)) or 0) >= MOST:
        raise Conflict("too_many_endpoints", Text("{most} abonnements au plus.", most=MOST), "Retirez-en un.")
    secret = _secret()
    endpoint = Endpoint(
        member_id=who.member_id, label=label.strip(), url=url, events=sorted(set(events)), account_id=who.account_id,
        secret=box.encrypt(secret.encode()), state="active", made_by=session.info["actor"], made_at=at,
    )  # fmt: skip
    session.add(endpoint)
    session.flush()
    _record(session, "webhook.add", endpoint)
    return endpoint, secret


def _secret() -> str:
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def _check(rules: outside.Rules, label: str, url: str, events: Sequence[str]) -> None:
    if not 0 < len(label.strip()) <= 80 or not label.isprintable():
        raise InvalidInput("invalid_label", "Le libellé doit tenir en 80 caractères.", "Donnez-en un.")
    unknown = sorted(set(events) - set(EVENTS))
    if unknown:
        raise InvalidInput(
            "unknown_event", Text("L’événement « {event} » n’existe pas.", event=unknown[0]), "Voyez la liste.",
            facts={"events": unknown},
        )  # fmt: skip
    outside.check(url, rules)


def change(
    session: Session, rules: outside.Rules, endpoint_id: int, label: str, url: str, events: Sequence[str]
) -> Endpoint:
    """Change an endpoint; its secret stays. Errors as `add`, and not_found."""
    _check(rules, label, url, events)
    endpoint = find(session, endpoint_id)
    endpoint.label, endpoint.url, endpoint.events = label.strip(), url, sorted(set(events))
    session.flush()
    _record(session, "webhook.change", endpoint)
    return endpoint


def rotate(session: Session, box: Fernet, endpoint_id: int, at: datetime) -> str:
    """A new secret, shown once; for a day both sign, so that the receiver can change over. Raises not_found."""
    endpoint = find(session, endpoint_id)
    secret = _secret()
    endpoint.previous_secret, endpoint.previous_until = endpoint.secret, at + BOTH_SIGN
    endpoint.secret = box.encrypt(secret.encode())
    session.flush()
    _record(session, "webhook.rotate", endpoint)
    return secret


def enable(session: Session, endpoint_id: int) -> Endpoint:
    """Let an endpoint that was disabled be told again; what it missed can be replayed. Raises not_found."""
    endpoint = find(session, endpoint_id)
    endpoint.state, endpoint.failing_since = "active", None
    session.flush()
    _record(session, "webhook.enable", endpoint)
    return endpoint


def disable(session: Session, endpoint: Endpoint, at: datetime, why: str) -> None:
    """Tell an endpoint nothing more; what waits for it has failed. why: asked, gone or failing."""
    endpoint.state = "disabled"
    if why == ASKED:
        endpoint.failing_since = None  # so that it is not said to have failed
    session.flush()
    _give_up(session, endpoint.id, at)
    _record(session, "webhook.disable", endpoint, why=why, account=endpoint.account_id)


def remove(session: Session, endpoint_id: int, at: datetime) -> None:
    """End an endpoint for good; its log stays. Raises not_found."""
    endpoint = find(session, endpoint_id)
    endpoint.state = "removed"
    session.flush()
    _give_up(session, endpoint.id, at)
    _record(session, "webhook.remove", endpoint)


def _give_up(session: Session, endpoint_id: int, at: datetime) -> None:
    waiting = (Delivery.endpoint_id == endpoint_id) & (Delivery.state == "queued")
    session.execute(sa.update(Delivery).where(waiting).values(state="failed", ended_at=at))


def _record(session: Session, action: str, endpoint: Endpoint, **more: Any) -> None:
    detail = {"label": endpoint.label, "url": endpoint.url, "events": endpoint.events, **more}
    audit.record(session, action, f"webhook {endpoint.id}", member_id=endpoint.member_id, detail=detail)


def find(session: Session, endpoint_id: int, *, lock: bool = True) -> Endpoint:
    """One living endpoint that the session may see, locked unless it is only looked at. Raises not_found."""
    found = session.get(Endpoint, min(endpoint_id, 2**63 - 1), with_for_update=lock, populate_existing=lock)
    if found is None or found.state == "removed":
        raise NotFound("not_found", "Cet abonnement n’existe pas, ou n’est pas à vous.", "Revenez à la liste.")
    return found


def listed(session: Session, member_id: int | None, *, everybody: bool = False) -> list[Endpoint]:
    """The endpoints of one house, or of all that the session sees, oldest first; removed ones are left out."""
    query = sa.select(Endpoint).where(Endpoint.state != "removed").order_by(Endpoint.id)
    here = Endpoint.member_id.is_not_distinct_from(member_id)
    return list(session.scalars(query if everybody else query.where(here)))


def tell(
    session: Session, event: str, data: Mapping[str, Any], happened: datetime, entry_id: int, member_id: int | None,
    at: datetime,
) -> None:  # fmt: skip
    """Queue an event for every living endpoint of the territory, and of the member, that wants it; once per entry."""
    wanted = session.scalars(
        sa.select(Endpoint).where(
            Endpoint.state == "active",
            Endpoint.member_id.is_(None) | (Endpoint.member_id == member_id),
            (sa.func.cardinality(Endpoint.events) == 0) | (sa.literal(event) == sa.any_(Endpoint.events)),
        )
    )
    for endpoint in wanted:
        row = _row(endpoint, event, data, happened, at) | {"entry_id": entry_id}
        session.execute(insert(Delivery).values(**row).on_conflict_do_nothing())


def _row(endpoint: Endpoint, event: str, data: Mapping[str, Any], happened: datetime, at: datetime) -> dict[str, Any]:
    body = {"type": event, "timestamp": happened.isoformat(), "data": dict(data)}
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return {"endpoint_id": endpoint.id, "member_id": endpoint.member_id, "event": event, "body": text, "due_at": at,
            "queued_at": at}  # fmt: skip


def test(session: Session, endpoint_id: int, at: datetime) -> Delivery:
    """Queue an event that says nothing but that the endpoint can be reached. Raises not_found, endpoint_disabled."""
    endpoint = find(session, endpoint_id)
    if endpoint.state != "active":
        raise Conflict("endpoint_disabled", "Cet abonnement est désactivé.", "Activez-le d’abord.")
    delivery = Delivery(**_row(endpoint, TEST, {"webhook": endpoint.id}, at, at))
    session.add(delivery)
    session.flush()
    _record(session, "webhook.test", endpoint)
    return delivery


def replay(session: Session, delivery_id: int, at: datetime) -> Delivery:
    """Send a delivery again, under its own id: who had it knows it. Raises not_found, endpoint_disabled."""
    delivery = session.get(Delivery, min(delivery_id, 2**63 - 1))
    if delivery is None:
        raise NotFound("not_found", "Cet envoi n’existe pas, ou n’est pas à vous.", "Revenez à la liste.")
    _replay(session, find(session, delivery.endpoint_id), Delivery.id == delivery.id, at)
    session.refresh(delivery)
    return delivery


def replay_since(session: Session, endpoint_id: int, since: datetime, at: datetime, *, sent_too: bool = False) -> int:
    """Send again what failed, or all, since an instant; how many. Raises not_found, endpoint_disabled."""
    states = ("failed", "sent") if sent_too else ("failed",)
    which = (Delivery.queued_at >= since) & Delivery.state.in_(states)
    return _replay(session, find(session, endpoint_id), which, at)


def _replay(session: Session, endpoint: Endpoint, which: sa.ColumnElement[bool], at: datetime) -> int:
    if endpoint.state != "active":
        raise Conflict("endpoint_disabled", "Cet abonnement est désactivé.", "Activez-le d’abord.")
    again = {"state": "queued", "attempts": 0, "due_at": at, "ended_at": None}
    rows = session.scalars(
        sa.update(Delivery).where(Delivery.endpoint_id == endpoint.id, which).values(**again).returning(Delivery.id)
    ).all()
    _record(session, "webhook.replay", endpoint, deliveries=len(rows))
    return len(rows)


def deliveries(
    session: Session, endpoint_id: int, *, after: int | None = None, limit: int = 50, state: str | None = None,
    event: str | None = None,
) -> tuple[list[dict[str, Any]], int | None]:  # fmt: skip
    """What was sent to an endpoint, newest first, each with its `tries`, and what to give as `after` for the rest.

    state, event: only those.
    """
    query = sa.select(Delivery).where(Delivery.endpoint_id == endpoint_id).order_by(Delivery.id.desc()).limit(limit + 1)
    for column, wanted in ((Delivery.state, state), (Delivery.event, event)):
        query = query if wanted is None else query.where(column == wanted)
    rows = list(session.scalars(query if after is None else query.where(Delivery.id < after)))
    shown = rows[:limit]
    tries: dict[int, list[Attempt]] = {}
    for one in session.scalars(
        sa.select(Attempt).where(Attempt.delivery_id.in_([row.id for row in shown])).order_by(Attempt.id)
    ):
        tries.setdefault(one.delivery_id, []).append(one)
    columns = ("id", "ref", "event", "body", "state", "attempts", "due_at", "queued_at", "ended_at")
    found = [{**{name: getattr(row, name) for name in columns}, "tries": tries.get(row.id, [])} for row in shown]
    return found, shown[-1].id if len(rows) > limit else None


def forget(engine: sa.Engine, actor: str, keep: timedelta, at: datetime) -> int:
    """Delete from the log what ended longer ago than `keep`, with its tries; how many deliveries."""
    with territory_session(engine, actor) as session:
        old = sa.select(Delivery.id).where(Delivery.ended_at < at - keep).with_for_update(skip_locked=True)
        ids = session.scalars(old.order_by(Delivery.id).limit(FORGOTTEN_AT_ONCE)).all()
        session.execute(sa.delete(Attempt).where(Attempt.delivery_id.in_(ids)))
        session.execute(sa.delete(Delivery).where(Delivery.id.in_(ids)))
        return len(ids)
