"""What the cloud tells of itself makes the ledger know sooner; the hourly comparison stays its warrant.

Notifications are kept (once each, by their id), then judged thing by thing: all that is kept of a thing, in the order
of its moments and not of its arrival, makes the facts that the comparison would have made, with the source
`notification`. What a flow works on waits for its end; what tells of a flow's own act adds nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from pydantic import TypeAdapter
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from orchestrator import cloud_history, cloud_notifications, facts, reconcile
from orchestrator.cloud_notifications import Notification
from orchestrator.database import territory_session
from orchestrator.facts import Fact
from orchestrator.reconcile import ACTOR, Key, Known, Times
from orchestrator.steps import Runtime
from orchestrator.tables import Place
from orchestrator.tables_reconcile import CloudFeed, CloudNotification, CloudReading

SOURCE = "notification"
KEPT = timedelta(days=2)  # what comes later than that the comparison has long seen
SAVED = TypeAdapter(Notification)


def keep(session: Session, kind: str, messages: Iterable[Mapping[str, Any]], now: datetime) -> int:
    """Write down what messages tell of the members' projects, and that the feed of this kind was read; how many are
    new. A message told again is one."""
    told = [one for one in map(cloud_notifications.read, messages) if one and one.act.at > now - KEPT]
    found = sa.select(Place.project_id, Place.member_id).where(Place.project_id.in_({one.project_id for one in told}))
    members = dict(session.execute(found).all())
    rows = [
        {
            "id": one.id, "member_id": members[one.project_id], "kind": one.found.kind, "cloud_id": one.found.id,
            "at": one.act.at, "told": SAVED.dump_python(one, mode="json"),
        }
        for one in told if one.project_id in members
    ]  # fmt: skip
    feed = insert(CloudFeed).values(kind=kind, read_at=now, last_at=max((one.act.at for one in told), default=None))
    newest = sa.func.greatest(CloudFeed.last_at, feed.excluded.last_at)
    feed = feed.on_conflict_do_update(index_elements=["kind"], set_={"read_at": now, "last_at": newest})
    session.execute(feed)
    if not rows:
        return 0
    kept = insert(CloudNotification).values(rows).on_conflict_do_nothing().returning(CloudNotification.id)
    return len(session.scalars(kept).all())


def judge(runtime: Runtime) -> int:
    """Add to the ledger what the kept notifications tell; how many facts. Members one by one."""
    with territory_session(runtime.engine, ACTOR) as session:
        old = CloudNotification.read_at < datetime.now(UTC) - KEPT
        session.execute(sa.delete(CloudNotification).where(old))
        members = sorted(session.scalars(sa.select(CloudNotification.member_id).where(WAITING).distinct()))
    if not members:
        return 0
    me, added = cloud_history.account_id(runtime.cloud), 0
    for member_id in members:
        with territory_session(runtime.engine, ACTOR) as session:
            added += judge_member(session, member_id, me)
    return added


WAITING = CloudNotification.judged_at.is_(None)


def judge_member(session: Session, member_id: int, me: str) -> int:
    """Judge the things of a member of which there is news, while nobody compares its project. me: our account."""
    if session.get(CloudReading, member_id, with_for_update=True) is None:
        return 0
    added, things = 0, _news(session, member_id)
    if not things:
        return 0
    since = min(told[0].act.at for told in things.values())
    known = reconcile.look_up(session, member_id, since, list(things))
    flows = reconcile.flows_since(session, member_id, since)
    for key, told in things.items():
        one = known.get(key)
        count = _tell(session, told, one, flows.get(one.service_id, []), me) if one else _unknown(session, told, me)
        if count is None:
            continue
        added += count
        done = sa.update(CloudNotification).where(CloudNotification.id.in_([each.id for each in told]), WAITING)
        session.execute(done.values(judged_at=sa.func.now()))
    return added


def _news(session: Session, member_id: int) -> dict[Key, list[Notification]]:
    """All that is kept of the things of which something was not judged yet, in the order of its moments."""
    one = CloudNotification
    news = sa.select(one.kind, one.cloud_id).where(one.member_id == member_id, WAITING)
    rows = sa.select(one.told).where(one.member_id == member_id, sa.tuple_(one.kind, one.cloud_id).in_(news))
    things: dict[Key, list[Notification]] = {}
    for row in session.scalars(rows.order_by(one.at, one.id)):
        told = SAVED.validate_python(row)
        things.setdefault((told.found.kind, told.found.id), []).append(told)
    return things


def _tell(session: Session, told: Sequence[Notification], known: Known, flows: Sequence[Times], me: str) -> int | None:
    """Add what the ledger lacks of a thing; None when that can't be said yet, as a flow may be about to."""
    if known.state not in reconcile.SETTLED or any(end is None for _start, end in flows):
        return None
    foreign = [
        one for one in told if not reconcile.ours(one.act, me if one.found.kind == "server" else None, flows)
    ]  # fmt: skip
    new = lacking(foreign, known.ledger, by_hand=known.by_hand)
    return reconcile.tell(session, told[-1].found, known, new, SOURCE)


def lacking(told: Sequence[Notification], ledger: Sequence[Fact], *, by_hand: bool) -> list[Fact]:
    """The facts that a thing's ledger lacks by what was told of it, which is in the order of its moments."""
    before, found = list(ledger), list[Fact]()
    for one in told:
        new = facts.lacking(one.found, [one.act], before, by_hand=by_hand, until=one.act.at)
        before = sorted([*before, *new], key=lambda fact: fact.at)
        found += new
    return found


def _unknown(session: Session, told: Sequence[Notification], me: str) -> int | None:
    """What has no row and was made by somebody is a service of its member. A flow's own has its row soon; of what was
    not told to be made, the comparison knows more."""
    made = next((one for one in told if one.act.name == "create"), None)
    if made is None or made.found.tag or made.act.by == me:
        return None
    member_id = session.scalar(sa.select(Place.member_id).where(Place.project_id == made.project_id))
    known = reconcile.adopt(session, member_id, made.found, made.act.by) if member_id else None
    return _tell(session, told, known, [], me) if known else None
