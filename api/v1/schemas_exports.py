"""What the API gives about leaving: exports of applications, certificates of deletion."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from api.v1.schemas import ExportState, FlowOut, Given, Id, words

Sum = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class ExportOut(Given):
    """An archive of an application's data and papers. bytes and sha256 (of the archive), files (of the data) and
    made_at once it is made; it can be fetched until expires_at."""

    id: Id
    service_id: Id
    title: str
    state: ExportState
    bytes: int | None
    sha256: Sum | None
    files: int | None
    requested_by: str
    created_at: datetime
    made_at: datetime | None
    expires_at: datetime | None
    ended_at: datetime | None


class ExportMade(Given):
    """An export being made, and the flow that makes it."""

    export: ExportOut
    flow: FlowOut


class DeletedService(Given):
    """The service that was."""

    id: Id
    name: str
    ref: str
    created_at: datetime


class DeletedMember(Given):
    """Whose it was."""

    slug: str
    name: str
    siret: str


class DeletingFlow(Given):
    """The operation that deleted it."""

    id: Id
    requested_by: str
    asked_at: datetime


class DeletedResource(Given):
    """A thing in the cloud that is gone."""

    kind: str
    role: str
    cloud_id: str
    created_at: datetime
    deleted_at: datetime | None


class ErasedBackup(Given):
    """A backup that nobody can open any more."""

    archive: str
    made_at: datetime
    erased_at: datetime | None


class DestroyedSecret(Given):
    """What opened the application."""

    name: str
    destroyed: bool


class LeftArchive(Given):
    """An export that can still be fetched."""

    title: str
    expires_at: datetime


class ProofOut(Given):
    """An entry of the audit trail."""

    id: Id
    at: datetime
    actor: str
    action: str
    subject: str
    hash: Sum


class CertificateOut(Given):
    """What went with a service, when, by which flow; the trail's entries that prove it, as long as they are kept.

    repository: in the vault: `erased`, `locked` (its keys are destroyed, it is erased soon) or `none`.
    """

    service: DeletedService
    member: DeletedMember
    issued_at: datetime
    deleted_at: datetime
    flow: DeletingFlow
    resources: list[DeletedResource]
    backups: list[ErasedBackup]
    repository: Annotated[str, words(("none", "locked", "erased"), "erased")]
    secrets: list[DestroyedSecret]
    archives: list[LeftArchive]
    trail: list[ProofOut]
