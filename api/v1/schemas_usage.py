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


class ReadingsOut(Given):
    """read_until: of all members; a month can't be closed before it has reached its end. null: never, or the duty is
    off, in which case `items` is empty.
    """

    read_until: datetime | None
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
