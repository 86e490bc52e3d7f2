"""The territory's vault, and its clients: which service it is, whom it is to let in, and what opens a repository."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, undefer

from orchestrator import sealing, service_secrets
from orchestrator.errors import Conflict, Text
from orchestrator.settings import Settings
from orchestrator.tables import Member, Service
from orchestrator.tables_backups import BackupClient

PROVIDES = "vault"  # what a stack says of itself that keeps the archives of others
PURPOSE = "backup clients"
PASSPHRASE_LENGTH = 48
# As the vault's own play has them: playbooks/stacks/vault.
USER, FOLDER, PORT = "vault", "/data/vault", 22
# What a repository may take: archives are compressed and hold what did not change only once.
QUOTA_TIMES, QUOTA_MORE_GIB = 3, 5
SYSTEM_GIB = 20  # of a machine, whose people write to its system's disk too: how big that is only the flavor says


@dataclass(frozen=True)
class Opened:
    """A repository and what opens it. guest: the vault itself, where it is pruned."""

    vault: Service
    client: BackupClient
    variables: dict[str, Any]


def present(session: Session) -> Service | None:
    """The vault: the agglomeration's own oldest living service that provides one and can be reached by all."""
    return session.scalar(
        sa.select(Service)
        .join(Member, Member.id == Service.member_id)
        .where(
            Member.kind == "epci",
            Service.specification["stack"]["provides"].as_string() == PROVIDES,
            Service.state.not_in(("creating", "deleting", "deleted", "failed")),
            Service.public_address.is_not(None),
        )
        .order_by(Service.id)
        .limit(1)
    )


def enrol(session: Session, settings: Settings, service: Service) -> None:
    """Make the service a client: a key and a passphrase of its own. One that is a client already stays as it is."""
    key, box = Ed25519PrivateKey.generate(), sealing.box(settings, PURPOSE)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    row = {
        "service_id": service.id,
        "member_id": service.member_id,
        "public_key": key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode(),
        "private_key": box.encrypt(private).decode(),
        "passphrase": box.encrypt(service_secrets.invent(PASSPHRASE_LENGTH).encode()).decode(),
    }
    session.execute(insert(BackupClient).values(**row).on_conflict_do_nothing())


def clients(session: Session) -> list[tuple[BackupClient, Service]]:
    """All that a vault is to let in."""
    query = sa.select(BackupClient, Service).join(Service, Service.id == BackupClient.service_id)
    rows = session.execute(query.where(BackupClient.ended_at.is_(None)).order_by(Service.id))
    return [(client, service) for client, service in rows]


def quota_gib(service: Service) -> int:
    """How much a service's repository may take."""
    wanted = service.specification
    volumes = sum(int(volume["disk_gib"]) for volume in wanted.get("volumes", {}).values())
    disks = int(wanted["disk_gib"]) + volumes + (0 if "stack" in wanted else SYSTEM_GIB)
    return QUOTA_TIMES * disks + QUOTA_MORE_GIB


def opened(session: Session, settings: Settings, service: Service) -> Opened:
    """What the plays of a service open its repository with. Raises Conflict `no_vault`."""
    vault = present(session)
    client = session.get(BackupClient, service.id, options=[undefer("*")])
    if vault is None or vault.state != "active" or client is None or client.vault_id != vault.id:
        raise missing(service)
    return Opened(vault, client, _variables(settings, vault, client, service))


def _variables(settings: Settings, vault: Service, client: BackupClient, service: Service) -> dict[str, Any]:
    box = sealing.box(settings, PURPOSE)
    return {
        "address": vault.public_address,
        "port": PORT,
        "user": USER,
        "path": f"{FOLDER}/{service.ref}",
        "host_key": client.host_key,
        "private_key": service_secrets.unseal(box, client.private_key),
        "passphrase": service_secrets.unseal(box, client.passphrase),
    }


def missing(service: Service) -> Conflict:
    """The error for a service that no vault lets in."""
    return Conflict(
        "no_vault",
        Text("Aucun coffre de sauvegarde n’est ouvert à « {name} » pour l’instant.", name=service.name),
        "Réessayez dans quelques minutes ; si cela dure, la DSI doit commander ou démarrer le coffre de"
        " l’agglomération, avec une adresse publique.",
    )
