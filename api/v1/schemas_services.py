"""What the API takes and gives about operating services: acts, changes, snapshots, schedules."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any

from pydantic import Field

from api.v1.schemas import (
    Amount,
    BackupState,
    FlowKind,
    FlowOut,
    FlowState,
    Given,
    Id,
    Line,
    PageQuery,
    PlainText,
    ServiceOut,
    ServiceState,
    SnapshotState,
    Step,
    Taken,
    words,
)
from tenants.tables_consoles import CONSOLE_STATES

Name = Annotated[str, Field(pattern=r"^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$", examples=["site-mairie"])]
PublicKey = Annotated[PlainText, Field(min_length=1, max_length=2000, examples=["ssh-ed25519 AAAA… agent@mairie"])]
Hour = Annotated[int, Field(strict=True, ge=0, le=23)]
Weekday = Annotated[int, Field(strict=True, ge=1, le=7)]
Count = Annotated[int, Field(strict=True, ge=0, le=200)]


class ServiceQuery(PageQuery):
    """state: in this state only; living: neither deleted nor failed; q: with this in its name."""

    state: ServiceState | None = None
    living: bool = False
    q: Annotated[PlainText, Field(max_length=40)] = ""


class FlowQuery(PageQuery):
    """state, kind, service: of these only."""

    state: FlowState | None = None
    kind: FlowKind | None = None
    service: Id | None = None


class RebootIn(Taken):
    """hard: cut its power, instead of asking its system."""

    hard: Annotated[bool, Field(strict=True)] = False


class KeysIn(Taken):
    """The public keys that open the server from now on, and no others."""

    keys: list[PublicKey] = Field(min_length=1, max_length=20)


class RenameIn(Taken):
    """Its new name, which is the server's host name."""

    name: Name


class SecretOut(Given):
    """What opens an application; made_at: null until a flow made it; shown_at: when it was read, which is done once."""

    name: str = Field(examples=["admin_password"])
    label: dict[str, str]
    made_at: datetime | None
    shown_at: datetime | None


class SecretShown(Given):
    """The secret itself: this answer is the only one that has it."""

    name: str
    secret: str


class DeleteIn(Taken):
    """now: at once and for good, without the time of grace."""

    now: Annotated[bool, Field(strict=True)] = False


class ChangeIn(Taken):
    """One thing at a time: another offer, a volume's size in GiB (0 removes it), a public address, or other answers to
    what the application asks, by name of parameter.
    """

    offer: Annotated[str, Field(max_length=40, examples=["vm-medium"])] | None = None
    volume: Annotated[str, Field(pattern=r"^[a-z]([a-z0-9-]{0,18}[a-z0-9])?$")] | None = None
    disk_gib: Annotated[int, Field(strict=True, ge=0, le=16384)] | None = None
    public_address: Annotated[bool, Field(strict=True)] | None = None
    answers: Annotated[dict[str, Any], Field(min_length=1, max_length=50, examples=[{"title": "Wiki"}])] | None = None

    def wanted(self) -> dict[str, Any]:
        """What was said."""
        return self.model_dump(exclude_none=True)


class LimitOut(Given):
    """A quota or the monthly budget: held now, held once ordered, the most that may be held."""

    name: str
    label: str
    held: Amount
    after: Amount
    limit: Amount


class LineOut(Given):
    """One line of an estimate; amount: euros a month."""

    meter: str
    label: str
    unit: str
    quantity: Amount
    hourly: Amount
    amount: Amount


class EstimateOut(Given):
    """A month at the prices of the day, in euros; at_most: where a price has steps. once: when the service begins."""

    lines: list[LineOut]
    monthly: Amount
    once: Amount
    at_most: bool


class RefusalOut(Given):
    """Why it can't be ordered now."""

    code: str
    sentence: str
    action: str


class PreviewOut(Given):
    """What a change would be; steps: who must agree first."""

    kind: str = Field(examples=["resize"])
    now: EstimateOut
    after: EstimateOut
    difference: Amount
    limits: list[LimitOut]
    effects: list[str]
    harmful: bool
    steps: list[Step]
    refused: RefusalOut | None


class ActOut(Given):
    """One act. code, why, action: what stands in the way; tells: what it does; loses: what is lost for good;
    monthly: euros a month that it adds.
    """

    name: str = Field(examples=["stop"])
    allowed: bool
    code: str | None
    why: str | None
    action: str | None
    monthly: Amount | None
    tells: str | None
    loses: str | None


class DeletedOut(ServiceOut):
    """The service that goes, and the flow that was queued, if any."""

    flow: FlowOut | None


class SnapshotIn(Taken):
    """How people call it."""

    name: Annotated[PlainText, Field(min_length=1, max_length=100, examples=["avant la mise à jour"])]


class RestoreIn(Taken):
    """volumes: its data volumes too, those of which the snapshot holds a copy; safety: keep what is there today first,
    as a snapshot of this name.
    """

    volumes: Annotated[bool, Field(strict=True)] = False
    safety: Annotated[PlainText, Field(min_length=1, max_length=100, examples=["avant la restauration"])] | None = None


class SnapshotOut(Given):
    """A service as it was; size_gib: once it is ready."""

    id: Id
    service_id: Id
    name: str
    state: SnapshotState
    scheduled: bool
    size_gib: int | None
    requested_by: str
    created_at: datetime
    ready_at: datetime | None
    ended_at: datetime | None


class SnapshotMade(Given):
    """A snapshot being made, and the flow that makes it."""

    snapshot: SnapshotOut
    flow: FlowOut


class BackupOut(Given):
    """An archive of an application's data in the vault; sizes in bytes and made_at once it is made.

    meters: what the application counted right before. proved_at: when it was last restored for trial and found whole,
    in proof_seconds; unproved_at: when that failed.
    """

    id: Id
    service_id: Id
    state: BackupState
    scheduled: bool
    archive: str
    bytes: int | None
    added: int | None
    files: int | None
    meters: dict[str, int] | None
    proved_at: datetime | None
    proof_seconds: int | None
    unproved_at: datetime | None
    requested_by: str
    created_at: datetime
    made_at: datetime | None
    ended_at: datetime | None


class VersionOut(Given):
    """A version of an application. app: what upstream calls it; brings: in each language."""

    version: str
    app: str
    brings: dict[str, str]


class UpgradeOut(Given):
    """What a service can become. versions: newest first; refused: the code that says why not now, None when it can."""

    version: str
    versions: list[VersionOut]
    refused: str | None


class BackupMade(Given):
    """A backup being made, and the flow that makes it."""

    backup: BackupOut
    flow: FlowOut


class ScheduleIn(Taken):
    """Snapshots at an hour (local) on some weekdays (1 Monday … 7), and how many of them are kept."""

    hour: Hour = Field(examples=[3])
    weekdays: list[Weekday] = Field(default=[1, 2, 3, 4, 5, 6, 7], min_length=1, max_length=7)
    daily: Count = 7
    weekly: Count = 4
    monthly: Count = 0


class ScheduleOut(Given):
    """Scheduled snapshots, and when the next one is due."""

    service_id: Id
    hour: int
    weekdays: list[int]
    daily: int
    weekly: int
    monthly: int
    next_due: datetime
    changed_by: str
    changed_at: datetime


class ScheduleShown(Given):
    """The schedule of a service; null: it has none."""

    schedule: ScheduleOut | None


class ConsoleOut(Given):
    """log: the last lines; screen: an address that opens the screen in a browser, where the cloud has one; fault: why
    it could not be read.
    """

    service_id: Id
    state: Annotated[str, words(CONSOLE_STATES)]
    asked_by: str
    asked_at: datetime
    read_at: datetime | None
    log: str | None
    screen: str | None
    fault: str | None


class ConsoleShown(Given):
    """The last reading of a service's console; null: there is none."""

    console: ConsoleOut | None


class MonthOut(Given):
    """How often an application was asked from outside in a month, and answered; percent: rounded down."""

    month: str = Field(examples=["2026-11"])
    asked: int
    answered: int
    percent: Amount


class AddressOut(Given):
    """authority: the certificate (PEM) that browsers have to trust, null where a public authority certifies; asked_at,
    good, said: what was seen last, and what was wrong; certificate_until: when the certificate seen then expires.
    """

    url: str = Field(examples=["https://site.brevaux.valmont.fr/"])
    authority: str | None
    asked_at: datetime | None
    good: bool | None
    said: str | None
    certificate_until: datetime | None
    months: list[MonthOut]


class AddressShown(Given):
    """The address of a service; null: it has none."""

    address: AddressOut | None


class DeadlineOut(Given):
    """An answer that is the last day of something; state: ahead, soon or over."""

    name: str = Field(examples=["authorisation_expiry"])
    label: dict[str, str]
    day: date
    state: str = Field(examples=["ahead"])


class OldestOut(Given):
    """How old, in days, the oldest is that the application keeps, counted `at` (null: never). allowed: the days that it
    may, as answered under `label`; rule: what the register says of it; highest: the most of the last year's `counts`.
    state: in_time, too_old, or uncounted: not for two days, or not since another answer.
    """

    days: int | None = Field(examples=[27])
    at: datetime | None
    allowed: int = Field(examples=[28])
    label: dict[str, str]
    rule: dict[str, str]
    highest: int | None
    counts: int
    state: str = Field(examples=["in_time"])


class ApplicationOut(Given):
    """What a service runs. upstream: what its makers call the version; offered: false once it was withdrawn from the
    catalogue: it lives on, can't be ordered any more and gets no newer version. oldest: of one that destroys in time.
    """

    stack: str = Field(examples=["video"])
    version: str = Field(examples=["1"])
    upstream: str | None = Field(examples=["ZoneMinder 1.36.33"])
    offered: bool
    deadlines: list[DeadlineOut]
    oldest: OldestOut | None


class ApplicationShown(Given):
    """The application of a service; null: it is a machine."""

    application: ApplicationOut | None


class HandOverIn(Taken):
    """to: who is on it (by default the caller); note: what they should know."""

    to: Line | None = None
    note: Annotated[PlainText, Field(max_length=2000)] = ""
