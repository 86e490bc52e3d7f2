"""What the API takes and gives about test copies of services, and services that go to another member."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from api.v1.schemas import Given, Id, PlainText, Slug, Step, Taken
from api.v1.schemas_services import EstimateOut, LimitOut, Name, PublicKey, RefusalOut


class CopyIn(Taken):
    """name: ends with `-essai`; by default the original's with that ending. backup_id: by default the newest backup."""

    name: Annotated[Name, Field(examples=["wiki-essai"])] | None = None
    backup_id: Id | None = None


class CopyPreviewOut(Given):
    """What a copy would cost and take; steps: who must agree first; refused: why it can't be ordered now."""

    name: Annotated[PlainText, Field(examples=["wiki-essai"])]
    estimate: EstimateOut
    limits: list[LimitOut]
    steps: list[Step]
    refused: RefusalOut | None


class MovePreviewIn(Taken):
    """to: the member that gets it, by its slug; name: there, by default the present one."""

    to: Slug
    name: Name | None = None


class MoveIn(MovePreviewIn):
    """ssh_keys: the public keys that open the new machine."""

    ssh_keys: list[PublicKey] = Field(default_factory=list, max_length=20)


class MovePreviewOut(CopyPreviewOut):
    """What the service would cost and take at its new member's. silent: seconds for which it does not answer, null when
    that was never timed; before, after: its name on the web, empty without one; effects: what happens, in sentences.
    """

    source: Slug
    target: Slug
    silent: int | None
    before: str
    after: str
    effects: list[str]
