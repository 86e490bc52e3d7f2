"""The duty that applications count once a day what they hold, for statements that bill it and for those who plan."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial

import sqlalchemy as sa
import structlog
from sqlalchemy.orm import Session

from orchestrator.database import territory_session
from orchestrator.steps import Runtime
from orchestrator.tables import Flow, Service
from orchestrator.tables_usage import MeterSample
from tenants import operations, schedules, starting
from tenants.tables import Offer

log = structlog.get_logger()

FRESH = timedelta(hours=12)  # a count this much before the hour will do: backups of the same night count too


def due(session: Session, at: datetime, hour: int, timezone: str) -> list[int]:
    """The services that have not counted since the last due instant (or not long before), nor been asked to since.

    One that was made since waits for the next: its first hours are its people's.
    """
    instant = schedules.last_due(hour, schedules.EVERY_DAY, at, timezone)
    counted = sa.exists().where(MeterSample.service_id == Service.id, MeterSample.at >= instant - FRESH)
    asked = sa.exists().where(Flow.service_id == Service.id, Flow.kind == "count_service", Flow.queued_at >= instant)
    declared = sa.exists().where(
        Offer.slug == Service.specification["offer"].as_string(),
        Offer.version == Service.specification["offer_version"].as_integer(),
        sa.func.jsonb_array_length(Offer.stack["meters"]) > 0,
    )
    query = sa.select(Service.id).where(
        Service.state == "active",
        Service.delete_after.is_(None),
        Service.created_at < instant,
        declared,
        ~counted,
        ~asked,
    )
    return list(session.scalars(query.order_by(Service.id)))


def ask(session: Session, at: datetime, hour: int, timezone: str) -> list[int]:
    """Queue the counts that are due; the ids of their services. One that is busy waits for the next time."""
    count = partial(operations.ask_for, session, kind="count_service", action="usage.count")
    waiting = due(session, at, hour, timezone)
    return [service_id for service_id in waiting if starting.unless_busy(session, partial(count, service_id))]


def run(runtime: Runtime) -> None:
    """The duty."""
    settings = runtime.settings
    with territory_session(runtime.engine, f"worker {settings.worker_id}") as session:
        asked = ask(session, datetime.now(UTC), settings.usage_hour, settings.timezone)
    if asked:
        log.info("usage asked for", services=asked)
