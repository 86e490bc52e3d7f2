"""Our hours of each server beside Nova's own, and where each difference comes from: the payer's proof of the meter.

We bill a server in full while it runs. Nova (`os-simple-tenant-usage`) counts it from its launch to its deletion,
stopped or not, and begins anew when it is resized or rebuilt. The reasons of a difference are in seconds, and add up
to it exactly; some follow from these rules (NORMAL), all others are odd.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator import audit
from orchestrator.cloud_servers import ServerUsage
from orchestrator.errors import Conflict, NotFound, Text
from orchestrator.tables import Member, Place
from tenants import metering, periods
from tenants.tables import Period
from tenants.tables_administration import UsageCheck, UsageCheckServer

NORMAL = ("starting", "stopped", "failed", "relaunched", "moved")
ODD = ("built_before", "built_after", "deleted_before", "deleted_after", "unlaunched", "unknown", "missing",
       "unexplained")  # fmt: skip
TOLERANCE = 10  # seconds: Nova takes some to delete a server, and writes whole ones
NOTHING = Decimal(0)
# Reads a project's servers between two instants (`cloud_servers.list_usage`).
Tell = Callable[[str, datetime, datetime], Sequence[ServerUsage]]
Told = Sequence[tuple[int, ServerUsage]]


@dataclass(frozen=True)
class Asked:
    """What to ask Nova: each member's project, from one instant to another (UTC)."""

    period: str
    start: datetime
    until: datetime
    projects: Mapping[int, str]


@dataclass(frozen=True)
class Ours:
    """What we counted of a server. running, stopped: seconds; since, until: its existence within what was asked;
    launches: every one that we noted; failed: its creation failed, so nothing of it is billed; moved: its service went
    to another member, which pays from then on, and it was deleted after that.
    """

    member_id: int
    name: str
    failed: bool
    running: Decimal
    stopped: Decimal
    since: datetime
    until: datetime
    launches: Sequence[datetime]
    moved: bool


OURS = f"""
SELECT r.cloud_id, r.member_id, v.name, v.state = 'failed' AS failed,
    coalesce(sum(extract(epoch FROM upper(d.during) - lower(d.during))) FILTER (WHERE m.code = 'vcpu'), 0) AS running,
    coalesce(sum(extract(epoch FROM upper(d.during) - lower(d.during)))
        FILTER (WHERE m.code = 'vcpu_stopped'), 0) AS stopped,
    min(lower(d.during)) FILTER (WHERE m.code = 'server') AS since,
    max(upper(d.during)) FILTER (WHERE m.code = 'server') AS until,
    (SELECT array_agg(e.at) FROM resource_events e WHERE e.resource_id = r.id AND e.kind = 'launched') AS launches,
    EXISTS (SELECT FROM resource_events e WHERE e.resource_id = r.id AND e.kind = 'deleted' AND e.at < r.deleted_at)
        AS moved
FROM ({metering.DERIVED}) d JOIN meters m ON m.id = d.meter_id JOIN resources r ON r.id = d.resource_id
JOIN services v ON v.id = r.service_id
WHERE r.kind = 'server' GROUP BY r.id, v.id
HAVING bool_or(m.code = 'server')
"""  # noqa: S608  (no input in it)
# Servers that we know and don't count here: whether we noted that they were launched.
UNCOUNTED = """
SELECT r.cloud_id, EXISTS (SELECT FROM resource_events e WHERE e.resource_id = r.id AND e.kind = 'launched') AS launched
FROM resources r WHERE r.kind = 'server' AND r.cloud_id = ANY(:servers)
"""


def ask(session: Session, label: str, now: datetime) -> Asked:
    """What has to be read of Nova for a month, until now if it still runs.

    Raises NotFound unknown_period, Conflict period_is_sample or not_started.
    """
    period = periods.find(session, label)
    if period.sample:
        raise Conflict(
            "period_is_sample",
            Text("La période {month} est un exemple : le nuage n’en sait rien.", month=label),
            "Choisissez un autre mois.",
        )
    assert period.during.lower and period.during.upper
    start, until = period.during.lower.astimezone(UTC), min(now, period.during.upper).astimezone(UTC)
    if until <= start:
        raise Conflict("not_started", Text("La période {month} n’a pas commencé.", month=label), "Attendez son début.")
    found = session.execute(sa.select(Place.member_id, Place.project_id))
    return Asked(label, start, until, {row.member_id: row.project_id for row in found})


def read(asked: Asked, tell: Tell) -> Told:
    """Every server that Nova counts in the members' projects; no transaction may be open meanwhile."""
    return [
        (member_id, usage)
        for member_id, project_id in asked.projects.items()
        for usage in tell(project_id, asked.start, asked.until)
    ]


def write(session: Session, asked: Asked, told: Told, now: datetime) -> UsageCheck:
    """Compare, and keep the answer in the place of an earlier one."""
    period = periods.find(session, asked.period, lock=True)
    rows = _compare(session, period, asked, told)
    session.execute(sa.delete(UsageCheck).where(UsageCheck.period_id == period.id))
    kept = UsageCheck(period_id=period.id, until=asked.until, read_at=now, read_by=str(session.info["actor"]))
    session.add(kept)
    session.flush()
    if rows:
        session.execute(sa.insert(UsageCheckServer), rows)
    detail = {"servers": len(rows), "odd": sum(row["odd"] for row in rows)}
    audit.record(session, "usage.verify", f"period {asked.period}", detail=detail)
    return kept


def latest(session: Session, label: str) -> UsageCheck | None:
    """When the month's hours were last compared; None: never. Raises NotFound unknown_period."""
    return session.get(UsageCheck, periods.find(session, label).id)


def last(session: Session, label: str) -> UsageCheck:
    """Likewise; raises NotFound usage_not_verified when they never were."""
    found = latest(session, label)
    if found is None:
        raise NotFound(
            "usage_not_verified",
            Text("Les heures de {month} n’ont pas été comparées à celles de Nova.", month=label),
            Text("Lancez « clocher usage verify --period {month} ».", month=label),
        )
    return found


def servers(session: Session, check: UsageCheck, *, odd: bool = False) -> list[dict[str, Any]]:
    """Each server of a comparison, the odd ones first; of these only, if asked. All in seconds.

    difference: running - cloud; reasons: those that weigh more than nothing, as (code, seconds), the biggest first.
    """
    query = (
        sa.select(UsageCheckServer, Member.slug)
        .join(Member, Member.id == UsageCheckServer.member_id)
        .where(UsageCheckServer.period_id == check.period_id)
        .order_by(UsageCheckServer.odd.desc(), Member.slug.collate("C"), UsageCheckServer.name, UsageCheckServer.server)
    )
    if odd:
        query = query.where(UsageCheckServer.odd)
    return [_shown(row, slug) for row, slug in session.execute(query)]


def _shown(row: UsageCheckServer, slug: str) -> dict[str, Any]:
    reasons = [(code, Decimal(seconds)) for code, seconds in row.reasons.items()]
    return {
        "server": row.server, "name": row.name, "member": slug, "running": row.running, "existing": row.existing,
        "cloud": row.cloud, "difference": row.running - row.cloud, "odd": row.odd,
        "reasons": sorted(reasons, key=lambda reason: (-abs(reason[1]), reason[0])),
    }  # fmt: skip


def _compare(session: Session, period: Period, asked: Asked, told: Told) -> list[dict[str, Any]]:
    found = session.execute(sa.text(OURS), metering.parameters(period, asked.until))
    ours = {row.cloud_id: Ours(*row[1:]) for row in found}
    theirs = {usage.server_id: (member_id, usage) for member_id, usage in told if usage.hours}
    alone = sorted(theirs.keys() - ours.keys())
    known = {row.cloud_id: row.launched for row in session.execute(sa.text(UNCOUNTED), {"servers": alone})}
    rows = [_row(period, asked, server, mine, theirs.get(server, (0, None))[1]) for server, mine in ours.items()]
    for server in alone:
        member_id, usage = theirs[server]
        reason = "unknown" if server not in known else "deleted_after" if known[server] else "unlaunched"
        counted = (NOTHING, NOTHING, _counted(usage))
        rows.append(_kept(period, server, member_id, usage.name, counted, {reason: -counted[2]}))
    return rows


def _row(period: Period, asked: Asked, server: str, mine: Ours, usage: ServerUsage | None) -> dict[str, Any]:
    existing = _seconds(mine.until - mine.since)
    cloud = _counted(usage) if usage else NOTHING
    unbilled = mine.running + mine.stopped - existing
    reasons = {"stopped": -mine.stopped, "failed" if mine.failed else "starting": unbilled}
    reasons |= _existence(asked, mine, usage, cloud) if usage and usage.started_at else {"missing": existing - cloud}
    return _kept(period, server, mine.member_id, mine.name, (mine.running, existing, cloud), reasons)


def _existence(asked: Asked, mine: Ours, usage: ServerUsage, cloud: Decimal) -> dict[str, Decimal]:
    """Why our span of a server's existence is not Nova's: at its beginning, at its end, or in Nova's sum."""
    assert usage.started_at
    begun, ended = max(usage.started_at, asked.start), min(usage.ended_at or asked.until, asked.until)
    later = _seconds(begun - mine.since)
    again = any(abs(_seconds(usage.started_at - at)) <= TOLERANCE for at in mine.launches if at > mine.since)
    longer = _seconds(mine.until - ended)
    return {
        "built_before" if later < 0 else "relaunched" if again else "built_after": later,
        "deleted_before" if longer > 0 else "moved" if mine.moved else "deleted_after": longer,
        "unexplained": _seconds(ended - begun) - cloud,
    }


def _kept(
    period: Period, server: str, member_id: int, name: str, counted: tuple[Decimal, Decimal, Decimal],
    reasons: Mapping[str, Decimal],
) -> dict[str, Any]:  # fmt: skip
    running, existing, cloud = counted
    assert sum(reasons.values()) == running - cloud, "reasons add up to the difference"
    return {
        "period_id": period.id, "server": server, "member_id": member_id, "name": name, "running": running,
        "existing": existing, "cloud": cloud,
        "reasons": {code: f"{seconds.normalize():f}" for code, seconds in reasons.items() if seconds},
        "odd": any(abs(seconds) > TOLERANCE for code, seconds in reasons.items() if code in ODD),
    }  # fmt: skip


def _counted(usage: ServerUsage) -> Decimal:
    """Nova's hours in seconds; it computes them in floating point, to far less than a microsecond."""
    return (usage.hours * 3600).quantize(Decimal("0.000001")).normalize() + 0


def _seconds(lasted: timedelta) -> Decimal:
    microseconds = (lasted.days * 86400 + lasted.seconds) * 1_000_000 + lasted.microseconds
    return Decimal(microseconds) / 1_000_000
