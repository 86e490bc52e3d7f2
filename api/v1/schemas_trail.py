"""What the API takes and gives about the audit trail and the register of processing."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any

from pydantic import Field

from api.v1.schemas import Cut, Given, Id, Note, PlainText, Slug, Taken
from orchestrator.errors import InvalidInput
from tenants.trail import Search

LocalDay = Annotated[str, Field(pattern=r"^20[0-9]{2}-[0-9]{2}-[0-9]{2}$", examples=["2026-11-23"])]


class AuditFilter(Taken):
    """actor: has this in it; action, subject: begin with this; since, until: local days, both counted."""

    actor: Annotated[PlainText, Field(max_length=200)] = ""
    action: Annotated[PlainText, Field(max_length=100)] = ""
    subject: Annotated[PlainText, Field(max_length=200)] = ""
    member: Slug | None = None
    since: LocalDay | None = None
    until: LocalDay | None = None

    def search(self) -> Search:
        """As the trail is searched. Raises InvalidInput invalid_day."""
        days = {name: _day(getattr(self, name)) for name in ("since", "until")}
        return Search(self.actor, self.action, self.subject, self.member or "", **days)


class AuditQuery(AuditFilter, Cut):
    """The same, page by page."""


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError as error:
        raise InvalidInput("invalid_day", "Ce jour n’existe pas.", "Donnez-le comme 2026-11-23.") from error


class EntryOut(Given):
    """Who did what, when."""

    id: Id
    at: datetime
    actor: str
    action: str = Field(examples=["order.place"])
    subject: str = Field(examples=["order 42"])
    member: Slug | None
    detail: dict[str, Any]


class VerifiedOut(Given):
    """Whether every entry follows from the one before; if not, the first that does not."""

    whole: bool
    first_break: int | None


class RetentionIn(Taken):
    """days: 180 to 1095; beyond a year only for a reason."""

    days: Annotated[int, Field(strict=True, ge=180, le=1095)]
    reason: Note = ""


class RetentionOut(Given):
    """For how many days the trail is kept."""

    days: int
    reason: str | None
    set_by: str
    set_at: datetime


class RegisterRow(Given):
    """What is done for a member with one service.

    retention: for how long data are kept; recipients: who reads them; both as the application's declaration says.
    """

    service: str
    ref: str
    kind: str
    offer: dict[str, str] | None
    state: str
    since: datetime
    purpose: str
    data: str
    retention: str
    recipients: str
    processors: str
    transfers: str


class RegisterOut(Given):
    """The register of processing (RGPD, article 30.2)."""

    controller: dict[str, Any]
    processor: dict[str, Any] | None
    retention_days: int
    security: str
    services: list[RegisterRow]
