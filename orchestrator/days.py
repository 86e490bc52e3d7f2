"""The civil day: what the law ends on a day ends with the French day, in winter (UTC+1) as in summer (UTC+2)."""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

PARIS = ZoneInfo("Europe/Paris")


def day_of(at: datetime) -> date:
    """The French day on which an instant falls."""
    return at.astimezone(PARIS).date()
