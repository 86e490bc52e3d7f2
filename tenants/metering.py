"""Events → usage intervals: what each resource held, of which meter, from when to when. Exact to the microsecond.

A server is counted from launch to deletion (meter `server`, for comparison only); it is billed for vCPUs and memory
while it serves, at the stopped meters while it is stopped; a volume, a public address and a snapshot's parts from
creation to deletion.
Of a service whose creation failed (a state that nothing leaves) nothing is billed.
Every event carries the sizes that hold from then on.
What an application counts of its trade holds from its count to the next one, on its server; before the first, nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator.errors import Conflict, Text
from tenants.tables import Period

# What a sample invents is metered in sample periods only, and never with what really happened.
SAMPLE_PREFIX = "sample-"

# phase: 1 held (serving), 2 held but stopped. The last event that says so decides; a deletion is final.
# The planner takes the few rules of counted_by for each state: numbers are compared first, and one sort serves all.
DERIVED = """
WITH counted_by AS MATERIALIZED (
    SELECT m.id AS meter_id, c.phase, c.thing, c.of FROM (VALUES
        ('vcpu', 1, 'server', 'vcpus'),
        ('ram', 1, 'server', 'ram'),
        ('vcpu_stopped', 2, 'server', 'vcpus'),
        ('ram_stopped', 2, 'server', 'ram'),
        ('volume', 1, 'volume', 'disk'),
        ('public_address', 1, 'floating_ip', 'one'),
        ('snapshot', 1, 'image', 'disk'),
        ('snapshot', 1, 'volume_snapshot', 'disk')) AS c (code, phase, thing, of) JOIN meters m ON m.code = c.code
), sampled AS MATERIALIZED (
    SELECT s.member_id, s.service_id, m.id AS meter_id, trim_scale(s.quantity) AS quantity, s.at
    FROM meter_samples s JOIN meters m ON m.code = s.meter AND m.sku IS NOT NULL
    WHERE s.at < :known AND (CAST(:member AS bigint) IS NULL OR s.member_id = :member)
        AND (CAST(:service AS bigint) IS NULL OR s.service_id = :service)
), told AS (
    SELECT e.resource_id, r.member_id, r.service_id, r.kind AS thing, e.kind, e.at, e.id,
        e.vcpus, e.ram_mib, e.disk_gib,
        row_number() OVER (PARTITION BY e.resource_id ORDER BY e.at, e.id) AS turn,
        CASE WHEN e.kind IN ('serving', 'started') OR (e.kind = 'created' AND r.kind <> 'server') THEN 1
            WHEN e.kind = 'stopped' THEN 2 END AS phase
    FROM resource_events e JOIN resources r ON r.id = e.resource_id
    WHERE e.at < :known AND starts_with(r.cloud_id, :prefix) = :sample
        AND (CAST(:member AS bigint) IS NULL OR (r.member_id = :member AND e.member_id = :member))
        AND (CAST(:resources AS bigint[]) IS NULL OR r.id = ANY(:resources))
        AND (CAST(:service AS bigint) IS NULL OR r.service_id = :service)
        AND NOT EXISTS (SELECT FROM resource_events gone
            WHERE gone.resource_id = e.resource_id AND gone.kind = 'deleted' AND gone.at <= :starts)
), state AS (
    SELECT resource_id, member_id, service_id, thing, vcpus, ram_mib, disk_gib, at AS since,
        lead(at, 1, :until) OVER ahead AS until,
        max(turn * 10 + phase) OVER sofar % 10 AS phase, bool_or(kind = 'deleted') OVER sofar AS gone
    FROM told
    WINDOW ahead AS (PARTITION BY resource_id ORDER BY at, id),
        sofar AS (PARTITION BY resource_id ORDER BY at, id ROWS UNBOUNDED PRECEDING)
), held AS (
    SELECT s.resource_id, s.member_id, s.service_id, c.meter_id, CASE c.of WHEN 'vcpus' THEN s.vcpus
        WHEN 'ram' THEN trim_scale(s.ram_mib / 1024.0) WHEN 'disk' THEN s.disk_gib ELSE 1 END AS quantity,
        s.since, s.until
    FROM state s JOIN counted_by c ON c.phase = s.phase AND c.thing = s.thing
    WHERE NOT s.gone AND s.service_id NOT IN (SELECT id FROM services WHERE state = 'failed'
        AND (CAST(:member AS bigint) IS NULL OR member_id = :member))
    UNION ALL
    SELECT resource_id, member_id, service_id, m.id, 1, min(at) FILTER (WHERE kind = 'launched'),
        coalesce(min(at) FILTER (WHERE kind = 'deleted'), :until)
    FROM told JOIN meters m ON m.code = 'server' WHERE thing = 'server'
    GROUP BY resource_id, member_id, service_id, m.id
    UNION ALL
    SELECT h.resource_id, s.member_id, s.service_id, s.meter_id, s.quantity, s.at,
        least(lead(s.at, 1, :until) OVER (PARTITION BY s.service_id, s.meter_id ORDER BY s.at), h.gone)
    FROM sampled s JOIN (
        SELECT service_id, max(resource_id) AS resource_id, CASE WHEN count(DISTINCT resource_id)
            = count(*) FILTER (WHERE kind = 'deleted') THEN max(at) FILTER (WHERE kind = 'deleted') END AS gone
        FROM told WHERE thing = 'server' AND service_id IN (SELECT service_id FROM sampled) GROUP BY service_id
    ) h ON h.service_id = s.service_id
)
SELECT CAST(:period AS bigint) AS period_id, resource_id, member_id, service_id, meter_id, quantity,
    tstzrange(greatest(since, :starts), until) AS during
FROM held WHERE quantity > 0 AND since < until AND until > :starts
"""
# What is read together (a resource, then its meters in their time) lands on the same pages.
INSERT = f"""
INSERT INTO usage_intervals (period_id, resource_id, member_id, meter_id, quantity, during)
SELECT period_id, resource_id, member_id, meter_id, quantity, during
FROM ({DERIVED}) derived ORDER BY resource_id, meter_id, during
"""  # noqa: S608  (no input in it)


def parameters(
    period: Period,
    until: datetime,
    *,
    member_id: int | None = None,
    resource_ids: Sequence[int] | None = None,
    service_id: int | None = None,
) -> dict[str, object]:
    """What DERIVED needs: the period's bounds, clipped to `until`, and whose usage, or of which resources.

    known: events before this instant are read; earlier than `until`, the last state is thought on.
    """
    assert period.during.lower and period.during.upper
    return {
        "period": period.id,
        "starts": period.during.lower,
        "until": min(until, period.during.upper),
        "known": min(until, period.during.upper),
        "sample": period.sample,
        "prefix": SAMPLE_PREFIX,
        "member": member_id,
        "resources": resource_ids,
        "service": service_id,
    }


def meter(session: Session, period: Period, until: datetime) -> int:
    """Derive the period's usage anew up to `until`; returns the number of intervals.

    The whole period is replaced. Raises Conflict not_started.
    """
    chosen = parameters(period, until)
    if period.during.lower and until <= period.during.lower:
        raise Conflict(
            "not_started", Text("La période {month} n’a pas commencé.", month=period.label), "Attendez son début."
        )
    session.execute(sa.text("DELETE FROM usage_intervals WHERE period_id = :period"), {"period": period.id})
    result = session.execute(sa.text(INSERT), chosen)
    period.metered_until = min(until, period.during.upper or until)
    return int(getattr(result, "rowcount", 0))


def derive(
    session: Session, period: Period, until: datetime, *, member_id: int | None = None, resource_id: int | None = None
) -> list[sa.Row[tuple[object, ...]]]:
    """The intervals as events tell them now, without storing them, in a stable order."""
    resources = None if resource_id is None else [resource_id]
    chosen = parameters(period, until, member_id=member_id, resource_ids=resources)
    query = f"SELECT * FROM ({DERIVED}) derived ORDER BY resource_id, meter_id, during"  # noqa: S608  (no input in it)
    return list(session.execute(sa.text(query), chosen))
