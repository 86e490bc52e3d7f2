"""What the members really use in the cloud, and what the cloud has left: read by a worker, kept, and told.

The pages hold no key to the cloud; they show what a worker read, and when.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from orchestrator import cloud_capacity, places
from orchestrator.cloud_capacity import Stock
from orchestrator.database import territory_session
from orchestrator.errors import ClocherError
from orchestrator.steps import Runtime
from orchestrator.tables import Member, Place
from tenants import quotas
from tenants.tables import Quota
from tenants.tables_administration import CapacitySample, CloudUsage, Hypervisor

log = structlog.get_logger()

LOCK = 0x43415041  # advisory lock: one worker reads at a time
USAGE_AGE = timedelta(minutes=10)  # what the cloud said of a member is asked again when older
SAMPLE_AGE = timedelta(days=400)  # samples are kept a year and a month
ACTOR = "capacity"


def watch(runtime: Runtime) -> None:
    """A worker's duty: ask the cloud again what is out of date. Each hour has one sample of the capacity."""
    with _alone(runtime.engine) as alone:
        if alone:
            now = datetime.now(UTC)
            refresh_usage(runtime, now)
            sample(runtime, now)


@contextmanager
def _alone(engine: sa.Engine) -> Iterator[bool]:
    # A lock of the connection, not of a transaction: none may be open while we talk to the cloud.
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        got = bool(connection.scalar(sa.text("SELECT pg_try_advisory_lock(:lock)"), {"lock": LOCK}))
        try:
            yield got
        finally:
            if got:
                connection.execute(sa.text("SELECT pg_advisory_unlock(:lock)"), {"lock": LOCK})


def refresh_usage(runtime: Runtime, now: datetime) -> int:
    """Read anew what each member uses, where that is out of date; of how many. One that fails stops no other."""
    old = CloudUsage.member_id.is_(None) | (CloudUsage.read_at < now - USAGE_AGE)
    query = sa.select(Place.member_id, Place.project_id).outerjoin(CloudUsage, CloudUsage.member_id == Place.member_id)
    with territory_session(runtime.engine, ACTOR) as session:
        gone = sa.select(Place.member_id)
        session.execute(sa.delete(CloudUsage).where(CloudUsage.member_id.not_in(gone)))
        due = session.execute(query.where(old).order_by(CloudUsage.read_at.nulls_first())).all()
    read = 0
    for member_id, project_id in due:
        try:
            usage = cloud_capacity.read_usage(runtime.cloud, project_id)
        except ClocherError as error:
            log.warning("usage not read", member=member_id, code=error.code, detail=error.detail)
            continue
        with territory_session(runtime.engine, ACTOR) as session:
            columns = {"read_at": now, "limits": dict(usage.limits), **usage.used}
            row = insert(CloudUsage).values(member_id=member_id, **columns)
            session.execute(row.on_conflict_do_update(index_elements=["member_id"], set_=columns))
        read += 1
    return read


def sample(runtime: Runtime, now: datetime) -> int:
    """Keep what the cloud has and has left at this hour, once; how many samples were written."""
    hour = now.replace(minute=0, second=0, microsecond=0)
    with territory_session(runtime.engine, ACTOR) as session:
        if session.scalar(sa.select(CapacitySample.id).where(CapacitySample.at == hour).limit(1)):
            return 0
    hosts, stocks = cloud_capacity.read_hosts(runtime.cloud), cloud_capacity.read_stocks(runtime.cloud)
    with territory_session(runtime.engine, ACTOR) as session:
        stocks += _storage(session, runtime.settings.storage_gib)
        session.execute(sa.delete(CapacitySample).where(CapacitySample.at < now - SAMPLE_AGE))
        session.execute(sa.delete(Hypervisor))
        if hosts:
            session.execute(sa.insert(Hypervisor), [{**asdict(host), "read_at": now} for host in hosts])
        rows = [{**asdict(stock), "at": hour} for stock in stocks]
        session.execute(insert(CapacitySample).on_conflict_do_nothing(), rows)
    return len(rows)


def _storage(session: Session, held: int | None) -> list[Stock]:
    if held is None:
        return []
    used = session.scalar(sa.select(sa.func.coalesce(sa.func.sum(CloudUsage.disk_gib), 0)))
    return [Stock("VOLUME_GB", "volumes", held, 0, Decimal(1), int(used or 0))]


def hypervisors(session: Session) -> list[Hypervisor]:
    """The hosts as Nova last told them."""
    return list(session.scalars(sa.select(Hypervisor).order_by(Hypervisor.name)))


# Every member's holdings in one query: the same rule as one member's. copies: GiB of snapshots of volumes that live;
# replaced, replaced_gib: volumes whose place a restored one took, which stay until no snapshot is of them.
HELD = f"""
SELECT m.id AS member_id, coalesce(c.gib, 0) AS copies, coalesce(old.count, 0) AS replaced,
    coalesce(old.gib, 0) AS replaced_gib, h.*
FROM members m CROSS JOIN LATERAL ({quotas.HELD.replace(":member", "m.id")}) h
LEFT JOIN (
    SELECT r.member_id, sum(e.disk_gib) AS gib FROM resources r JOIN resource_events e ON e.resource_id = r.id
    WHERE r.kind = 'volume_snapshot' AND r.deleted_at IS NULL AND e.kind = 'created' GROUP BY r.member_id
) c ON c.member_id = m.id
LEFT JOIN (
    SELECT v.member_id, count(*) AS count, sum(size.disk_gib) AS gib FROM resources v
    CROSS JOIN LATERAL (SELECT e.disk_gib FROM resource_events e
        WHERE e.resource_id = v.id AND e.disk_gib IS NOT NULL ORDER BY e.at DESC LIMIT 1) size
    WHERE v.kind = 'volume' AND starts_with(v.role, 'replaced-') AND EXISTS (SELECT FROM resources copy
        WHERE copy.service_id = v.service_id AND copy.kind = 'volume_snapshot' AND copy.deleted_at IS NULL
            AND split_part(copy.role, '/', 2) = split_part(v.role, '/', 2)
            AND copy.created_at BETWEEN v.created_at AND v.deleted_at)
    GROUP BY v.member_id
) old ON old.member_id = m.id
WHERE m.state = 'active'
"""  # noqa: S608  (no input in it)


def quota_use(session: Session, kept: int) -> list[dict[str, Any]]:
    """For each active member: slug, name, read_at, and `counts`: by quota limit, held, used, cloud_limit, odd.

    `used` and `cloud_limit` are None where the cloud was not read. odd: what the cloud says differs from what orders
    hold, or its limit from ours. kept: snapshots that a service may have; Cinder counts copies among a volume's GiB,
    and volumes that were replaced: no member ordered those, its limit leaves them out (`orchestrator.places.spare`).
    """
    held = {row.member_id: row for row in session.execute(sa.text(HELD))}
    query = (
        sa.select(Member, Quota, CloudUsage)
        .outerjoin(Quota, Quota.member_id == Member.id)
        .outerjoin(CloudUsage, CloudUsage.member_id == Member.id)
        .where(Member.state == "active")
        .order_by(Member.name)
    )
    return [
        {
            "slug": member.slug,
            "name": member.name,
            "read_at": usage.read_at if usage else None,
            "counts": {name: _count(name, quota, held[member.id], usage, kept) for name in quotas.LABELS},
        }
        for member, quota, usage in session.execute(query)
    ]


def _count(name: str, quota: Quota | None, held: Any, usage: CloudUsage | None, kept: int) -> dict[str, Any]:
    limit, ours = getattr(quota, name, 0), int(getattr(held, name))
    if usage is None:
        return {"limit": limit, "held": ours, "used": None, "cloud_limit": None, "odd": False}
    used, cloud_limit = getattr(usage, name), int(usage.limits[name])
    times = places.spare(kept).get(name, 1)
    used -= {"disk_gib": held.copies + held.replaced_gib, "volumes": held.replaced}.get(name, 0)
    odd = used != ours or cloud_limit != limit * times
    told = cloud_limit // times if cloud_limit >= 0 else cloud_limit
    return {"limit": limit, "held": ours, "used": used, "cloud_limit": told, "odd": odd}
