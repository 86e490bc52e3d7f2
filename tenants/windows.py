"""Windows of maintenance: the weekdays and hours in which a member lets its applications be upgraded.

Local time. A window ends when the clock shows its last hour: on the days when the clock changes it is an hour longer or
shorter, and one that would have no length is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy.orm import Session

from orchestrator import audit
from orchestrator.errors import InvalidInput, Text
from tenants import reading, schedules
from tenants.declarations_yaml import BrokenYaml, load_yaml
from tenants.tables_upgrades import MaintenanceWindow

FILE = Path("operations") / "maintenance.yaml"
LONGEST = 12  # hours


class Window(BaseModel):
    """weekdays: 1 (Monday) to 7; hour: when it opens, 0 to 23; hours: for how long, into the next day if need be."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    weekdays: tuple[int, ...] = Field((2, 4), min_length=1, max_length=7)
    hour: int = Field(21, ge=0, le=23)
    hours: int = Field(4, ge=1, le=LONGEST)


@dataclass(frozen=True)
class Chosen:
    """A member's window; own: it chose it, else it is the territory's."""

    window: Window
    own: bool


def default(territory: Path) -> Window:
    """The territory's, as its folder declares it. Raises InvalidInput invalid_window."""
    path = territory / FILE
    if not path.is_file():
        return Window()
    try:
        declared = Window.model_validate(load_yaml(path.read_text()) or {})
        return _checked(declared.weekdays, declared.hour, declared.hours)
    except (ValidationError, BrokenYaml) as error:
        raise InvalidInput(
            "invalid_window",
            Text("{path} est refusé : {why}", path=str(path), why=str(error).splitlines()[0]),
            "Corrigez ce fichier.",
            detail=str(error),
        ) from error


def of(session: Session, member_id: int, territory: Path) -> Chosen:
    """A member's window."""
    row = session.get(MaintenanceWindow, member_id)
    if row is None:
        return Chosen(default(territory), own=False)
    return Chosen(Window(weekdays=tuple(row.weekdays), hour=row.hour, hours=row.hours), own=True)


def put(session: Session, member: str, at: datetime, *, weekdays: Sequence[int], hour: int, hours: int) -> int:
    """Give a member (by slug) its own window; its id. Raises unknown_member, InvalidInput invalid_window."""
    wanted = _checked(weekdays, hour, hours)
    member_id = reading.member(session, member).id
    row = session.get(MaintenanceWindow, member_id) or MaintenanceWindow(member_id=member_id)
    row.weekdays, row.hour, row.hours = list(wanted.weekdays), wanted.hour, wanted.hours
    row.changed_by, row.changed_at = session.info["actor"], at
    session.add(row)
    session.flush()
    audit.record(session, "window.put", f"member {member}", member_id=member_id, detail=wanted.model_dump(mode="json"))
    return member_id


def remove(session: Session, member: str) -> int:
    """Give a member the territory's window again; its id. Raises unknown_member."""
    member_id = reading.member(session, member).id
    row = session.get(MaintenanceWindow, member_id)
    if row is not None:
        session.delete(row)
        session.flush()
        audit.record(session, "window.remove", f"member {member}", member_id=member_id)
    return member_id


def _checked(weekdays: Sequence[int], hour: int, hours: int) -> Window:
    days = tuple(sorted(set(weekdays)))
    if not days or not set(days) <= set(schedules.EVERY_DAY) or not 0 <= hour <= 23 or not 1 <= hours <= LONGEST:
        raise InvalidInput(
            "invalid_window",
            Text("Il faut au moins un jour, une heure de 0 à 23 et une durée de 1 à {most} heures.", most=LONGEST),
            "Corrigez la plage de maintenance.",
        )
    return Window(weekdays=days, hour=hour, hours=hours)


def opening(window: Window, since: datetime, timezone: str) -> tuple[datetime, datetime]:
    """The first window that begins at `since` or later: its instants, in UTC."""
    today = since.astimezone(ZoneInfo(timezone)).date()
    for ahead in range(16):  # the clock can take one week's away
        day = today + timedelta(days=ahead)
        days, hour = divmod(window.hour + window.hours, 24)
        begins = schedules.due_on(day, window.hour, timezone)
        ends = schedules.due_on(day + timedelta(days=days), hour, timezone)
        if day.isoweekday() in window.weekdays and begins >= since and ends > begins:
            return begins, ends
    raise ValueError("no weekday")
