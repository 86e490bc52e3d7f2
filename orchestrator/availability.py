"""How often applications answer, asked from outside: by their names, through the entry, over TLS.

Each is asked once in every stretch of `availability_seconds` while the entry and its service run and nothing is being
done to it; what was seen is counted by local day.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from orchestrator import entry, readiness
from orchestrator.database import territory_session
from orchestrator.readiness import Seen
from orchestrator.settings import Settings
from orchestrator.steps import Runtime
from orchestrator.tables import FLOW_LIVE, Flow, Member, Service
from orchestrator.tables_entry import Availability

AT_ONCE = 8  # addresses that are asked at the same time
WEB_PATH = Service.specification["stack"]["web"]["path"].as_string()
# It runs, and no operation makes it unreachable: some leave its state as it is.
UNDISTURBED = (Service.state == "active") & ~sa.exists().where(Flow.service_id == Service.id, Flow.state.in_(FLOW_LIVE))


@dataclass(frozen=True)
class Asked:
    """An application to be asked."""

    service_id: int
    member_id: int
    host: str
    path: str


def watch(runtime: Runtime) -> None:
    """The duty."""
    ask(runtime, datetime.now(UTC))


def ask(runtime: Runtime, at: datetime) -> None:
    """Ask those whose turn it is, and count what they answer. No transaction is open while they are asked."""
    with territory_session(runtime.engine, "availability", reads=True) as session:
        found = entry.find(session)
        asked = due(session, runtime.settings, found.domain, at) if found and found.state == "active" else []
    if not found or not asked:
        return
    with ThreadPoolExecutor(AT_ONCE) as pool:
        seen = list(pool.map(lambda one: readiness.ask_url(found.address, one.host, found.authority, one.path), asked))
    with territory_session(runtime.engine, "availability") as session:
        for one, answer in zip(asked, seen, strict=True):
            count(session, runtime.settings, one, answer, at)


def begun(settings: Settings, at: datetime) -> datetime:
    """When the present stretch began."""
    return at - timedelta(seconds=at.timestamp() % settings.availability_seconds)


def due(session: Session, settings: Settings, domain: str, at: datetime) -> list[Asked]:
    """The applications that run since before this stretch, and that nobody has asked in it."""
    since = begun(settings, at)
    known = sa.select(Availability.service_id).where(
        Availability.service_id == Service.id, Availability.asked_at >= since
    )
    query = (
        sa.select(Service.id, Service.member_id, Service.name, Member.slug, WEB_PATH.label("path"))
        .join(Member, Member.id == Service.member_id)
        .where(entry.WEB_PORT.is_not(None), UNDISTURBED, Service.changed_at < since, ~known.exists())
        .order_by(Service.id)
    )
    return [
        Asked(row.id, row.member_id, entry.host(row.name, row.slug, domain), row.path) for row in session.execute(query)
    ]


def count(session: Session, settings: Settings, asked: Asked, seen: Seen, at: datetime) -> None:
    """Add an answer to its day, unless another worker's for this stretch came before.

    Nothing is added either when an operation has begun while it was asked.
    """
    if not session.scalar(sa.select(UNDISTURBED).where(Service.id == asked.service_id)):
        return
    good = seen.said is None
    row: dict[str, Any] = {
        "service_id": asked.service_id, "member_id": asked.member_id, "asked": 1, "answered": int(good),
        "day": at.astimezone(ZoneInfo(settings.timezone)).date(), "asked_at": at, "good": good, "said": seen.said,
        "certificate_until": seen.certificate_until,
    }  # fmt: skip
    made = insert(Availability).values(**row)
    added = {name: getattr(Availability, name) + row[name] for name in ("asked", "answered")}
    newest = {name: row[name] for name in ("asked_at", "good", "said", "certificate_until")}
    session.execute(
        made.on_conflict_do_update(
            index_elements=["service_id", "day"], set_=added | newest,
            where=Availability.asked_at < begun(settings, at),
        )
    )  # fmt: skip
