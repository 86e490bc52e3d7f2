"""A past month of invented use, so that a new installation can show a closed statement. Marked as a sample everywhere.

The same month and members give the same events. They go through the same metering, rating and sharing as real ones;
their cloud ids begin with `sample-`, which keeps them out of every real period.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator import audit
from orchestrator.errors import Conflict, NotFound, Text
from orchestrator.tables import Member, Resource, ResourceEvent, Service
from tenants import periods
from tenants.finance import Sharing
from tenants.metering import SAMPLE_PREFIX
from tenants.tables import Period

# What members of each kind run: name, vCPUs, RAM in MiB, volume in GiB, public address, stopped at night.
RUNS = {
    "commune": (
        ("site", 1, 2048, 20, True, False),
        ("etat-civil", 2, 4096, 40, False, False),
        ("ecoles", 2, 4096, 0, True, True),
        ("mediatheque", 1, 1024, 50, False, False),
        ("videoprotection", 4, 8192, 200, False, False),
    ),
    "company": (("atelier", 2, 4096, 30, True, True),),
    "other": (("bureautique", 2, 4096, 50, False, False), ("teleservices", 2, 2048, 20, True, False)),
}
SMALL = 2000  # inhabitants below which a commune runs only the first two


def build(session: Session, label: str, declared: Sharing, now: datetime, timezone: str) -> Period:
    """Invent the month `label` for the active members, then draft it; if it exists as a sample it is only redrafted.

    A sample that is closed is returned as it is. Raises Conflict period_is_real, sample_not_past or month_in_use,
    NotFound no_member.
    """
    period = session.scalars(sa.select(Period).where(Period.label == label)).one_or_none()
    if period is not None and period.state == "closed" and period.sample:
        return period
    during = periods.bounds(label, timezone)
    assert during.lower and during.upper
    if period is None:
        if during.upper > now:
            raise Conflict(
                "sample_not_past", Text("{month} n’est pas passé.", month=label), "Choisissez un mois passé."
            )
        # In UTC: adding hours to a local time is wrong in the months when the clock changes.
        start, end = during.lower.astimezone(UTC), during.upper.astimezone(UTC)
        _refuse_real_use(session, label, start, end)
        _invent(session, label, start, end)
    return periods.draft(session, label, declared, now, timezone, sample=True)


def _refuse_real_use(session: Session, label: str, start: datetime, end: datetime) -> None:
    real = (
        sa.select(ResourceEvent.id)
        .join(Resource)
        .where(ResourceEvent.at < end, ~Resource.cloud_id.startswith(SAMPLE_PREFIX), _lived_after(start))
    )
    if session.scalar(sa.select(real.exists())):
        raise Conflict(
            "month_in_use",
            Text("De vrais services ont fonctionné en {month}.", month=label),
            "Choisissez un mois antérieur.",
        )


def _lived_after(start: datetime) -> sa.ColumnElement[bool]:
    return sa.or_(Resource.deleted_at.is_(None), Resource.deleted_at > start)


def _invent(session: Session, label: str, start: datetime, end: datetime) -> None:
    members = session.scalars(sa.select(Member).where(Member.state == "active").order_by(Member.siret)).all()
    if not members:
        raise NotFound("no_member", "Aucun membre n’est déclaré.", "Lancez « clocher members apply ».")
    for member in members:
        runs = RUNS.get(member.kind, RUNS["other"])
        if member.kind == "commune" and (member.population or 0) < SMALL:
            runs = runs[:2]
        # Chance of its own for each member: adding one changes nothing for the others.
        chance = random.Random(f"{label}/{member.slug}")  # noqa: S311  (a sample needs repeatable chance)
        for run in runs:
            _invent_service(session, label, member, run, start, end, chance)
    audit.record(session, "sample.invent", f"period {label}", detail={"members": len(members)})


def _invent_service(
    session: Session,
    label: str,
    member: Member,
    run: tuple[str, int, int, int, bool, bool],
    start: datetime,
    end: datetime,
    chance: random.Random,
) -> None:
    name, vcpus, ram_mib, disk_gib, public, nightly = run
    made = start + timedelta(microseconds=chance.randrange(5 * 86_400_000_000))
    gone = end - timedelta(microseconds=chance.randrange(1, 3 * 86_400_000_000))
    # It is over before anybody sees it: written as deleted, no flow ever runs on it.
    service = Service(
        ref=uuid5(NAMESPACE_URL, f"clocher:sample/{label}/{member.siret}/{name}"), member_id=member.id,
        name=f"exemple-{name}", specification={"sample": True}, state="deleted", created_at=made, changed_at=gone,
    )  # fmt: skip
    session.add(service)
    session.flush()
    sizes = {"vcpus": vcpus, "ram_mib": ram_mib}
    ready = made + timedelta(seconds=40 + chance.randrange(60))
    server = [("launched", made, sizes), ("serving", ready, sizes)]
    server += _nights(made, gone, sizes) if nightly else _growth(made, gone, sizes, chance)
    _add(session, service, "server", [*server, ("deleted", gone, server[-1][2])])
    if disk_gib:
        _add(session, service, "volume", [(kind, at, {"disk_gib": disk_gib}) for kind, at in _life(made, gone)])
    if public:
        _add(session, service, "floating_ip", [(kind, at, {}) for kind, at in _life(made, gone)])


Event = tuple[str, datetime, dict[str, int]]


def _life(made: datetime, gone: datetime) -> list[tuple[str, datetime]]:
    return [("created", made), ("deleted", gone)]


def _nights(made: datetime, gone: datetime, sizes: dict[str, int]) -> list[Event]:
    """Stopped from 19:00 to 07:00 UTC."""
    events: list[Event] = []
    evening = made.replace(hour=19, minute=0, second=0, microsecond=0) + timedelta(days=1)
    while evening + timedelta(hours=12) < gone:
        events += [("stopped", evening, sizes), ("started", evening + timedelta(hours=12), sizes)]
        evening += timedelta(days=1)
    return events


def _growth(made: datetime, gone: datetime, sizes: dict[str, int], chance: random.Random) -> list[Event]:
    """One in four grows once."""
    if chance.randrange(4):
        return []
    at = made + (gone - made) * chance.randrange(20, 80) / 100
    return [("resized", at, {name: size * 2 for name, size in sizes.items()})]


def _add(session: Session, service: Service, kind: str, events: list[Event]) -> None:
    resource = Resource(
        member_id=service.member_id, service_id=service.id, kind=kind, cloud_id=f"{SAMPLE_PREFIX}{kind}-{service.ref}",
        created_at=events[0][1], deleted_at=events[-1][1],
    )  # fmt: skip
    session.add(resource)
    session.flush()
    rows: list[dict[str, Any]] = [
        {"resource_id": resource.id, "member_id": service.member_id, "kind": told, "at": at,
         **dict.fromkeys(("vcpus", "ram_mib", "disk_gib")), **sizes}
        for told, at, sizes in events
    ]  # fmt: skip
    session.execute(sa.insert(ResourceEvent), rows)
