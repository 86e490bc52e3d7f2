"""What is told to people by mail and to programs by webhook."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from orchestrator.database import Base
from orchestrator.tables import key, now, one_of

MAIL_STATES = ("queued", "sent", "failed")
LANGUAGES = ("fr", "en")
CHOICES = ("all", "mine", "none")
ENDPOINT_STATES = ("active", "disabled", "removed")
DELIVERY_STATES = ("queued", "sent", "failed")


class Mail(Base):
    """A mail to one receiver; `facts` fill its template when it is sent, and are erased once it has left.

    entry_id: the audit entry that it tells, so that it is told once; no reference, the trail is purged one day.
    """

    __tablename__ = "mails"
    id: Mapped[int] = key()
    ref: Mapped[UUID] = mapped_column(unique=True, server_default=sa.func.gen_random_uuid())
    receiver: Mapped[str]
    template: Mapped[str]
    language: Mapped[str]
    facts: Mapped[dict[str, Any]]
    entry_id: Mapped[int | None]
    state: Mapped[str] = mapped_column(server_default="queued")
    attempts: Mapped[int] = mapped_column(server_default="0")
    due_at: Mapped[datetime] = now()
    error: Mapped[str | None]
    queued_at: Mapped[datetime] = now()
    sent_at: Mapped[datetime | None]
    __table_args__ = (
        UniqueConstraint("entry_id", "receiver", "template"),
        CheckConstraint(one_of("state", MAIL_STATES), "state"),
        CheckConstraint("(state = 'sent') = (sent_at IS NOT NULL)", "sent"),
        CheckConstraint(one_of("language", LANGUAGES), "language"),
        CheckConstraint("receiver ~ '^[^@[:space:]]+@[^@[:space:]]+$'", "receiver"),
        Index("ix_mails_due_at", "due_at", postgresql_where=sa.text("state = 'queued'")),
    )


class NoticeMark(Base):
    """Up to which audit entry people and programs were told; one row, locked by whoever tells."""

    __tablename__ = "notice_marks"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    entry_id: Mapped[int]
    __table_args__ = (CheckConstraint("id = 1", "one"),)


class NoticeChoice(Base):
    """Which mails a person wants: all of its house, those about what is its own, or none that can be left out."""

    __tablename__ = "notice_choices"
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"), primary_key=True, autoincrement=False)
    choice: Mapped[str]
    __table_args__ = (CheckConstraint(one_of("choice", CHOICES), "choice"),)


class BudgetMark(Base):
    """How much of a year's budget a member had committed when that was last told, in percent."""

    __tablename__ = "budget_marks"
    member_id: Mapped[int] = mapped_column(ForeignKey("members.id"), primary_key=True, autoincrement=False)
    year: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    reached: Mapped[int]
    __table_args__ = (CheckConstraint("reached IN (0, 80, 100)", "reached"),)


class Endpoint(Base):
    """Where a member, or (member_id None) the territory, wants to be told of events; no events: of all.

    secret, previous_secret: sealed; both sign until `previous_until`. account_id: who is mailed when it is disabled.
    """

    __tablename__ = "webhook_endpoints"
    id: Mapped[int] = key()
    member_id: Mapped[int | None] = mapped_column(ForeignKey("members.id"), index=True)
    label: Mapped[str]
    url: Mapped[str]
    events: Mapped[list[str]] = mapped_column(ARRAY(sa.Text))
    secret: Mapped[bytes] = mapped_column(deferred=True)
    previous_secret: Mapped[bytes | None] = mapped_column(deferred=True)
    previous_until: Mapped[datetime | None]
    state: Mapped[str] = mapped_column(server_default="active")
    failing_since: Mapped[datetime | None]
    account_id: Mapped[int | None] = mapped_column(ForeignKey("accounts.id"))
    made_by: Mapped[str]
    made_at: Mapped[datetime]
    __table_args__ = (
        CheckConstraint(one_of("state", ENDPOINT_STATES), "state"),
        CheckConstraint("(previous_secret IS NULL) = (previous_until IS NULL)", "previous"),
    )


class Delivery(Base):
    """One event for one endpoint: the body that is signed and sent, until it was answered with 2xx or given up.

    entry_id: the audit entry that it tells, so that it is told once; None: a test.
    """

    __tablename__ = "webhook_deliveries"
    id: Mapped[int] = key()
    ref: Mapped[UUID] = mapped_column(server_default=sa.func.gen_random_uuid())
    endpoint_id: Mapped[int] = mapped_column(ForeignKey("webhook_endpoints.id"))
    member_id: Mapped[int | None] = mapped_column(ForeignKey("members.id"), index=True)
    entry_id: Mapped[int | None]
    event: Mapped[str]
    body: Mapped[str]
    state: Mapped[str] = mapped_column(server_default="queued")
    attempts: Mapped[int] = mapped_column(server_default="0")
    due_at: Mapped[datetime]
    queued_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    __table_args__ = (
        UniqueConstraint("endpoint_id", "entry_id", "event"),
        CheckConstraint(one_of("state", DELIVERY_STATES), "state"),
        CheckConstraint("(state = 'queued') = (ended_at IS NULL)", "ended"),
        Index("ix_webhook_deliveries_due_at", "due_at", postgresql_where=sa.text("state = 'queued'")),
        Index("ix_webhook_deliveries_ended_at", "ended_at", postgresql_where=sa.text("ended_at IS NOT NULL")),
    )


class Attempt(Base):
    """One try of a delivery: how long it took, and the status and the answer's first bytes, or what went wrong."""

    __tablename__ = "webhook_attempts"
    id: Mapped[int] = key()
    delivery_id: Mapped[int] = mapped_column(ForeignKey("webhook_deliveries.id"), index=True)
    member_id: Mapped[int | None] = mapped_column(ForeignKey("members.id"))
    at: Mapped[datetime]
    milliseconds: Mapped[int]
    status: Mapped[int | None]
    answer: Mapped[str | None]
    error: Mapped[str | None]
