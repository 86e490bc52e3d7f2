"""What the DSI administers: changes of members, what the cloud uses and has left, hours beside its own, prices being
prepared, announcements, and how long the audit trail is kept.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from orchestrator.database import Base
from orchestrator.tables import MEMBER_KINDS, AuditEntry, key, now, one_of

CHANGE_LIVE = ("planning", "planned", "applying")
CHANGE_STATES = (*CHANGE_LIVE, "done", "failed", "discarded")
CAPACITIES = ("VCPU", "MEMORY_MB", "DISK_GB", "FLOATING_IP", "VOLUME_GB")
LEVELS = ("info", "warning", "danger")

Index("ix_audit_entries_at", AuditEntry.at)
Index("ix_audit_entries_subject", AuditEntry.subject)


class MemberChange(Base):
    """A member made, edited or closed in the pages. A worker plans it and, once confirmed, applies it.

    declaration: the form, as YAML would hold it; plan: what would change; told: what was said while it ran.
    """

    __tablename__ = "member_changes"
    id: Mapped[int] = key()
    member_id: Mapped[int | None] = mapped_column(ForeignKey("members.id"), index=True)
    slug: Mapped[str]
    kind: Mapped[str]
    declaration: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    state: Mapped[str] = mapped_column(server_default="planning")
    plan: Mapped[dict[str, Any] | None]
    told: Mapped[list[Any]] = mapped_column(server_default="[]")
    error_code: Mapped[str | None]
    error_sentence: Mapped[str | None]
    requested_by: Mapped[str]
    requested_at: Mapped[datetime] = now()
    confirmed_by: Mapped[str | None]
    confirmed_at: Mapped[datetime | None]
    worker_id: Mapped[str | None]
    ended_at: Mapped[datetime | None]
    __table_args__ = (
        CheckConstraint(one_of("kind", ("edit", "close")), "kind"),
        CheckConstraint(one_of("state", CHANGE_STATES), "state"),
        CheckConstraint("(ended_at IS NOT NULL) = (state IN ('done', 'failed', 'discarded'))", "ended"),
        Index("uq_member_changes_live", "slug", unique=True, postgresql_where=sa.text(one_of("state", CHANGE_LIVE))),
    )


class CloudUsage(Base):
    """What the cloud said, at `read_at`, that a member uses; limits: the cloud's own, by the same names."""

    __tablename__ = "cloud_usage"
    member_id: Mapped[int] = mapped_column(ForeignKey("members.id"), primary_key=True)
    read_at: Mapped[datetime]
    servers: Mapped[int]
    vcpus: Mapped[int]
    ram_mib: Mapped[int]
    volumes: Mapped[int]
    disk_gib: Mapped[int]
    public_addresses: Mapped[int]
    limits: Mapped[dict[str, Any]]


class Hypervisor(Base):
    """A host of the cloud: up or down, enabled or disabled, as Nova said at `read_at`."""

    __tablename__ = "hypervisors"
    name: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[str]
    status: Mapped[str]
    read_at: Mapped[datetime]


class CapacitySample(Base):
    """How much of a resource one place (host, network, storage pool) had at an instant.

    What can be handed out is (total - reserved) × ratio. MEMORY_MB: MiB; DISK_GB, VOLUME_GB: GiB.
    """

    __tablename__ = "capacity_samples"
    id: Mapped[int] = key()
    at: Mapped[datetime]
    resource: Mapped[str]
    place: Mapped[str]
    total: Mapped[int]
    reserved: Mapped[int]
    ratio: Mapped[Decimal]
    used: Mapped[int]
    __table_args__ = (
        UniqueConstraint("resource", "place", "at"),
        CheckConstraint(one_of("resource", CAPACITIES), "resource"),
        CheckConstraint("least(total, reserved, used) >= 0 AND ratio > 0", "sound"),
        Index("ix_capacity_samples_at", "at"),
    )


class UsageCheck(Base):
    """When a month's server hours were last compared with Nova's, up to `until`."""

    __tablename__ = "usage_checks"
    period_id: Mapped[int] = mapped_column(ForeignKey("periods.id"), primary_key=True)
    until: Mapped[datetime]
    read_at: Mapped[datetime]
    read_by: Mapped[str]


class UsageCheckServer(Base):
    """One server of it, by Nova's id. running, existing, cloud: seconds that we bill in full, that we say it existed,
    that Nova counts; reasons: seconds, as texts, whose sum is running - cloud; odd: something has to be looked into.
    """

    __tablename__ = "usage_check_servers"
    period_id: Mapped[int] = mapped_column(ForeignKey("usage_checks.period_id", ondelete="CASCADE"), primary_key=True)
    server: Mapped[str] = mapped_column(primary_key=True)
    member_id: Mapped[int] = mapped_column(ForeignKey("members.id"), index=True)
    name: Mapped[str]
    running: Mapped[Decimal]
    existing: Mapped[Decimal]
    cloud: Mapped[Decimal]
    reasons: Mapped[dict[str, Any]]
    odd: Mapped[bool]
    __table_args__ = (CheckConstraint("least(running, existing, cloud) >= 0", "seconds"),)


class PriceDraft(Base):
    """A tariff being prepared. starts: local day; member_kind: for whom, None for everybody; told_on: when members were
    told; hourly: by meter code, euros for a unit and hour as a text, or {price, free, steps: [{above, price}]}.
    """

    __tablename__ = "price_drafts"
    id: Mapped[int] = key()
    book: Mapped[str]
    starts: Mapped[date]
    hourly: Mapped[dict[str, Any]]
    member_kind: Mapped[str | None]
    told_on: Mapped[date | None]
    state: Mapped[str] = mapped_column(server_default="draft")
    made_by: Mapped[str]
    made_at: Mapped[datetime] = now()
    decided_by: Mapped[str | None]
    decided_at: Mapped[datetime | None]
    __table_args__ = (
        CheckConstraint(one_of("state", ("draft", "adopted", "discarded")), "state"),
        CheckConstraint("(state = 'draft') = (decided_at IS NULL)", "decided"),
        CheckConstraint(one_of("member_kind", MEMBER_KINDS), "member_kind"),
    )


class Announcement(Base):
    """Something that the DSI tells one member, or all; title and body in {fr, en}."""

    __tablename__ = "announcements"
    id: Mapped[int] = key()
    member_id: Mapped[int | None] = mapped_column(ForeignKey("members.id"), index=True)
    level: Mapped[str]
    title: Mapped[dict[str, Any]]
    body: Mapped[dict[str, Any]]
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime | None]
    withdrawn_at: Mapped[datetime | None]
    made_by: Mapped[str]
    made_at: Mapped[datetime] = now()
    __table_args__ = (
        CheckConstraint(one_of("level", LEVELS), "level"),
        CheckConstraint("ends_at > starts_at", "ends"),
    )


class AuditRetention(Base):
    """For how many days the audit trail is kept; one row. Beyond a year it needs a reason."""

    __tablename__ = "audit_retention"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, server_default="1")
    days: Mapped[int]
    reason: Mapped[str | None]
    set_by: Mapped[str]
    set_at: Mapped[datetime] = now()
    __table_args__ = (
        CheckConstraint("id = 1", "one"),
        CheckConstraint("days BETWEEN 180 AND 1095 AND (days <= 365 OR length(reason) >= 20)", "bounds"),
    )


class AuditPurge(Base):
    """Where the audit chain begins since a purge: after `last_id`, from `last_hash`. Only the purge writes it."""

    __tablename__ = "audit_purges"
    id: Mapped[int] = key()
    at: Mapped[datetime] = now()
    last_id: Mapped[int]
    last_hash: Mapped[bytes]
    removed: Mapped[int]
    kept_hash: Mapped[bytes]
