"""The duty that corrects the ledger by the cloud: what was done behind our back, since the moment the cloud says.

Project by project: read the ledger, read the cloud (no transaction meanwhile), write what is lacking. Facts are only
added, with the source `reconcile`. What a live flow works on is left to it, and what carries our tag but has no row to
the sweeper; all else that nobody ordered becomes a service of the state `outside`, which is metered for its member.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from orchestrator import audit, cloud_history, events, facts, outsiders, services
from orchestrator.cloud import Cloud
from orchestrator.cloud_history import Act, Found
from orchestrator.database import territory_session
from orchestrator.errors import ClocherError
from orchestrator.events import Size
from orchestrator.facts import Fact
from orchestrator.steps import Runtime
from orchestrator.tables import Flow, Member, Place, Resource, ResourceEvent, Service
from orchestrator.tables_reconcile import CloudReading

log = structlog.get_logger()

ACTOR = "cloud"
SOURCE = "reconcile"
OVERLAP = timedelta(minutes=10)  # read twice, for clocks that differ and what Nova writes late
AROUND = timedelta(minutes=1)  # of a flow: what our account does then, the flow does
METERED = ("server", "volume", "volume_snapshot", "floating_ip", "image")
SETTLED = ("active", "stopped", "outside", "deleted")  # of all other services a flow will tell, or nothing is billed


Key = tuple[str, str]  # kind and id of a thing


@dataclass(frozen=True)
class Known:
    """A thing of a project that has a row, as it was before the cloud was read."""

    id: int
    service_id: int
    state: str
    ledger: list[Fact]

    @property
    def by_hand(self) -> bool:
        """Nobody ordered it."""
        return self.state == "outside"


@dataclass(frozen=True)
class Told:
    """What there was to know before, and what the cloud said of one project.

    since: what was done before was judged by an earlier comparison; me: our account there.
    """

    member_id: int
    began: datetime
    since: datetime
    read_until: datetime | None
    me: str
    known: Mapping[Key, Known]
    found: dict[Key, Found] = field(default_factory=dict)
    acts: dict[str, list[Act]] = field(default_factory=dict)


def run(runtime: Runtime) -> list[int]:
    """Compare each member's project whose time has come; the members' ids."""
    minutes, done = runtime.settings.cloud_reading_minutes, list[int]()
    if not minutes:
        forget(runtime.engine)
        return done
    while (member_id := claim(runtime.engine, timedelta(minutes=minutes))) is not None:
        try:
            compare(runtime, member_id)
            done.append(member_id)
        except ClocherError as error:
            log.warning("project not compared", member=member_id, code=error.code, detail=error.detail)
    return done


def forget(engine: sa.Engine) -> None:
    """The duty is off: months close without it."""
    with territory_session(engine, ACTOR) as session:
        session.execute(sa.delete(CloudReading))


def claim(engine: sa.Engine, every: timedelta) -> int | None:
    """The member who waits longest for a comparison, which is now ours to make; None when all are fresh."""
    with territory_session(engine, ACTOR) as session:
        _know_places(session)
        due = CloudReading.tried_at.is_(None) | (CloudReading.tried_at < datetime.now(UTC) - every)
        oldest = sa.select(CloudReading).where(due).order_by(CloudReading.tried_at.nulls_first()).limit(1)
        row = session.scalar(oldest.with_for_update(skip_locked=True))
        if row is None:
            return None
        row.tried_at = datetime.now(UTC)
        return row.member_id


def members(engine: sa.Engine) -> list[int]:
    """Everybody whose project can be compared, whenever that was last done."""
    with territory_session(engine, ACTOR) as session:
        _know_places(session)
        return list(session.scalars(sa.select(CloudReading.member_id).order_by(CloudReading.member_id)))


def _know_places(session: Session) -> None:
    placed = sa.select(Place.member_id).join(Member, Member.id == Place.member_id).where(Member.state == "active")
    session.execute(insert(CloudReading).from_select(["member_id"], placed).on_conflict_do_nothing())
    session.execute(sa.delete(CloudReading).where(CloudReading.member_id.not_in(placed)))


def compare(runtime: Runtime, member_id: int) -> int:
    """Compare one member's project with the ledger; how many facts that added. A failure is kept, and raised."""
    began = datetime.now(UTC)
    project_id = ""
    try:
        me = cloud_history.account_id(runtime.cloud)
        with territory_session(runtime.engine, ACTOR) as session:
            reading, place = session.get_one(CloudReading, member_id), session.get_one(Place, member_id)
            since, project_id = reading.changed_since or place.applied_at, place.project_id
            told = Told(member_id, began, since, reading.read_until, me, look_up(session, member_id, since))
        read(told, runtime.cloud.project(project_id), project_id)
        with territory_session(runtime.engine, ACTOR) as session:
            return write(session, told)
    except ClocherError as error:
        runtime.cloud.forget(project_id)
        with territory_session(runtime.engine, ACTOR) as session:
            session.get_one(CloudReading, member_id).error_code = error.code
        raise


def look_up(session: Session, member_id: int, since: datetime, keys: Collection[Key] | None = None) -> dict[Key, Known]:
    """A member's things as the ledger has them: those that live, and servers that are gone since an instant, of which
    something may be lacking. keys: these only, gone or not.
    """
    lately = (Resource.kind == "server") & (Resource.deleted_at >= since)
    chosen: sa.ColumnElement[bool] = Resource.deleted_at.is_(None) | lately
    if keys is not None:
        chosen = sa.tuple_(Resource.kind, Resource.cloud_id).in_(keys)
    rows = session.execute(
        sa.select(Resource, Service.state)
        .join(Service, Service.id == Resource.service_id)
        .where(Resource.member_id == member_id, Resource.kind.in_(METERED), chosen)
    ).all()
    told: dict[int, list[Fact]] = {resource.id: [] for resource, _state in rows}
    written = sa.select(ResourceEvent).where(ResourceEvent.resource_id.in_(told))
    for event in session.scalars(written.order_by(ResourceEvent.at, ResourceEvent.id)):
        size = Size(event.vcpus, event.ram_mib, event.disk_gib)
        told[event.resource_id].append(Fact(event.kind, event.at, size))
    return {
        (resource.kind, resource.cloud_id): Known(resource.id, resource.service_id, state, told[resource.id])
        for resource, state in rows
    }


def read(told: Told, project: Cloud, project_id: str) -> None:
    """Ask the cloud for all there is, what changed, and what was done to servers that changed or that we don't know."""
    for thing in cloud_history.list_things(project, project_id):
        told.found[thing.kind, thing.id] = thing
    changed = {thing.id: thing for thing in cloud_history.list_changed(project, told.since)}
    for thing in changed.values():
        if thing.deleted_at or ("server", thing.id) in told.found:
            told.found["server", thing.id] = thing
    for kind, thing_id in told.found:
        if kind == "server" and (thing_id in changed or (kind, thing_id) not in told.known):
            told.acts[thing_id] = cloud_history.list_acts(project, thing_id)
    for kind, thing_id in told.known.keys() - told.found.keys():
        if not cloud_history.is_there(project, kind, thing_id):
            told.found[kind, thing_id] = Found(
                kind, thing_id, "", "DELETED", None, None, None, deleted_at=told.read_until or told.began
            )


def write(session: Session, told: Told) -> int:
    """Add what is lacking, with its audit entries, and say until when the project is read; how many facts."""
    whole, added = True, 0
    reading = session.get_one(CloudReading, told.member_id, with_for_update=True)
    flows, now = flows_since(session, told.member_id, told.since), look_up(session, told.member_id, told.since)
    for key, found in told.found.items():
        known = told.known.get(key)
        if known is None:
            added += _unknown(session, told, found)
        # What was written since the ledger was read (by a notification) the cloud may not have said yet.
        elif known != now.get(key) or known.state not in SETTLED or _busy(flows.get(known.service_id, []), told.began):
            whole = False
        else:
            own = flows.get(known.service_id, [])
            acts = [act for act in told.acts.get(found.id, []) if act.at >= told.since and not ours(act, told.me, own)]
            lacking = facts.lacking(found, acts, known.ledger, by_hand=known.by_hand)
            added += tell(session, found, known, lacking, SOURCE)
    reading.read_until, reading.error_code = max(told.began, reading.read_until or told.began), None
    if whole:
        reading.changed_since = told.began - OVERLAP
    return added


Times = tuple[datetime | None, datetime | None]


def flows_since(session: Session, member_id: int, since: datetime) -> dict[int, list[Times]]:
    """When flows worked on each of a member's services since an instant: from, until (None: it still may)."""
    lately = Flow.ended_at.is_(None) | (Flow.ended_at > since - AROUND)
    query = sa.select(Flow.service_id, Flow.started_at, Flow.ended_at).where(Flow.member_id == member_id, lately)
    found: dict[int, list[Times]] = {}
    for service_id, start, end in session.execute(query):
        found.setdefault(service_id, []).append((start, end))
    return found


def _busy(flows: Sequence[Times], began: datetime) -> bool:
    """Whether a flow worked on the service since the ledger was read, or still does."""
    return any(end is None or end >= began for _start, end in flows)


def ours(act: Act, me: str | None, flows: Sequence[Times]) -> bool:
    """Whether one of the service's flows did it: our account (`me`; None: whoever), while a flow ran."""
    during = any(start and end and start - AROUND <= act.at <= end + AROUND for start, end in flows)
    return during and me in (None, act.by)


def _unknown(session: Session, told: Told, found: Found) -> int:
    """What has no row: made by hand, unless it was once ours, carries a tag, or our account made it."""
    acts = told.acts.get(found.id, [])
    made = [act for act in acts if act.name == "create"]
    if found.tag or any(act.by == told.me for act in made):
        return 0
    known = adopt(session, told.member_id, found, made[0].by if made else None)
    return tell(session, found, known, facts.lacking(found, acts, [], by_hand=True), SOURCE) if known else 0


def adopt(session: Session, member_id: int, found: Found, by: str | None) -> Known | None:
    """Make a service of what nobody ordered; None as long as it does not serve, or when it was once ours."""
    served = found.launched_at if found.kind == "server" else found.created_at
    if served is None or session.scalar(sa.select(Resource.id).filter_by(kind=found.kind, cloud_id=found.id)):
        return None
    return Known(*outsiders.make(session, member_id, found, by), "outside", [])


def tell(session: Session, found: Found, known: Known, lacking: Sequence[Fact], source: str) -> int:
    """Write facts that the ledger lacks; how many. When Nova dates a launch anew that is no news for people."""
    for fact in lacking:
        if fact.kind == "deleted":
            events.record_deletion(session, found.kind, found.id, fact.at, source=source)
        else:
            events.record_event(session, known.id, fact.kind, fact.at, size=fact.size, source=source)
    news = [{"kind": fact.kind, "at": fact.at.isoformat()} for fact in lacking if fact.kind != "launched"]
    if news and known.ledger:
        detail: dict[str, Any] = {"resource": found.kind, "cloud_id": found.id, "facts": news}
        member_id = session.get_one(Service, known.service_id).member_id
        audit.record(session, "cloud.corrected", f"service {known.service_id}", member_id=member_id, detail=detail)
    if known.by_hand and any(fact.kind == "deleted" for fact in lacking):
        services.change_state(session, known.service_id, "deleted", datetime.now(UTC))
    return len(lacking)
