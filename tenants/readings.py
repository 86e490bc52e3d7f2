"""Until when the cloud was read, what that found behind our back, and whether a month may be closed by it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator.errors import N_, Conflict, Text
from orchestrator.tables import Member, Place, Resource, ResourceEvent, Service
from orchestrator.tables_reconcile import CloudFeed, CloudReading
from tenants.tables import Period

BY_HAND = Service.specification["outside"].as_string().is_not(None)
WAIT = N_("Attendez la prochaine lecture, ou lancez « clocher usage compare », puis établissez le mois de nouveau.")
MOST = 200  # corrections that a page shows


def status(session: Session) -> list[dict[str, Any]]:
    """Each member whose project is compared with the ledger, who is furthest behind first.

    `member`, `name`, and the columns of CloudReading; empty as long as the duty is off.
    """
    query = (
        sa.select(Member.slug.label("member"), Member.name, *CloudReading.__table__.columns)
        .join(CloudReading, CloudReading.member_id == Member.id)
        .order_by(CloudReading.read_until.nulls_first(), Member.slug.collate("C"))
    )
    return [dict(row) for row in session.execute(query).mappings()]


def notified(session: Session) -> dict[str, Any] | None:
    """When the cloud's notifications were last read (`read_at`), what the newest told of (`last_at`), and where they
    come from (`kind`: file, queue); None as long as none was read.
    """
    row = session.scalar(sa.select(CloudFeed).order_by(CloudFeed.read_at.desc().nulls_last()).limit(1))
    return {"kind": row.kind, "read_at": row.read_at, "last_at": row.last_at} if row else None


def read_until(session: Session) -> datetime | None:
    """Until when all of the cloud was read; None when some of it never was, or the duty is off."""
    rows = status(session)
    return rows[0]["read_until"] if rows else None


def behind(session: Session, until: datetime) -> dict[str, Any] | None:
    """The member of which the least is known, when that is less than all before an instant; None when all is known.

    A project that was made after it has nothing to tell. When the duty is off nobody is behind.
    """
    made = dict(session.execute(sa.select(Place.member_id, Place.applied_at)).all())
    for row in status(session):
        if (row["read_until"] is None or row["read_until"] < until) and made.get(row["member_id"], until) < until:
            return row
    return None


def refusal(session: Session, period: Period) -> Conflict | None:
    """Why a month that is over can't be closed yet: cloud_not_read; None when the cloud was read to its end."""
    assert period.during.upper
    if period.sample or (row := behind(session, period.during.upper)) is None:
        return None
    told: Text = (
        Text(
            "Le nuage n’a été lu que jusqu’au {day} à {hour} (UTC) pour {member}.",
            day=read.date(),
            hour=f"{read:%H:%M}",
            member=row["name"],
        )
        if (read := row["read_until"] and row["read_until"].astimezone(UTC))
        else Text("Le nuage n’a pas encore été lu pour {member}.", member=row["name"])
    )
    return Conflict("cloud_not_read", told, WAIT, facts={"member": row["member"]})


def outside(session: Session) -> list[dict[str, Any]]:
    """What was made by hand and is metered, the newest first; a member's session sees its own.

    `service_id`, `service`, `member`, `name` (the member's), `kind`, `cloud_name`, `cloud_id`, `by` (an account of the
    cloud, or None), `state` (outside or deleted), `source` (who told of it first), `since` and `until`.
    """
    told = Service.specification["outside"]
    query = (
        sa.select(
            Service.id.label("service_id"), Service.name.label("service"), Member.slug.label("member"), Member.name,
            told["kind"].as_string().label("kind"), told["name"].as_string().label("cloud_name"),
            told["cloud_id"].as_string().label("cloud_id"), told["by"].as_string().label("by"), Service.state,
            Service.created_at.label("found_at"), sa.func.min(ResourceEvent.at).label("since"),
            sa.func.min(sa.case((ResourceEvent.kind == "created", ResourceEvent.source))).label("source"),
            Resource.deleted_at.label("until"),
        )
        .join(Member, Member.id == Service.member_id)
        .join(Resource, Resource.service_id == Service.id)
        .join(ResourceEvent, ResourceEvent.resource_id == Resource.id)
        .where(BY_HAND)
        .group_by(Service.id, Member.id, Resource.id)
        .order_by(Service.id.desc())
    )  # fmt: skip
    return [dict(row) for row in session.execute(query).mappings()]


def corrections(session: Session, most: int = MOST) -> list[dict[str, Any]]:
    """What the cloud told of ordered services that the ledger did not know, the newest first.

    `id`, `service_id`, `service`, `member`, `name` (the member's), `kind` (the thing's), `event`, `at`, `found_at`,
    `source`, `vcpus`, `ram_mib`, `disk_gib`. That Nova dated a launch anew is left out: nothing is billed by it.
    """
    query = (
        sa.select(
            ResourceEvent.id, Service.id.label("service_id"), Service.name.label("service"),
            Member.slug.label("member"), Member.name, Resource.kind, ResourceEvent.kind.label("event"),
            ResourceEvent.at, ResourceEvent.recorded_at.label("found_at"), ResourceEvent.source, ResourceEvent.vcpus,
            ResourceEvent.ram_mib, ResourceEvent.disk_gib,
        )
        .join(Resource, Resource.id == ResourceEvent.resource_id)
        .join(Service, Service.id == Resource.service_id)
        .join(Member, Member.id == Service.member_id)
        .where(ResourceEvent.source != "flow", ResourceEvent.kind != "launched",
               ~BY_HAND)
        .order_by(ResourceEvent.id.desc())
        .limit(most)
    )  # fmt: skip
    return [dict(row) for row in session.execute(query).mappings()]
