"""Our server-hours beside the cloud's own figures: what proves to a payer that the meter is right."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

import sqlalchemy as sa
from sqlalchemy.orm import Session

from tenants import metering

HOUR = Decimal(3600)
# (server id, started, ended or None while it runs), as os-simple-tenant-usage tells them.
Told = tuple[str, datetime, datetime | None]


@dataclass(frozen=True)
class Row:
    """Hours of one server in the window, ours and the cloud's; running_since: None once it is deleted."""

    server: str
    ours: Decimal
    cloud: Decimal
    difference: Decimal
    running_since: datetime | None


# The last launch: to Nova a resize or a rebuild is a new beginning, and it forgets the hours before.
OURS = """
SELECT r.cloud_id, max(e.at) FILTER (WHERE e.kind = 'launched') AS since,
    min(e.at) FILTER (WHERE e.kind = 'deleted') AS until
FROM resources r JOIN resource_events e ON e.resource_id = r.id
WHERE r.kind = 'server' AND NOT starts_with(r.cloud_id, :prefix) GROUP BY r.id
"""


def compare(session: Session, told: Iterable[Told], start: datetime, end: datetime) -> list[Row]:
    """Every server that either side counts between `start` and `end`, by id; difference = ours - cloud, in hours."""
    # In UTC: the difference of two local times forgets the hour that a clock change adds.
    start, end = start.astimezone(UTC), end.astimezone(UTC)
    rows = session.execute(sa.text(OURS), {"prefix": metering.SAMPLE_PREFIX}).all()
    ours = {server: (since, until) for server, since, until in rows if since is not None}
    theirs = {server: (since, until) for server, since, until in told}
    compared = []
    for server in sorted(ours.keys() | theirs.keys()):
        mine, cloud = (_hours(side.get(server), start, end) for side in (ours, theirs))
        since, until = ours.get(server) or theirs[server]
        if mine or cloud:
            compared.append(Row(server, mine, cloud, mine - cloud, since if until is None else None))
    return compared


def _hours(life: tuple[datetime, datetime | None] | None, start: datetime, end: datetime) -> Decimal:
    if life is None:
        return Decimal(0)
    lasted = min(life[1] or end, end) - max(life[0], start)
    microseconds = (lasted.days * 86400 + lasted.seconds) * 1_000_000 + lasted.microseconds
    return max(Decimal(0), Decimal(microseconds) / 1_000_000 / HOUR)
