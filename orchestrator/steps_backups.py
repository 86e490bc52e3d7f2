"""The steps that put an application's data into the vault, bring it back, and keep the vault in order."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.orm import Session

from orchestrator import audit, backups, retention, usage, vaults
from orchestrator import steps_guest as guest
from orchestrator import steps_stack as stack
from orchestrator.errors import N_, ClocherError
from orchestrator.ssh import Guest
from orchestrator.steps import Run, Write, nothing
from orchestrator.tables import Service
from orchestrator.tables_backups import Backup, BackupClient
from orchestrator.vaults import Opened

log = structlog.get_logger()

FAILED = {
    "backup": (N_("La sauvegarde a échoué."), N_("Une autre sera tentée d’elle-même ; la DSI en a le détail.")),
    "restore": (N_("La restauration a échoué."), N_("L’application peut être arrêtée : la DSI s’en occupe.")),
}
OF_MACHINES_FAILED = {
    "backup": (
        FAILED["backup"][0],
        N_("Voyez si les programmes de /etc/clocher/backup.d réussissent ; sinon la DSI en a le détail."),
    ),
    "restore": (
        FAILED["restore"][0],
        N_("Rien n’a été remplacé. S’il manque de la place, ajoutez un volume ; sinon la DSI en a le détail."),
    ),
}
UNCOUNTED = ("play_failed", "play_timeout", "play_missing", "usage_missing")
SPARED = timedelta(days=2)  # what was kept by hand of late is not taken for superfluous


def check_vault(run: Run) -> Write:
    """The vault lets the service in."""
    _opened(run)
    return nothing


def check_backup(run: Run) -> Write:
    """The backup that the data comes from is the service's own or its original's, whole, and in its vault."""
    restored_from(run)
    return nothing


def restored_from(run: Run) -> tuple[dict[str, Any], Backup]:
    """What opens the vault, and the flow's backup, which is whole and in there."""
    opened, backup = _opened(run), _backup(run)
    backups.check_ready(backup)
    if backup.vault_id != opened.vault.id:
        raise vaults.missing(_service(run))
    return opened.variables, backup


def count(run: Run) -> Write:
    """Have the application count what it holds. One that can't is backed up all the same, and can't be proved then.

    Of a machine nobody knows what it holds: what is restored is compared with the archive itself.
    """
    if not stack.runs_one(run):
        return _counted(run, {})
    try:
        meters = stack.counted(guest.perform(run, run.specification["play"], "usage", **stack.variables(run)))
    except ClocherError as error:
        if error.code not in UNCOUNTED:
            raise
        log.warning("not counted", flow=run.flow_id, code=error.code, detail=error.detail)
        return nothing
    slug, at, kept = run.specification["stack"]["slug"], datetime.now(UTC), _counted(run, meters)

    def write(session: Session) -> None:
        kept(session)
        usage.keep(session, run.owner, slug, meters, at)

    return write


def _counted(run: Run, meters: dict[str, int]) -> Write:
    return _written(sa.update(Backup).where(Backup.id == run.parameters["backup_id"]).values(meters=meters))


def make(run: Run) -> Write:
    """Have the application put a consistent copy of its data into the vault."""
    backup_id, made, at = run.parameters["backup_id"], _play(run, "backup"), datetime.now(UTC)
    missing = [name for name in ("id", "bytes", "added", "files") if name not in made]
    if missing:
        detail = f"{run.specification['play']}: backup.yml tells no {', '.join(missing)}"
        raise ClocherError("backup_untold", "La sauvegarde n’a pas dit ce qu’elle a gardé.", "Prévenez la DSI.",
                           detail=detail)  # fmt: skip
    return lambda session: backups.keep(session, backup_id, at, made)


def bring_back(run: Run) -> Write:
    """Have the application be what it was when it was backed up; a machine's files come back beside what is there."""
    _play(run, "restore")
    return nothing


def _play(run: Run, act: str) -> dict[str, Any]:
    """Run a play of the stack that goes to the vault; what it gives back."""
    given = {
        **stack.variables(run),
        "operation": run.operation,
        "vault": _opened(run).variables,
        "archive": _backup(run).archive,
    }
    within = run.runtime.settings.backup_timeout
    try:
        outcome = guest.perform(run, run.specification["play"], act, within=within, **given)
    except ClocherError as error:
        if error.code not in ("play_failed", "play_timeout"):
            raise
        words = FAILED if stack.runs_one(run) else OF_MACHINES_FAILED
        raise ClocherError(f"{act}_failed", *words[act], detail=error.detail) from error
    return outcome.result


def prune(run: Run) -> Write:
    """Have the vault erase what need not be kept any longer. It refuses when something is gone that should be there."""
    opened, at = _opened(run), datetime.now(UTC)
    with run.session() as session:
        good = session.scalars(sa.select(Backup).where(
            Backup.service_id == run.owner.service_id, Backup.vault_id == opened.vault.id, Backup.state == "ready",
        )).all()  # fmt: skip
        read = backups.being_read(session, run.owner.service_id)
    gone = [backup_id for backup_id in _superfluous(run, good, at) if backup_id not in read]
    if not gone:
        return nothing
    wanted = {
        "ref": run.facts["ref"],
        "passphrase": opened.variables["passphrase"],
        "keep": [backup.borg_id for backup in good if backup.id not in gone],
    }
    _in_vault(run, opened.vault, "prune", vault_prune=[wanted])

    def write(session: Session) -> None:
        for backup_id in gone:
            backups.change_state(session, backup_id, "deleted", at)

    return write


def _superfluous(run: Run, good: Sequence[Backup], at: datetime) -> list[int]:
    declared = backups.declared(run.specification)
    assert declared  # else nobody asked for this backup
    made = {backup.id: backup.made_at for backup in good if backup.made_at}
    old = retention.superfluous(list(made.items()), **declared["keep"], timezone=run.runtime.settings.timezone)
    return [backup_id for backup_id in old if made[backup_id] <= at - SPARED]


def _in_vault(run: Run, vault: Service, act: str, **given: Any) -> None:
    there = Guest(address=vault.address or "", hostname=vault.name, ref=vault.ref)
    guest.perform_in(run, there, vault.specification["play"], act, given)


def let_clients_in(run: Run) -> Write:
    """Have the vault let in exactly the services that are its clients, each to its own repository."""
    with run.session() as session:
        known = vaults.clients(session)
    changes = {"vault_id": run.owner.service_id, "host_key": _let_in(run, known)}
    told = BackupClient.service_id.in_([service.id for _, service in known]) & BackupClient.ended_at.is_(None)
    quotas = [{"service_id": service.id, "quota_gib": vaults.quota_gib(service)} for _, service in known]

    def write(session: Session) -> None:
        session.execute(sa.update(BackupClient).where(told).values(**changes))
        if quotas:
            session.execute(sa.update(BackupClient), quotas)

    return write


def _let_in(run: Run, known: Sequence[tuple[BackupClient, Service]]) -> str:
    """Tell the vault who its clients are, and nobody else; its host key."""
    listed = [{"ref": str(service.ref), "public_key": client.public_key, "quota_gib": vaults.quota_gib(service)}
              for client, service in known]  # fmt: skip
    outcome = guest.perform(run, run.specification["play"], "clients", vault_clients=listed)
    return str(outcome.result["host_key"])


def forget_clients(run: Run) -> Write:
    """Have the vault delete the repositories of services that are gone."""
    ended = (BackupClient.vault_id == run.owner.service_id) & BackupClient.ended_at.is_not(None)
    query = sa.select(Service).join(BackupClient, BackupClient.service_id == Service.id).where(ended)
    with run.session() as session:
        gone = {service.id: service for service in session.scalars(query)}
        known = vaults.clients(session)
    if not gone:
        return nothing
    _let_in(run, known)  # again: it forgets nobody whom it lets in, and one may be gone only since it was told
    refs = sorted(str(service.ref) for service in gone.values())
    guest.perform(run, run.specification["play"], "forget", vault_forgotten=refs)

    def write(session: Session) -> None:
        session.execute(sa.delete(BackupClient).where(BackupClient.service_id.in_(gone)))
        for service in gone.values():
            detail = {"vault": run.owner.service_id, "flow": run.flow_id}
            audit.record(session, "vault.forget", f"service {service.id}", member_id=service.member_id, detail=detail)

    return write


def _written(change: sa.Executable) -> Write:
    def write(session: Session) -> None:
        session.execute(change)

    return write


def _opened(run: Run) -> Opened:
    with run.session() as session:
        service = session.get_one(Service, _source_id(run))
        return vaults.opened(session, run.runtime.settings, service)


def _source_id(run: Run) -> int:
    """Whose backup it is: the service's own, or that of the one of which it is given the data (`copies`)."""
    return int(run.parameters.get("copies", run.owner.service_id))


def _service(run: Run) -> Service:
    with run.session() as session:
        return session.get_one(Service, _source_id(run))


def _backup(run: Run) -> Backup:
    with run.session() as session:
        return backups.find(session, run.parameters["backup_id"], _source_id(run))
