"""What the API takes and gives to the DSI: members, capacity, offers, policy, announcements, audit trail."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from api.v1.schemas import Amount, Cut, Given, Id, Instant, Line, PlainText, Slug, SlugCut, Taken, one_of, words
from orchestrator.entry_certificates import TROUBLES
from tenants.members_list import Filters
from tenants.tables_administration import CHANGE_STATES, LEVELS
from tenants.tables_approvals import POLICY_STATES

KINDS = ("commune", "epci", "syndicat", "public_body", "company")
MEMBER_STATES = ("active", "closed")
ORIGINS = ("declared", "made")
OFFER_STATES = ("draft", "published", "withdrawn")
Kind = Annotated[str, one_of(*KINDS), words(KINDS)]
MemberState = Annotated[str, one_of(*MEMBER_STATES), words(MEMBER_STATES)]
Origin = Annotated[str, one_of(*ORIGINS), words(ORIGINS)]
OfferState = Annotated[str, one_of(*OFFER_STATES), words(OFFER_STATES, "published")]
Level = Annotated[str, one_of(*LEVELS), words(LEVELS)]
Count = Annotated[int, Field(strict=True, ge=0, le=1_000_000_000)]
Euros = Annotated[str, Field(pattern=r"^[0-9]{1,12}(\.[0-9]{1,2})?$", examples=["12000.00"])]
Year = Annotated[str, Field(pattern=r"^20[0-9]{2}$")]


class MemberFilter(Taken):
    """q: with this in its name, short name or SIRET; kind, state, origin: of these only."""

    q: Annotated[PlainText, Field(max_length=100)] = ""
    kind: Kind | None = None
    state: MemberState | None = None
    origin: Origin | None = None

    def filters(self) -> Filters:
        """As the list is read."""
        return Filters(q=self.q, kind=self.kind or "", state=self.state or "", origin=self.origin or "")


class MemberQuery(SlugCut, MemberFilter):
    """q, kind, state, origin: as for the file."""


class MemberOut(Given):
    """A member; services: how many live; placed: whether it has its place in the cloud."""

    slug: Slug
    name: str
    kind: Annotated[str, words(KINDS)]
    siren: str
    siret: str
    insee_code: str | None
    population: int | None
    state: Annotated[str, words(MEMBER_STATES)]
    subnet_cidr: str | None
    origin: Annotated[str, words(ORIGINS)]
    services: int
    placed: bool
    created_at: datetime


class MemberDetail(Given):
    """A member as it is declared, and what it holds. counts: by quota the limit, what orders hold, what the cloud says
    is used; monthly: euros a month committed; budget: euros of the year.
    """

    declaration: dict[str, Any]
    state: Annotated[str, words(MEMBER_STATES)]
    origin: Annotated[str, words(ORIGINS)]
    counts: dict[str, dict[str, int | None]]
    read_at: datetime | None
    monthly: Amount
    budget: Amount


class ContactIn(Taken):
    """Whom to write to."""

    name: Line
    role: Line
    email: Annotated[PlainText, Field(min_length=3, max_length=254, examples=["mairie@brevaux.fr"])]


class QuotasIn(Taken):
    """How much may be held at once."""

    servers: Count
    vcpus: Count
    ram_gib: Count
    volumes: Count
    disk_gib: Count
    public_addresses: Count


class MemberEdit(Taken):
    """A member as a file would declare it, without its short name."""

    name: Line
    kind: Kind
    siren: Annotated[str, Field(pattern=r"^[0-9]{9}$", examples=["217300045"])]
    siret: Annotated[str, Field(pattern=r"^[0-9]{14}$", examples=["21730004500018"])]
    insee_code: Annotated[str, Field(pattern=r"^([0-9]{2}|2[AB])[0-9]{3}$")] | None = None
    population: Count | None = None
    contacts: list[ContactIn] = Field(min_length=1, max_length=20)
    quotas: QuotasIn
    budgets: dict[Year, Euros] = Field(default={}, examples=[{"2026": "12000.00"}])
    admin_networks: list[Annotated[PlainText, Field(max_length=50)]] = Field(default=[], max_length=50)
    subnet: Annotated[PlainText, Field(max_length=50)] | None = None

    def document(self, slug: str) -> dict[str, Any]:
        """As a file holds it."""
        return {"slug": slug, **self.model_dump(mode="json", exclude_none=True)}


class MemberIn(MemberEdit):
    """A new member as a file would declare it."""

    slug: Slug


class ConfirmIn(Taken):
    """confirm: the name of what ends, once more."""

    confirm: Slug


class ChangeOut(Given):
    """A change of a member: planned by a worker, confirmed by a person, then applied. plan: what would change."""

    id: Id
    slug: Slug
    kind: Annotated[str, words(("edit", "close"))]
    state: Annotated[str, words(CHANGE_STATES, "planned")]
    declaration: dict[str, Any]
    plan: dict[str, Any] | None
    told: list[Any]
    error_code: str | None
    error_sentence: str | None
    requested_by: str
    requested_at: datetime
    confirmed_by: str | None
    confirmed_at: datetime | None
    ended_at: datetime | None


class TrendOut(Given):
    """per_day: how much more is used each day; days_left: until nothing is left; null: not enough data, or never."""

    per_day: Amount | None
    days_left: int | None
    days: int


class CapacityOut(Given):
    """What the cloud has of a resource: room is what can be handed out. Memory in MiB, disks in GiB."""

    resource: str = Field(examples=["VCPU"])
    at: datetime
    total: int
    reserved: int
    room: int
    used: int
    left: int
    trend: TrendOut


class CertificateOut(Given):
    """The certificate of a name that the entry leads to. since, until: none as long as it has none; visitors then see
    another name's. trouble: empty when all is well. refused_at, code, why: when and how the authority refused last;
    `silent`: it did not answer.
    """

    host: str = Field(examples=["site.brevaux.apps.example.fr"])
    issuer: str | None
    since: datetime | None
    until: datetime | None
    trouble: Annotated[str, words(("", *TROUBLES))]
    refused_at: datetime | None
    code: str | None
    why: str | None


class QuotaUseOut(Given):
    """counts: by quota limit, held by orders, used and cloud_limit as the cloud says, odd: they differ."""

    slug: Slug
    name: str
    read_at: datetime | None
    counts: dict[str, dict[str, int | bool | None]]


class HostOut(Given):
    """A host of the cloud, as it was last told."""

    name: str
    state: str
    status: str
    read_at: datetime


class WorkerOut(Given):
    """A worker, whether it is alive, and the flows that it has."""

    id: str
    host: str
    state: Annotated[str, words(("alive", "silent"))]
    started_at: datetime
    seen_at: datetime
    flows: list[Id]


class VersionQuery(Cut):
    """state, offer: of these only."""

    state: OfferState | None = None
    offer: Slug | None = None


class VersionOut(Given):
    """A version of an offer; orders: how many were made from it."""

    id: Id
    slug: Slug
    version: int
    state: Annotated[str, words(OFFER_STATES, "published")]
    kind: str
    title: dict[str, str]
    summary: dict[str, str]
    flavor: str
    vcpus: int
    ram_mib: int
    approval: str
    origin: Annotated[str, words(ORIGINS)]
    parameters: list[dict[str, Any]]
    created_at: datetime
    orders: int | None = None


class Both(Taken):
    """The same in both languages."""

    fr: Annotated[PlainText, Field(min_length=1, max_length=2000, examples=["Petite machine"])]
    en: Annotated[PlainText, Field(min_length=1, max_length=2000, examples=["Small server"])]


class VersionIn(Taken):
    """A draft, whole. limits: by parameter its minimum, maximum and default."""

    title: Both
    summary: Both
    flavor: Annotated[PlainText, Field(min_length=1, max_length=100)]
    vcpus: Annotated[int, Field(strict=True, ge=1, le=1024)]
    ram_mib: Annotated[int, Field(strict=True, ge=1, le=16_777_216)]
    approval: Annotated[str, one_of("none", "dsi"), words(("none", "dsi"))] = "none"
    limits: dict[str, dict[str, Count]] = Field(default={}, examples=[{"disk_gib": {"maximum": 200}}])

    def typed(self) -> dict[str, Any]:
        """As the catalogue reads what people typed."""
        limits = {rule: {name: str(value) for name, value in bounds.items()} for rule, bounds in self.limits.items()}
        return {**self.model_dump(), "limits": limits}


class YamlIn(Taken):
    """A file of the catalogue."""

    yaml: Annotated[PlainText, Field(min_length=1, max_length=50_000)]


class PolicyOut(Given):
    """The rules in force; version 0: those of the file."""

    version: int
    policy: dict[str, Any]


class PolicyIn(Taken):
    """rules: who is asked for which orders, the first that fits counts; steps: how each step is decided."""

    rules: list[dict[str, Any]] = Field(max_length=50)
    steps: dict[str, dict[str, Any]] = Field(default={})


class PolicyVersionOut(Given):
    """A version of the approval rules."""

    version: int
    state: Annotated[str, words(POLICY_STATES)]
    document: dict[str, Any]
    made_by: str
    made_at: datetime
    decided_by: str | None
    decided_at: datetime | None


class PolicyDetail(PolicyVersionOut):
    """A version, and what it would have asked of the latest orders."""

    simulated: list[dict[str, Any]]


class AnnouncementIn(Taken):
    """member: for this one only; without it, for all. ends_at: null has no end."""

    level: Level
    title: Both
    body: Both
    starts_at: Instant
    ends_at: Instant | None = None
    member: Slug | None = None


class AnnouncementOut(Given):
    """Something that the DSI tells."""

    id: Id
    level: Annotated[str, words(LEVELS)]
    title: dict[str, str]
    body: dict[str, str]
    starts_at: datetime
    ends_at: datetime | None
    withdrawn_at: datetime | None
    made_by: str
    made_at: datetime


class AnnouncementRow(AnnouncementOut):
    """An announcement; member: the name of the one that it is for, null: all."""

    member: str | None
