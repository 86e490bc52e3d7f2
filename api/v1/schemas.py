"""What the API takes and gives. Money and quantities are decimal strings, instants ISO 8601 in UTC."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer, WithJsonSchema

Item = TypeVar("Item")
BIGGEST = 2**63 - 1  # of a row's id


def _plain_text(value: str) -> str:
    if not all(character.isprintable() or character in "\n\t" for character in value):
        raise ValueError("control characters are not allowed")
    return value


Id = Annotated[int, Field(ge=1, le=BIGGEST)]
Slug = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=40)]
PlainText = Annotated[str, AfterValidator(_plain_text)]
# format(…, "f"): never "0E-8"
Amount = Annotated[
    Decimal,
    PlainSerializer(lambda value: format(value, "f"), return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^-?\d+(\.\d+)?$", "examples": ["10.95"]}),
]


class Taken(BaseModel):
    """What a request holds: nothing unknown, nothing of a wrong type."""

    model_config = ConfigDict(extra="forbid")


class Given(BaseModel):
    """What an answer holds."""

    model_config = ConfigDict(from_attributes=True)


class PageQuery(BaseModel):
    """after: the `next` of the page before; member: narrows a territory's list to one member."""

    after: Id | None = None
    limit: int = Field(50, ge=1, le=200)
    member: Slug | None = None


class ListOf(Given, Generic[Item]):
    """One page, newest first; `next` is null at the end."""

    items: list[Item]
    next: int | None = None

    @classmethod
    def model_parametrized_name(cls, params: tuple[Any, ...]) -> str:
        """A name that OpenAPI accepts: no brackets."""
        return f"{params[0].__name__.removesuffix('Out')}List"


class RequestKey(BaseModel):
    """The same key again gives the same order: make one for each order, keep it for each retry."""

    idempotency_key: str = Field(min_length=1, max_length=200)


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


class OfferOut(Given):
    """monthly: euros a month without options, at today's prices; null when a price is missing."""

    slug: str
    version: int
    kind: str
    title: dict[str, str]
    summary: dict[str, str]
    vcpus: int
    ram_mib: int
    approval: str
    monthly: Amount | None
    parameters: list[dict[str, Any]]


class OrderOut(Given):
    """estimate: the prices frozen when the order was placed; monthly: their sum in euros."""

    id: int
    member: str
    kind: str
    state: str
    parameters: dict[str, Any]
    estimate: dict[str, Any]
    monthly: Amount
    service_id: int | None
    flow_id: int | None
    placed_by: str
    placed_at: datetime
    decided_by: str | None
    decided_at: datetime | None
    reason: str | None


class ServiceOut(Given):
    """specification: what was ordered."""

    id: int
    ref: UUID
    member: str
    name: str
    state: str
    address: str | None
    public_address: str | None
    specification: dict[str, Any]
    created_at: datetime
    changed_at: datetime


class EventOut(Given):
    """What happened to a resource, and its size from then on."""

    at: datetime
    kind: str
    resource: str
    vcpus: int | None
    ram_mib: int | None
    disk_gib: int | None


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

    id: int
    member: str
    service_id: int
    kind: str
    state: str
    cancel_requested: bool
    error_code: str | None
    error_sentence: str | None
    requested_by: str
    queued_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


class FlowDetail(FlowOut):
    """A run with its steps and what Ansible did."""

    steps: list[StepOut]
    tasks: list[TaskOut]


class StatementOut(Given):
    """A member's account for a month. total: euros."""

    id: int
    member: str
    period: str
    state: str
    sample: bool
    total: Amount
    hash: str | None


class Payer(Given):
    """Who owes it."""

    slug: str
    name: str
    siren: str
    siret: str


class StatementDetail(Given):
    """An account with its lines, which lead to prices and keys; amounts in euros. The hash covers all of it."""

    id: int
    period: str
    since: datetime = Field(alias="from")
    until: datetime
    metered_until: datetime | None
    state: str
    sample: bool
    currency: str
    member: Payer
    lines: list[dict[str, Any]]
    usage: str
    shares: str
    total: str
    previous_hash: str | None
    hash: str | None


class StatementQuery(BaseModel):
    """period: a month as 2026-10; member: of the territory's list, one."""

    period: Annotated[str, Field(pattern=r"^20[0-9]{2}-(0[1-9]|1[0-2])$")] | None = None
    member: Slug | None = None
