"""What the API says of how the ledger compares with the cloud."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from api.v1.schemas import Given


class ReadingOut(Given):
    """Until when a member's project was compared with the ledger. error_code: why the last comparison failed."""

    member: str
    read_until: datetime | None
    tried_at: datetime | None
    error_code: str | None


class NotifiedOut(Given):
    """What the cloud tells of itself. read_at: when one was last read; last_at: the newest moment that one told."""

    kind: str = Field(examples=["queue"])
    read_at: datetime | None
    last_at: datetime | None


class ReadingsOut(Given):
    """read_until: of all members; a month can't be closed before it has reached its end. null: never, or the duty is
    off, in which case `items` is empty. notified: null as long as no notification of the cloud was read.
    """

    read_until: datetime | None
    notified: NotifiedOut | None
    items: list[ReadingOut]


class OutsideOut(Given):
    """Something that was made by hand in a member's project. by: the account in the cloud, where that is known."""

    service_id: int
    service: str = Field(examples=["hors-clocher-essai"])
    member: str
    kind: str = Field(examples=["server"])
    cloud_name: str
    cloud_id: str
    by: str | None
    state: str = Field(examples=["outside"])
    source: str | None = Field(examples=["notification"], description="who told of it first")
    since: datetime
    until: datetime | None
    found_at: datetime


class CorrectionOut(Given):
    """What happened to an ordered service's resource without us, and its size from then on. source: who told it."""

    id: int
    service_id: int
    service: str
    member: str
    kind: str = Field(examples=["server"])
    event: str = Field(examples=["resized"])
    at: datetime
    found_at: datetime
    source: str = Field(examples=["reconcile"])
    vcpus: int | None
    ram_mib: int | None
    disk_gib: int | None
