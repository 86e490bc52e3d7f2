"""How full the cloud is, and when it will be full: a robust line through the days, or an honest "not enough data".

Theil–Sen: the median of the slopes between all pairs of days. A day of tests or a big delivery does not bend it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import combinations
from statistics import median
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from tenants.tables_administration import CAPACITIES, CapacitySample

WINDOW = timedelta(days=90)  # how far back the trend looks
FEWEST_DAYS = 7  # fewer days say nothing about the next months
FARTHEST = 3650  # days; a forecast beyond ten years is none


@dataclass(frozen=True)
class Trend:
    """per_day: how much more is used each day (None: not enough days); days_left: until full (None: it does not fill).

    days: how many days were seen.
    """

    per_day: Decimal | None
    days_left: int | None
    days: int


def theil_sen(points: list[tuple[int, Decimal]]) -> tuple[Decimal, Decimal]:
    """Slope and intercept of the line through (day, used); needs two different days at least."""
    slope = median((b - a) / (after - before) for (before, a), (after, b) in combinations(points, 2) if after != before)
    return slope, median(used - slope * day for day, used in points)


def trend(points: list[tuple[date, Decimal]], room: Decimal, today: date) -> Trend:
    """When `room` will be used up, from what was used each day. Days may be missing; order does not matter."""
    seen = len({day for day, _ in points})
    if seen < FEWEST_DAYS:
        return Trend(None, None, seen)
    slope, base = theil_sen([(day.toordinal(), used) for day, used in points])
    if slope <= 0:
        return Trend(slope, None, seen)
    left = room - max(points)[1]
    if left <= 0:
        return Trend(slope, 0, seen)
    days = int((room - base) / slope) - today.toordinal()
    return Trend(slope, max(days, 0) if days <= FARTHEST else None, seen)


def summary(session: Session, now: datetime) -> list[dict[str, Any]]:
    """For each resource that was sampled: total, reserved, room, used, left (sums over places), at, trend, days.

    days: [(day, used, room)] of the last ninety, oldest first; places: the last sample of each.
    """
    rows = _days(session, now)
    latest = _latest(session)
    shown = []
    for resource in CAPACITIES:
        places = [row for row in latest if row.resource == resource]
        if not places:
            continue
        days = [(row.day, int(row.used), int(row.room)) for row in rows if row.resource == resource]
        room = sum(int(_room(place)) for place in places)
        used = sum(place.used for place in places)
        points = [(day, Decimal(held)) for day, held, _ in days]
        shown.append(
            {
                "resource": resource,
                "at": max(place.at for place in places),
                "total": sum(place.total for place in places),
                "reserved": sum(place.reserved for place in places),
                "room": room,
                "used": used,
                "left": room - used,
                "places": [(place, int(_room(place))) for place in places],
                "days": days,
                "trend": trend(points, Decimal(room), now.date()),
            }
        )
    return shown


def _room(place: CapacitySample) -> Decimal:
    return (place.total - place.reserved) * place.ratio


def _latest(session: Session) -> list[CapacitySample]:
    """The samples of the newest hour of each resource."""
    newest = sa.select(CapacitySample.resource, sa.func.max(CapacitySample.at)).group_by(CapacitySample.resource)
    query = sa.select(CapacitySample).where(sa.tuple_(CapacitySample.resource, CapacitySample.at).in_(newest))
    return list(session.scalars(query.order_by(CapacitySample.resource, CapacitySample.place)))


def _days(session: Session, now: datetime) -> list[Any]:
    """By resource and day, what was used and could be handed out at the last hour that was sampled on that day."""
    lasts = (
        sa.select(CapacitySample.resource, sa.func.max(CapacitySample.at))
        .where(CapacitySample.at > now - WINDOW)
        .group_by(CapacitySample.resource, sa.cast(CapacitySample.at, sa.Date))
    )
    room = (CapacitySample.total - CapacitySample.reserved) * CapacitySample.ratio
    query = (
        sa.select(
            CapacitySample.resource,
            sa.cast(CapacitySample.at, sa.Date).label("day"),
            sa.func.sum(CapacitySample.used).label("used"),
            sa.func.sum(room).label("room"),
        )
        .where(sa.tuple_(CapacitySample.resource, CapacitySample.at).in_(lasts))
        .group_by(CapacitySample.resource, CapacitySample.at)
        .order_by(CapacitySample.resource, CapacitySample.at)
    )
    return list(session.execute(query))
