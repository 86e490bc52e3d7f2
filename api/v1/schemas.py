"""What the API takes and gives. Money and quantities are decimal strings, instants ISO 8601 in UTC."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer
from pydantic import WithJsonSchema as Told

from orchestrator.tables import FLOW_KINDS, FLOW_STATES, SERVICE_STATES, SNAPSHOT_STATES
from orchestrator.tables_backups import BACKUP_STATES
from orchestrator.tables_exports import EXPORT_STATES
from tenants.tables import ORDER_KINDS, ORDER_STATES
from tenants.tables_approvals import APPROVAL_STATES, STEPS

Item = TypeVar("Item")
BIGGEST = 2**63 - 1  # of a row's id


def _plain_text(value: str) -> str:
    if not all(character.isprintable() or character in "\n\t" for character in value):
        raise ValueError("control characters are not allowed")
    return value


def _written(value: Any) -> Any:
    if not isinstance(value, str) or value.strip().isdigit():
        raise ValueError("an instant in ISO 8601 with its offset, such as 2026-11-23T14:05:00+01:00")
    return value


def words(values: tuple[str, ...], example: str = "") -> Told:
    return Told({"type": "string", "enum": list(values), "examples": [example or values[0]]})


def one_of(*values: str) -> AfterValidator:
    """Refuse every other word."""

    def check(value: str) -> str:
        if value not in values:
            raise ValueError(f"one of {', '.join(values)}")
        return value

    return AfterValidator(check)


Id = Annotated[int, Field(ge=1, le=BIGGEST, examples=[42])]
Number = Annotated[int, Field(strict=True, ge=-BIGGEST, le=BIGGEST)]
Flag = Annotated[bool, Field(strict=True)]
Slug = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=40, examples=["brevaux"])]
Month = Annotated[str, Field(pattern=r"^20[0-9]{2}-(0[1-9]|1[0-2])$", examples=["2026-10"])]
PlainText = Annotated[str, AfterValidator(_plain_text)]
Line = Annotated[PlainText, Field(min_length=1, max_length=200)]
Note = Annotated[PlainText, Field(max_length=2000)]
Instant = Annotated[AwareDatetime, BeforeValidator(_written)]
# format(…, "f"): never "0E-8"
Amount = Annotated[
    Decimal,
    PlainSerializer(lambda value: format(value, "f"), return_type=str, when_used="json"),
    Told({"type": "string", "pattern": r"^-?\d+(\.\d+)?$", "examples": ["10.95"]}),
]
OrderState = Annotated[str, one_of(*ORDER_STATES), words(ORDER_STATES)]
OrderKind = Annotated[str, words(ORDER_KINDS)]
ServiceState = Annotated[str, one_of(*SERVICE_STATES), words(SERVICE_STATES, "active")]
FlowState = Annotated[str, one_of(*FLOW_STATES), words(FLOW_STATES, "running")]
FlowKind = Annotated[str, one_of(*FLOW_KINDS), words(FLOW_KINDS)]
SnapshotState = Annotated[str, words(SNAPSHOT_STATES, "ready")]
BackupState = Annotated[str, words(BACKUP_STATES, "ready")]
ExportState = Annotated[str, words(EXPORT_STATES, "ready")]
Step = Annotated[str, one_of(*STEPS), words(STEPS)]
ApprovalState = Annotated[str, words(APPROVAL_STATES)]


class Taken(BaseModel):
    """What a request holds: nothing unknown, nothing of a wrong type."""

    model_config = ConfigDict(extra="forbid")


class Given(BaseModel):
    """What an answer holds."""

    model_config = ConfigDict(from_attributes=True)


class Cut(Taken):
    """after: the `next` of the page before."""

    after: Id | None = None
    limit: int = Field(50, ge=1, le=200)


class PageQuery(Cut):
    """after: the `next` of the page before; member: narrows a territory's list to one member."""

    member: Slug | None = None


class SlugCut(Taken):
    """after: the `next` of the page before."""

    after: Slug | None = None
    limit: int = Field(50, ge=1, le=200)


class OrderQuery(PageQuery):
    """state, service: of these only; q: with this in the service's name."""

    state: OrderState | None = None
    service: Id | None = None
    q: Annotated[PlainText, Field(max_length=40)] = ""

    def narrowed(self) -> dict[str, Any]:
        """As a list is read."""
        states = [self.state] if self.state else []
        given = self.model_dump(include={"after", "limit", "member"})
        return {**given, "states": states, "text": self.q, "service_id": self.service}


class MonthQuery(Taken):
    """month: by default the present one; member: needed by the territory."""

    month: Month | None = None
    member: Slug | None = None


class MemberQuery(Taken):
    """member: needed by the territory."""

    member: Slug | None = None


class ListOf(Given, Generic[Item]):
    """One page, newest first; `next` is null at the end."""

    items: list[Item]
    next: int | str | None = Field(None, examples=[None])

    @classmethod
    def model_parametrized_name(cls, params: tuple[Any, ...]) -> str:
        """A name that OpenAPI accepts: no brackets."""
        return f"{params[0].__name__.removesuffix('Out')}List"


class RequestKey(BaseModel):
    """The same key again gives the same order: make one for each order, keep it for each retry."""

    idempotency_key: str = Field(min_length=1, max_length=200, examples=["4f1c8a1e-site-mairie"])


class OrderIn(Taken):
    """member: needed when the territory orders for a member, left out by a member."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "offer": "vm-small",
                    "parameters": {
                        "name": "site-mairie",
                        "disk_gib": 20,
                        "public_address": True,
                        "ssh_keys": ["ssh-ed25519 AAAA… agent@mairie"],
                    },
                }
            ]
        },
    )
    offer: Slug
    parameters: dict[str, Any]
    member: Slug | None = None


class Reason(Taken):
    """Why an order is refused."""

    reason: PlainText = Field(min_length=1, max_length=2000)


class Approve(Taken):
    """What some steps want with a yes: the budget's engagement, and words for the record."""

    reason: Note | None = None
    engagement_number: Annotated[PlainText, Field(max_length=100)] | None = None
    budget_line: Annotated[PlainText, Field(max_length=100)] | None = None


class OfferOut(Given):
    """monthly: euros a month without options, at today's prices; null when a price is missing.

    parameters: rules of type name, choice, integer, boolean, ssh_keys, text, email or date; one with a `default` may be
    left out. An email is an address, a date the text 2027-01-31, a text has from `minimum` to `maximum` characters and
    matches `pattern`. stack: of an application its licence, class of data, register, versions, ports…; else null. While
    its `awaits_source` is true an order is refused (`source_missing`): the agglomeration has not said where it is from.
    """

    slug: str = Field(examples=["vm-small"])
    version: int
    kind: str = Field(examples=["vm"])
    title: dict[str, str] = Field(examples=[{"fr": "Petite machine", "en": "Small server"}])
    summary: dict[str, str]
    vcpus: int
    ram_mib: int = Field(examples=[2048])
    approval: str = Field(examples=["none"])
    monthly: Amount | None
    parameters: list[dict[str, Any]]
    stack: dict[str, Any] | None = None


class OrderOut(Given):
    """estimate: the prices frozen when the order was placed; monthly: their sum in euros, of the whole service;
    difference: what the order adds to it.
    """

    id: Id
    member: Slug
    kind: OrderKind
    state: OrderState
    parameters: dict[str, Any]
    estimate: dict[str, Any]
    monthly: Amount
    difference: Amount
    service_id: int | None
    flow_id: int | None
    placed_by: str
    placed_at: datetime
    decided_by: str | None
    decided_at: datetime | None
    reason: str | None


class ApprovalOut(Given):
    """One step of an order's chain; the present one waits and was opened, and must be decided before `due_at`."""

    position: int
    step: Step
    state: ApprovalState
    opened_at: datetime | None
    due_at: datetime | None
    decided_by: str | None
    decided_at: datetime | None
    reason: str | None
    engagement_number: str | None
    budget_line: str | None


class OrderDetail(OrderOut):
    """An order with the steps of its approval, and whom it waits for."""

    approvals: list[ApprovalOut]
    waiting_for: dict[str, Any] | None


class TurnOut(Given):
    """An order whose present step the caller can decide; monthly: euros a month that it adds; instead_of: for whom;
    escalated: nobody in the house can, so the DSI does.
    """

    order_id: Id
    member: Slug
    step: Step
    monthly: Amount
    due_at: datetime
    instead_of: str | None
    escalated: bool


class ServiceOut(Given):
    """specification: what was ordered; protected: can't be deleted; nightly: a machine is
    backed up every night; delete_after: when an asked deletion begins.
    """

    id: Id
    ref: UUID
    member: Slug
    name: str = Field(examples=["site-mairie"])
    state: ServiceState
    address: str | None
    public_address: str | None
    specification: dict[str, Any]
    protected: bool
    nightly: bool
    delete_after: datetime | None
    created_at: datetime
    changed_at: datetime


class EventOut(Given):
    """What happened to a resource, and its size from then on. source: `flow`, or `reconcile` when the cloud told it."""

    at: datetime
    kind: str
    resource: str
    vcpus: int | None
    ram_mib: int | None
    disk_gib: int | None
    source: str = Field(examples=["flow"])


class StepOut(Given):
    """One step of a flow."""

    name: str
    state: str
    attempts: int
    message: str | None
    started_at: datetime
    ended_at: datetime | None


class TaskOut(Given):
    """One event of Ansible in the guest."""

    id: int
    at: datetime
    event: str
    task: str | None
    outcome: str | None
    message: str | None


class FlowOut(Given):
    """A run of an operation."""

    id: Id
    member: Slug
    service_id: Id
    kind: FlowKind
    state: FlowState
    cancel_requested: bool
    error_code: str | None
    error_sentence: str | None
    requested_by: str
    queued_at: datetime
    started_at: datetime | None
    held_at: datetime | None
    ended_at: datetime | None
    keeper: str | None
    keeper_note: str | None


class FlowDetail(FlowOut):
    """A run with its steps and what Ansible did; why: in a sentence, why it is not further (for the territory)."""

    steps: list[StepOut]
    tasks: list[TaskOut]
    why: str | None = None
