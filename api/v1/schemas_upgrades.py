"""What the API says of planned upgrades and of windows of maintenance."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any

from pydantic import Field

from api.v1.schemas import Cut, Flag, Given, Id, PlainText, Slug, Taken, words
from api.v1.schemas_services import Hour, Weekday
from tenants.tables_upgrades import PLAN_STATES
from tenants.upgrades_planned import LONGEST_REASON
from tenants.windows import LONGEST


class PlansQuery(Cut):
    """open: only what is planned or under way."""

    open: bool = False


class PlanIn(Taken):
    """offer: an application of the catalogue; day: not before it; dry_run: say what and when, write nothing."""

    offer: Slug
    day: date | None = None
    dry_run: Flag = False


class PostponeIn(Taken):
    """Why, which the DSI reads."""

    reason: Annotated[PlainText, Field(min_length=1, max_length=LONGEST_REASON, examples=["Scrutin municipal"])]


class PlannedOut(Given):
    """An upgrade that is planned. id: null in a dry run; running: the version that the service has; brings: newest
    first; told_at: when its member was told; said: the code of what prevented it last, or of why it ended.
    """

    id: int | None
    service_id: Id
    name: str
    member: Slug
    running: str | None
    version: str
    brings: list[dict[str, Any]]
    state: Annotated[str, words(PLAN_STATES)]
    starts_at: datetime
    ends_at: datetime
    told_at: datetime | None
    postponed_at: datetime | None
    reason: str | None
    said: str | None
    flow_id: int | None
    ended_at: datetime | None


class WindowIn(Taken):
    """The weekdays (1 Monday … 7), the local hour when it opens and for how many hours."""

    weekdays: list[Weekday] = Field(min_length=1, max_length=7, examples=[[2, 4]])
    hour: Hour = Field(examples=[21])
    hours: Annotated[int, Field(strict=True, ge=1, le=LONGEST, examples=[4])]


class WindowOut(Given):
    """A member's window; own: chosen by it, else the territory's; next_starts_at, next_ends_at: the next one."""

    weekdays: list[int]
    hour: int
    hours: int
    own: bool
    next_starts_at: datetime
    next_ends_at: datetime
