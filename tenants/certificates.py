"""The certificate that a service was deleted: what went, when, by which operation, and what is kept."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator.errors import Conflict, Text
from orchestrator.tables import AuditEntry, Flow, Member, Resource, Service, ServiceSecret
from orchestrator.tables_backups import Backup, BackupClient
from orchestrator.tables_exports import Export
from tenants import reading

# Of the trail: what tells of the end.
ACTIONS = ("service.delete", "service.delete_due", "service.state", "flow.done", "backup.state", "vault.forget")


def certificate(session: Session, service_id: int, at: datetime) -> dict[str, Any]:
    """What is certified of a deleted service, as known at an instant. Raises not_found, Conflict still_there.

    repository: `erased` from the vault, `locked` (nobody can open it any more, it goes soon), or `none`;
    archives: exports that can still be fetched; trail: the audit entries that prove it.
    """
    service = reading.find(session, Service, service_id)
    flow = _flow(session, service)
    made = (Backup.service_id == service.id) & Backup.made_at.is_not(None)
    backups = session.scalars(sa.select(Backup).where(made).order_by(Backup.id)).all()
    member = session.get_one(Member, service.member_id)
    return {
        "service": {"id": service.id, "name": service.name, "ref": str(service.ref), "created_at": service.created_at},
        "member": {"slug": member.slug, "name": member.name, "siret": member.siret},
        "issued_at": at,
        "deleted_at": flow.ended_at,
        "flow": {"id": flow.id, "requested_by": flow.requested_by, "asked_at": flow.queued_at},
        "resources": _resources(session, service),
        "backups": [{"archive": one.archive, "made_at": one.made_at, "erased_at": one.ended_at} for one in backups],
        "repository": _repository(session, service, bool(backups)),
        "secrets": _secrets(session, service),
        "archives": _archives(session, service, at),
        "trail": _trail(session, service, flow, [f"backup {one.id}" for one in backups]),
    }


def _flow(session: Session, service: Service) -> Flow:
    """The operation that deleted it."""
    query = sa.select(Flow).where(Flow.service_id == service.id, Flow.kind == "delete_server", Flow.state == "done")
    found = session.scalar(query.order_by(Flow.id.desc()).limit(1))
    if service.state != "deleted" or found is None:
        raise Conflict(
            "still_there",
            Text("« {name} » n’est pas supprimé : rien ne peut être certifié.", name=service.name),
            "Supprimez-le d’abord.",
            facts={"state": service.state},
        )
    return found


def _resources(session: Session, service: Service) -> list[dict[str, Any]]:
    query = sa.select(Resource.kind, Resource.role, Resource.cloud_id, Resource.created_at, Resource.deleted_at)
    rows = session.execute(query.where(Resource.service_id == service.id).order_by(Resource.id))
    return [dict(row) for row in rows.mappings()]


def _repository(session: Session, service: Service, backed_up: bool) -> str:
    client = session.get(BackupClient, service.id)
    return "locked" if client else "erased" if backed_up else "none"


def _secrets(session: Session, service: Service) -> list[dict[str, Any]]:
    """Those that the application had; `destroyed` when none is left."""
    left = set(session.scalars(sa.select(ServiceSecret.name).where(ServiceSecret.service_id == service.id)))
    declared = service.specification.get("stack", {}).get("secrets", ())
    return [{"name": one["name"], "destroyed": one["name"] not in left} for one in declared]


def _archives(session: Session, service: Service, at: datetime) -> list[dict[str, Any]]:
    left = (Export.service_id == service.id) & (Export.state == "ready") & (Export.expires_at > at)
    query = sa.select(Export.title, Export.expires_at).where(left)
    return [dict(row) for row in session.execute(query.order_by(Export.id)).mappings()]


def _trail(session: Session, service: Service, flow: Flow, backups: list[str]) -> list[dict[str, Any]]:
    """The entries that are still kept (`trail` says for how long); a member reads its own."""
    about = (f"service {service.id}", f"flow {flow.id}", *backups)
    query = (
        sa.select(AuditEntry.id, AuditEntry.at, AuditEntry.actor, AuditEntry.action, AuditEntry.subject,
                  AuditEntry.detail, AuditEntry.hash)
        .where(AuditEntry.subject.in_(about), AuditEntry.action.in_(ACTIONS), AuditEntry.member_id == service.member_id)
        .order_by(AuditEntry.id)
    )  # fmt: skip
    ends = ("deleting", "deleted")
    return [
        {**{name: row[name] for name in ("id", "at", "actor", "action", "subject")}, "hash": row["hash"].hex()}
        for row in session.execute(query).mappings()
        if row["action"] not in ("service.state", "backup.state") or row["detail"].get("to") in ends
    ]
