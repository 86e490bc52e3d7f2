"""What exists and what happened to it: members' places, services, resources, events, flows, audit.

Rules that a program could break are constraints here and triggers in the migrations.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import CheckConstraint, ForeignKey, Identity, Index, UniqueConstraint
from sqlalchemy.dialects.postgresql import ExcludeConstraint
from sqlalchemy.orm import Mapped, mapped_column

from orchestrator.database import Base

SERVICE_STATES = (
    "creating", "active", "stopping", "stopped", "starting", "rebooting", "resizing", "restoring", "moving",
    "deleting", "deleted", "failed", "outside",
)  # fmt: skip
FLOW_LIVE = ("queued", "running", "held", "undoing")
FLOW_STATES = (*FLOW_LIVE, "done", "failed", "cancelled")
FLOW_KINDS = (
    "create_server", "delete_server", "stop_server", "start_server", "reboot_server", "resize_server", "rename_server",
    "add_volume", "grow_volume", "remove_volume", "add_address", "remove_address", "replace_keys", "snapshot_server",
    "delete_snapshot", "restore_server", "renew_secret", "backup_service", "restore_service", "tend_vault",
    "prove_backup", "upgrade_service", "export_service", "count_service", "change_parameters", "check_drift",
    "repair_drift", "move_service", "restore_files",
)  # fmt: skip
MEMBER_KINDS = ("commune", "epci", "syndicat", "public_body", "company")
RESOURCE_KINDS = ("server", "volume", "port", "floating_ip", "image", "volume_snapshot")
SNAPSHOT_STATES = ("making", "ready", "deleting", "deleted", "failed")
EVENT_KINDS = ("created", "launched", "serving", "stopped", "started", "resized", "deleted")
EVENT_SOURCES = ("flow", "reconcile", "notification")


def one_of(column: str, values: tuple[str, ...]) -> str:
    """SQL for "column holds one of values"."""
    return f"{column} IN ({', '.join(repr(value) for value in values)})"


def key() -> Mapped[int]:
    """A primary key that the database numbers."""
    return mapped_column(Identity(always=True), primary_key=True)


def now() -> Mapped[datetime]:
    """An instant that the database stamps."""
    return mapped_column(server_default=sa.func.now())


class Member(Base):
    """A commune, a syndicat, the EPCI itself, a public body or a company. Its subnet is chosen once and kept.

    origin: `declared` in a file, or `made` in the pages, which then are its master.
    """

    __tablename__ = "members"
    id: Mapped[int] = key()
    slug: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    kind: Mapped[str]
    siren: Mapped[str]
    siret: Mapped[str] = mapped_column(unique=True)
    insee_code: Mapped[str | None]
    population: Mapped[int | None]
    state: Mapped[str] = mapped_column(server_default="active")
    contacts: Mapped[list[Any]] = mapped_column(server_default="[]")
    subnet_cidr: Mapped[str | None]
    origin: Mapped[str] = mapped_column(server_default="declared")
    admin_networks: Mapped[list[Any]] = mapped_column(server_default="[]")
    created_at: Mapped[datetime] = now()
    __table_args__ = (
        CheckConstraint(one_of("origin", ("declared", "made")), "origin"),
        CheckConstraint("slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$' AND length(slug) <= 40", "slug"),
        CheckConstraint("siren ~ '^[0-9]{9}$'", "siren"),
        CheckConstraint("siret ~ '^[0-9]{14}$' AND left(siret, 9) = siren", "siret"),
        CheckConstraint(r"insee_code ~ '^(\d{2}|2[AB])\d{3}$'", "insee_code"),
        CheckConstraint("population >= 0", "population"),
        CheckConstraint(one_of("kind", MEMBER_KINDS), "kind"),
        CheckConstraint(one_of("state", ("active", "closed")), "state"),
        ExcludeConstraint((sa.text("(subnet_cidr::cidr) inet_ops"), "&&"), name="subnets_apart", using="gist"),
    )


class Place(Base):
    """A member's place in the cloud: its Keystone project and its network, by their ids."""

    __tablename__ = "places"
    member_id: Mapped[int] = mapped_column(ForeignKey("members.id"), primary_key=True)
    project_id: Mapped[str] = mapped_column(unique=True)
    network_id: Mapped[str]
    subnet_id: Mapped[str]
    router_id: Mapped[str]
    security_group_id: Mapped[str]
    applied_at: Mapped[datetime] = now()


class Service(Base):
    """The living thing that an order made. Only `orchestrator.services` writes its state and its specification.

    state `outside`: made by hand in the cloud, metered, and nothing can be asked of it here (`orchestrator.outsiders`).
    protected: it can't be deleted before that is taken back; nightly: a machine is backed up every night, which
    its people may not want; delete_after: when a deletion that was asked for begins.
    """

    __tablename__ = "services"
    id: Mapped[int] = key()
    ref: Mapped[UUID] = mapped_column(unique=True, server_default=sa.func.gen_random_uuid())
    member_id: Mapped[int] = mapped_column(ForeignKey("members.id"))
    name: Mapped[str]
    specification: Mapped[dict[str, Any]]
    state: Mapped[str] = mapped_column(server_default="creating")
    address: Mapped[str | None]
    public_address: Mapped[str | None]
    protected: Mapped[bool] = mapped_column(server_default=sa.false())
    nightly: Mapped[bool] = mapped_column(server_default=sa.true())
    delete_after: Mapped[datetime | None]
    created_at: Mapped[datetime] = now()
    changed_at: Mapped[datetime] = now()
    __table_args__ = (
        Index("ix_services_delete_after", "delete_after", postgresql_where=sa.text("delete_after IS NOT NULL")),
        Index("ix_services_state_member_id", "state", "member_id"),
        Index("ix_services_member_id_id", "member_id", "id"),  # newest first of one member, whatever others have
        CheckConstraint(one_of("state", SERVICE_STATES), "state"),
        CheckConstraint("name ~ '^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$'", "name"),
        # Two living services of a member never share a name: it is the guest's host name.
        Index("uq_services_living_name", "member_id", "name", unique=True,
              postgresql_where=sa.text("state NOT IN ('deleted', 'failed')")),
    )  # fmt: skip


class Flow(Base):
    """The durable run of one operation on a service; queued by inserting it.

    held: a step failed in a way that the DSI can mend (`orchestrator.repair`); keeper: who said to be on it.
    runs: how often it was run; when that grows, the flow is queued again. began_from: the service's state before.
    """

    __tablename__ = "flows"
    id: Mapped[int] = key()
    member_id: Mapped[int] = mapped_column(ForeignKey("members.id"))
    service_id: Mapped[int] = mapped_column(ForeignKey("services.id"))
    kind: Mapped[str]
    parameters: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    state: Mapped[str] = mapped_column(server_default="queued")
    runs: Mapped[int] = mapped_column(server_default="1")
    cancel_requested: Mapped[bool] = mapped_column(server_default=sa.false())
    undo_requested: Mapped[bool] = mapped_column(server_default=sa.false())
    began_from: Mapped[str | None]
    error_code: Mapped[str | None]
    error_sentence: Mapped[str | None]
    error_detail: Mapped[str | None]
    requested_by: Mapped[str]
    worker_id: Mapped[str | None]
    queued_at: Mapped[datetime] = now()
    started_at: Mapped[datetime | None]
    held_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    keeper: Mapped[str | None]
    keeper_note: Mapped[str | None]
    __table_args__ = (
        Index("ix_flows_live", "state", "id", postgresql_where=sa.text(one_of("state", FLOW_LIVE))),
        CheckConstraint("(held_at IS NOT NULL) = (state = 'held')", "held"),
        CheckConstraint("runs > 0", "runs"),
        Index("ix_flows_failed", "ended_at", postgresql_where=sa.text("state = 'failed'")),
        Index("ix_flows_member_id_id", "member_id", "id"),
        Index("ix_flows_service_id_id", "service_id", "id"),
        CheckConstraint(one_of("kind", FLOW_KINDS), "kind"),
        CheckConstraint(one_of("state", FLOW_STATES), "state"),
        CheckConstraint("(ended_at IS NOT NULL) = (state IN ('done', 'failed', 'cancelled'))", "ended"),
        Index("uq_flows_one_live", "service_id", unique=True,
              postgresql_where=sa.text(one_of("state", FLOW_LIVE))),
    )  # fmt: skip


class FlowStep(Base):
    """One named step of a flow, as people follow it."""

    __tablename__ = "flow_steps"
    id: Mapped[int] = key()
    flow_id: Mapped[int] = mapped_column(ForeignKey("flows.id"))
    member_id: Mapped[int] = mapped_column(ForeignKey("members.id"))
    name: Mapped[str]
    state: Mapped[str]
    attempts: Mapped[int] = mapped_column(server_default="1")
    message: Mapped[str | None]
    started_at: Mapped[datetime] = now()
    ended_at: Mapped[datetime | None]
    __table_args__ = (
        UniqueConstraint("flow_id", "name"),
        CheckConstraint(one_of("state", ("running", "done", "failed", "undone")), "state"),
    )


class AnsibleEvent(Base):
    """One event of a play in a guest, stored as it comes; append-only."""

    __tablename__ = "ansible_events"
    id: Mapped[int] = key()
    flow_id: Mapped[int] = mapped_column(ForeignKey("flows.id"))
    member_id: Mapped[int] = mapped_column(ForeignKey("members.id"))
    uuid: Mapped[UUID]
    event: Mapped[str]
    task: Mapped[str | None]
    outcome: Mapped[str | None]
    message: Mapped[str | None]
    at: Mapped[datetime] = now()
    __table_args__ = (UniqueConstraint("flow_id", "uuid"),)


class Resource(Base):
    """One OpenStack thing of a service. A service has at most one living of each role."""

    __tablename__ = "resources"
    id: Mapped[int] = key()
    member_id: Mapped[int] = mapped_column(ForeignKey("members.id"), index=True)
    service_id: Mapped[int] = mapped_column(ForeignKey("services.id"), index=True)
    flow_id: Mapped[int | None] = mapped_column(ForeignKey("flows.id"))
    kind: Mapped[str]
    role: Mapped[str] = mapped_column(server_default="main")
    cloud_id: Mapped[str]
    created_at: Mapped[datetime] = now()
    deleted_at: Mapped[datetime | None]
    __table_args__ = (
        UniqueConstraint("kind", "cloud_id"),
        UniqueConstraint("id", "member_id", name="uq_resources_id_member_id"),
        CheckConstraint(one_of("kind", RESOURCE_KINDS), "kind"),
        Index("uq_resources_living_role", "service_id", "kind", "role", unique=True,
              postgresql_where=sa.text("deleted_at IS NULL")),
    )  # fmt: skip


class ResourceEvent(Base):
    """What happened to a resource, when, and its size from then on; append-only. Metering reads it.

    vcpus: count; ram_mib, disk_gib: binary units. Null where the kind of resource has none. source: who says so: our
    own flow, or the comparison with the cloud.
    """

    __tablename__ = "resource_events"
    id: Mapped[int] = key()
    resource_id: Mapped[int] = mapped_column(ForeignKey("resources.id"))
    member_id: Mapped[int] = mapped_column(ForeignKey("members.id"))
    flow_id: Mapped[int | None] = mapped_column(ForeignKey("flows.id"))
    kind: Mapped[str]
    at: Mapped[datetime]
    vcpus: Mapped[int | None]
    ram_mib: Mapped[int | None]
    disk_gib: Mapped[int | None]
    recorded_at: Mapped[datetime] = now()
    source: Mapped[str] = mapped_column(server_default="flow")
    __table_args__ = (
        CheckConstraint(one_of("source", EVENT_SOURCES), "source"),
        Index("ix_resource_events_found", "id", postgresql_where=sa.text("source <> 'flow'")),
        # The same fact told twice (a step that ran again) is one fact.
        UniqueConstraint("resource_id", "kind", "at"),
        CheckConstraint(one_of("kind", EVENT_KINDS), "kind"),
        CheckConstraint("vcpus > 0 AND ram_mib > 0 AND disk_gib > 0", "sizes"),
        Index("ix_resource_events_at", "at"),
        Index("ix_resource_events_recorded_at", "recorded_at", postgresql_using="brin"),
        Index("ix_resource_events_member_id", "member_id"),
    )


class Snapshot(Base):
    """A service as it was: an image of its server and snapshots of its data volumes, which are rows of `resources`.

    Only `orchestrator.snapshots` writes its state. size_gib: what is metered, of all its parts, once it is ready.
    """

    __tablename__ = "snapshots"
    id: Mapped[int] = key()
    member_id: Mapped[int] = mapped_column(ForeignKey("members.id"))
    service_id: Mapped[int] = mapped_column(ForeignKey("services.id"))
    name: Mapped[str]
    state: Mapped[str] = mapped_column(server_default="making")
    scheduled: Mapped[bool] = mapped_column(server_default=sa.false())
    size_gib: Mapped[int | None]
    requested_by: Mapped[str]
    created_at: Mapped[datetime] = now()
    ready_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    __table_args__ = (
        Index("ix_snapshots_member_id_id", "member_id", "id"),
        Index("ix_snapshots_service_id_id", "service_id", "id"),
        CheckConstraint(one_of("state", SNAPSHOT_STATES), "state"),
        CheckConstraint("length(name) BETWEEN 1 AND 100", "name"),
        CheckConstraint("(ended_at IS NOT NULL) = (state IN ('deleted', 'failed'))", "ended"),
    )


class ServiceSecret(Base):
    """What opens an application: made once by a flow, sealed under a key that is not in the database.

    Only `orchestrator.service_secrets` writes it. next: what takes its place while a flow renews it; shown_at: when it
    was read, which is done once.
    """

    __tablename__ = "service_secrets"
    service_id: Mapped[int] = mapped_column(ForeignKey("services.id"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    member_id: Mapped[int] = mapped_column(ForeignKey("members.id"), index=True)
    sealed: Mapped[str]
    next: Mapped[str | None]
    made_at: Mapped[datetime] = now()
    shown_at: Mapped[datetime | None]


class Worker(Base):
    """A process that runs flows, and when it was last alive."""

    __tablename__ = "workers"
    id: Mapped[str] = mapped_column(primary_key=True)
    host: Mapped[str]
    pid: Mapped[int]
    started_at: Mapped[datetime] = now()
    seen_at: Mapped[datetime] = now()


class Sighting(Base):
    """A tagged cloud resource that no row knows; the sweeper deletes it when it sees it the second time."""

    __tablename__ = "sightings"
    kind: Mapped[str] = mapped_column(primary_key=True)
    cloud_id: Mapped[str] = mapped_column(primary_key=True)
    project_id: Mapped[str]
    first_seen_at: Mapped[datetime] = now()


class AuditEntry(Base):
    """Who did what, when; append-only; the database chains each entry to the one before by SHA-256."""

    __tablename__ = "audit_entries"
    id: Mapped[int] = key()
    at: Mapped[datetime] = now()
    actor: Mapped[str]
    member_id: Mapped[int | None] = mapped_column(ForeignKey("members.id"))
    action: Mapped[str]
    subject: Mapped[str]
    detail: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    previous_hash: Mapped[bytes | None]
    hash: Mapped[bytes | None]
    __table_args__ = (
        Index("ix_audit_entries_member_id_id", "member_id", "id"),
        Index("ix_audit_entries_action_id", "action", "id"),
    )


# The last link of the audit chain, one row; only the chaining trigger touches it.
audit_head = sa.Table(
    "audit_head",
    Base.metadata,
    sa.Column("id", sa.BigInteger, nullable=False),
    sa.Column("hash", sa.LargeBinary, nullable=False),
)
