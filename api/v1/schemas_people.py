"""What the API takes and gives about people and programs: accounts, tokens, deputies, webhooks."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field

from api.v1.schemas import Cut, Given, Id, Instant, PageQuery, PlainText, Slug, Taken, one_of, words
from tenants.tables_identity import ACCOUNT_STATES, LANGUAGES, MEMBER_ROLES, SCOPES, TERRITORY_ROLES
from tenants.tables_notices import CHOICES, DELIVERY_STATES, ENDPOINT_STATES
from tenants.webhooks import EVENTS

ROLES = (*MEMBER_ROLES, *TERRITORY_ROLES)
Role = Annotated[str, one_of(*ROLES), words(ROLES)]
Scope = Annotated[str, one_of(*SCOPES), words(SCOPES)]
Language = Annotated[str, one_of(*LANGUAGES), words(LANGUAGES)]
Event = Annotated[str, one_of(*EVENTS), words(EVENTS)]
Email = Annotated[PlainText, Field(min_length=3, max_length=254, examples=["camille@brevaux.fr"])]


class MeOut(Given):
    """Who asks: for which member (null: the territory), with which roles, within which scopes, so which acts."""

    name: str
    member: Slug | None
    roles: list[Role]
    scopes: list[Scope]
    acts: list[str] = Field(examples=[["order.read", "service.read"]])


class HeldRole(Given):
    """A role in a house; member null: the territory."""

    role: Role
    member: Slug | None


class AccountOut(Given):
    """One's own account; second_factor: whether a code is asked for as well when one signs in."""

    id: Id
    email: str
    name: str
    language: Language
    created_at: datetime
    signed_in_at: datetime | None
    second_factor: bool
    roles: list[HeldRole]


class AccountIn(Taken):
    """How one is called, and in which language one is spoken to."""

    name: Annotated[PlainText, Field(min_length=1, max_length=100, examples=["Camille Faure"])]
    language: Language


class PasswordIn(Taken):
    """The present password, and the one that replaces it."""

    present: Annotated[str, Field(min_length=1, max_length=256, examples=["trois renards roux courent"])]
    wanted: Annotated[str, Field(min_length=1, max_length=256, examples=["cinq hérissons gris chantent"])]


class NoticesOut(Given):
    """all: what happens in the house; mine: what one asked for; none: only what waits for one's decision."""

    choice: Annotated[str, words(CHOICES)]


class NoticesIn(Taken):
    """As it is given."""

    choice: Annotated[str, one_of(*CHOICES), words(CHOICES)]


class PersonOut(Given):
    """Somebody with an account, and the roles that the caller may see."""

    id: Id
    email: str
    name: str
    language: Language
    state: Annotated[str, words(ACCOUNT_STATES, "active")]
    siret: str | None
    created_at: datetime
    signed_in_at: datetime | None
    roles: list[HeldRole]


class PeopleQuery(Cut):
    """state: in this state only."""

    state: Annotated[str, one_of(*ACCOUNT_STATES), words(ACCOUNT_STATES, "active")] | None = None


class InviteIn(Taken):
    """member: in which house, for the territory's callers; without it, the territory's own."""

    email: Email
    name: Annotated[PlainText, Field(min_length=1, max_length=100)]
    language: Language = "fr"
    roles: list[Role] = Field(min_length=1, max_length=10)
    member: Slug | None = None


class RolesIn(Taken):
    """Exactly these roles in one house; none: the person leaves it at once. member: as for an invitation."""

    roles: list[Role] = Field(max_length=10)
    member: Slug | None = None


class TokenIn(Taken):
    """A token of one's own, for the house that the caller acts for."""

    label: Annotated[PlainText, Field(min_length=1, max_length=80, examples=["sauvegarde"])]
    days: Annotated[int, Field(strict=True, ge=1, le=365)] = 90
    scopes: list[Scope] = Field(min_length=1, max_length=6, examples=[["read"]])


class TokenOut(Given):
    """A token, without its secret. holder: whose it is; null: a machine's, which has `roles` of its own."""

    id: Id
    member: Slug | None
    label: str
    holder: str | None
    account_id: int | None
    roles: list[Role] | None
    scopes: list[Scope]
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    used_at: datetime | None


class TokenMade(Given):
    """A new token; the secret is shown this once."""

    id: Id
    label: str
    scopes: list[Scope]
    expires_at: datetime
    secret: str = Field(examples=["clo_…"])


class DeputyIn(Taken):
    """From one instant to another (or no end), `deputy_id` decides in place of `account_id` in a role."""

    account_id: Annotated[int, Field(strict=True, ge=1, le=2**63 - 1)]
    deputy_id: Annotated[int, Field(strict=True, ge=1, le=2**63 - 1)]
    role: Role
    begins: Instant
    ends: Instant | None = None


class DeputyOut(Given):
    """Who stands in for whom."""

    id: Id
    account_id: Id
    name: str
    deputy_id: Id
    deputy: str
    role: Role
    begins: datetime
    ends: datetime | None


class EndpointIn(Taken):
    """url: HTTPS; events: none means all."""

    label: Annotated[PlainText, Field(min_length=1, max_length=80, examples=["supervision"])]
    url: Annotated[PlainText, Field(min_length=1, max_length=2000, examples=["https://exemple.fr/clocher"])]
    events: list[Event] = Field(default=[], max_length=len(EVENTS))


class EndpointOut(Given):
    """Where events are told. member null: the territory's."""

    id: Id
    member: Slug | None
    label: str
    url: str
    events: list[str]
    state: Annotated[str, words(ENDPOINT_STATES)]
    failing_since: datetime | None
    previous_until: datetime | None
    made_by: str
    made_at: datetime


class EndpointMade(EndpointOut):
    """A new endpoint; the secret that verifies what is sent is shown this once."""

    secret: str = Field(examples=["whsec_…"])


class SecretOut(Given):
    """The new secret, shown this once; for a day both sign."""

    secret: str = Field(examples=["whsec_…"])


class TryOut(Given):
    """One try of a delivery."""

    at: datetime
    milliseconds: int
    status: int | None
    error: str | None


class DeliveryOut(Given):
    """One event for one endpoint; ref: its `webhook-id`."""

    id: Id
    ref: UUID
    event: str
    state: Annotated[str, words(DELIVERY_STATES)]
    attempts: int
    due_at: datetime
    queued_at: datetime
    ended_at: datetime | None


class DeliveryDetail(DeliveryOut):
    """A delivery with its tries."""

    tries: list[TryOut]


class ReplayIn(Taken):
    """Send again what failed since an instant; sent_too: what was received as well."""

    since: Instant
    sent_too: Annotated[bool, Field(strict=True)] = False


class Replayed(Given):
    """How many are sent again."""

    deliveries: int


class TokenQuery(PageQuery):
    """living: neither revoked nor expired."""

    living: bool = False
