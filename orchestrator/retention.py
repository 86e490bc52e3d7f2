"""What of all that was taken again and again is kept: snapshots and backups alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo


def superfluous(
    taken: Sequence[tuple[int, datetime]], daily: int, weekly: int, monthly: int, timezone: str
) -> list[int]:
    """Which of what was taken (id, instant) need not be kept, oldest first; never the newest.

    Kept are the newest one of each of the last so many local days, weeks (ISO) and months that have one.
    """
    newest_first = sorted(taken, key=lambda one: one[1], reverse=True)
    zone = ZoneInfo(timezone)
    units: list[tuple[int, Callable[[datetime], object]]] = [
        (daily, lambda due: due.astimezone(zone).date()),
        (weekly, lambda due: due.astimezone(zone).isocalendar()[:2]),
        (monthly, lambda due: (due.astimezone(zone).year, due.astimezone(zone).month)),
    ]
    kept = {one[0] for one in newest_first[:1]}
    for count, unit_of in units:
        newest: dict[object, int] = {}
        for taken_id, due in newest_first:
            newest.setdefault(unit_of(due), taken_id)
        kept |= set(list(newest.values())[:count])
    return [taken_id for taken_id, _ in reversed(newest_first) if taken_id not in kept]
