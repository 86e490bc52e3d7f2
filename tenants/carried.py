"""A service that is made from another one's backup: which backup, and what the new service is made to be."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator import backups, vaults
from orchestrator.errors import Conflict, InvalidInput, Text
from orchestrator.tables import Service
from orchestrator.tables_backups import Backup, BackupClient
from tenants import reading
from tenants.tables import Order

SUFFIX = "-essai"  # how the name of a test copy ends: so no list, address or statement can hide what it is
GONE = ("creating", "deleting", "deleted", "failed")


def copied_from(service: Service) -> dict[str, Any] | None:
    """Of which service (id, name) this one is a test copy; None when it is none."""
    found: dict[str, Any] | None = service.specification.get("copy_of")
    return found


def refuse_copy(service: Service) -> None:
    """Raise Conflict test_copy: what goes out of a test copy could be taken for the original's."""
    if copied_from(service):
        raise Conflict(
            "test_copy",
            Text("« {name} » est une copie d’essai.", name=service.name),
            "Faites-le avec le service d’origine.",
        )


def invalid_name() -> InvalidInput:
    """The error that says how a test copy is named."""
    return InvalidInput(
        "invalid_name",
        "Le nom d’une copie d’essai finit par « -essai » et n’a que a-z, 0-9 et des tirets (40 au plus).",
        "Choisissez un autre nom.",
    )


def no_copy() -> Conflict:
    """The error for a service that is no test copy."""
    return Conflict("not_a_copy", "Ce service n’est pas une copie d’essai.", "Restaurez une de ses sauvegardes.")


def vault_of(session: Session, service: Service) -> int:
    """The vault that lets a service in. Raises Conflict not_an_application, not_backed_up or no_vault."""
    own = service.specification.get("stack")
    if not own:
        raise Conflict(
            "not_an_application",
            Text("« {name} » est une machine nue : seules les applications se copient ainsi.", name=service.name),
            "Commandez une machine de même taille et copiez-y les données par SSH (rsync), puis supprimez celle-ci.",
        )
    if not own.get("backup"):
        raise Conflict(
            "not_backed_up",
            Text("« {name} » ne se sauvegarde pas dans le coffre.", name=service.name),
            "Choisissez un service qui se sauvegarde.",
        )
    client = session.get(BackupClient, service.id)
    if client is None or client.vault_id is None:
        raise vaults.missing(service)
    return client.vault_id


def backup_of(session: Session, service: Service, backup_id: int | None) -> Backup:
    """A good backup of a service: the one that is named, else the newest.

    Raises backup_not_found, Conflict backup_state, no_backup and what `vault_of` raises.
    """
    vault_id = vault_of(session, service)
    if backup_id is None:
        good = sa.select(Backup).where(
            Backup.service_id == service.id, Backup.vault_id == vault_id, Backup.state == "ready"
        )
        newest = session.scalar(good.order_by(Backup.made_at.desc()).limit(1))
        if newest is None:
            raise Conflict(
                "no_backup",
                Text("« {name} » n’a pas encore de sauvegarde.", name=service.name),
                "Faites-en une d’abord.",
            )
        return newest
    found = backups.find(session, min(backup_id, reading.BEYOND), service.id)
    backups.check_ready(found)
    if found.vault_id != vault_id:
        raise vaults.missing(service)
    return found


def specification(session: Session, order: Order) -> dict[str, Any]:
    """What the new service is made of: as its original today, but for what the order says."""
    source, chosen = session.get_one(Service, order.parameters["source"]), order.parameters
    own = ("disk_gib", "public_address", "ssh_keys")
    made = {name: value for name, value in source.specification.items() if name not in ("volumes", "copy_of")}
    made |= {name: chosen[name] for name in own}
    if order.kind == "clone":
        made["copy_of"] = {"service": source.id, "name": source.name}
        made["stack"] = {name: value for name, value in made["stack"].items() if name != "backup"}
    return made


def work(session: Session, order: Order) -> tuple[str, dict[str, Any]]:
    """The flow that makes the new service, and its parameters."""
    source, backup_id = session.get_one(Service, order.parameters["source"]), order.parameters["backup_id"]
    if order.kind == "move":  # whose backup the flow makes itself
        return "move_service", {"copies": source.id, "backup_id": backup_id, "takes_over": True}
    return "create_server", {"copies": source.id, "backup_id": backup_of(session, source, backup_id).id}
