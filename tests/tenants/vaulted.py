"""What tests of backups begin with: a commune with an application, and the agglomeration with a vault."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import pytest
import sqlalchemy as sa

from orchestrator import backups as kept
from orchestrator import vaults
from orchestrator.database import territory_session
from orchestrator.errors import ClocherError
from orchestrator.settings import ROOT, Settings
from orchestrator.tables import Flow, Member, Service
from orchestrator.tables_backups import Backup, BackupClient
from tenants import backups_working, catalogue, orders
from tests.tenants.ordering import KEY, NOW, member, seed
from tests.tenants.test_changes import end

STACKS = [ROOT / "playbooks" / "examples", ROOT / "playbooks" / "stacks"]
HOUR, PARIS = 1, "Europe/Paris"
MADE = {"archive": "a", "id": "f" * 64, "bytes": 2_500_000, "added": 1_000, "files": 3}


@dataclass
class Valley:
    """A running application of a commune, and the agglomeration's vault, told to let it in."""

    owner: sa.Engine
    settings: Settings
    commune: int
    agglomeration: int
    service_id: int
    vault_id: int

    def let_in(self) -> None:
        """What the flow that tends the vault leaves behind."""
        with territory_session(self.owner, "worker tests") as session:
            backups_working.enrol(session, self.settings)
            for client, service in vaults.clients(session):
                client.vault_id, client.host_key = self.vault_id, "ssh-ed25519 AAAA"
                client.quota_gib = vaults.quota_gib(service)

    def machine(self) -> int:
        """A virtual machine of the commune that runs; its id."""
        chosen = {"name": "archives", "ssh_keys": [KEY]}
        with territory_session(self.owner, "tests") as session:
            order = orders.place(session, self.commune, "vm-small", chosen, "machine", NOW)
        end(self.owner, order.flow_id, "done", "active")
        assert order.service_id
        return order.service_id

    def make_due(self, at: datetime) -> list[int]:
        with territory_session(self.owner, "worker tests") as session:
            return backups_working.make_due(session, at, HOUR, PARIS)

    def watch(self, at: datetime) -> list[int]:
        with territory_session(self.owner, "worker tests") as session:
            return backups_working.watch(session, at)

    def tend(self, at: datetime) -> int | None:
        with territory_session(self.owner, "worker tests") as session:
            flow = backups_working.tend(session, at)
            return flow.id if flow else None

    def ended(self, at: datetime, *, good: bool = True) -> Backup:
        """The last backup, made or given up, and its flow."""
        with territory_session(self.owner, "flow tests") as session:
            flow = session.scalars(
                sa.select(Flow).where(Flow.kind == "backup_service").order_by(Flow.id.desc())
            ).first()
            assert flow
            backup_id = flow.parameters["backup_id"]
            if good:
                session.execute(sa.update(Backup).where(Backup.id == backup_id).values(meters={"pages": 1}))
                kept.keep(session, backup_id, at, MADE)
            kept.give_up(session, flow)
            flow.state, flow.ended_at = "done" if good else "failed", at
            session.flush()
            return session.get_one(Backup, backup_id)

    def proved(self, at: datetime, *, good: bool = True) -> None:
        """What the last proof's flow leaves behind."""
        with territory_session(self.owner, "flow tests") as session:
            flow = session.scalars(sa.select(Flow).where(Flow.kind == "prove_backup").order_by(Flow.id.desc())).first()
            assert flow
            if good:
                kept.prove(session, flow.parameters["backup_id"], at, 61.4)
            else:
                kept.refute(session, flow.parameters["backup_id"], at)
            flow.state, flow.ended_at = "done" if good else "failed", at

    def specify(self, service_id: int, **columns: object) -> None:
        with territory_session(self.owner, "tests") as session:
            session.execute(sa.update(Service).where(Service.id == service_id).values(**columns))


def refused(code: str) -> pytest.RaisesExc[ClocherError]:
    """What is done in it is refused with this code."""
    return pytest.RaisesExc(ClocherError, check=lambda error: error.code == code)


def backed_up(owner: sa.Engine, settings: Settings, at: datetime) -> Valley:
    """The valley with one good backup, of that instant, not proved."""
    place = valley(owner, settings)
    place.let_in()
    place.make_due(at)
    place.ended(at)
    return place


def valley(owner: sa.Engine, settings: Settings) -> Valley:
    """The two members, their services running since NOW."""
    seed(owner)
    commune, agglomeration = member(owner), member(owner, "agglo")
    with territory_session(owner, "tests") as session:
        session.execute(sa.update(Member).where(Member.id == agglomeration).values(kind="epci"))
        catalogue.load(session, places=STACKS)
        vault = orders.place(
            session, agglomeration, "vault-small", {"name": "coffre", "public_address": True}, "k", NOW
        )
        wanted = {"name": "salut", "greeting": "Bonjour"}
        app = orders.place(session, commune, "hello", wanted, "k", NOW)
        running = {"changed_at": NOW, "public_address": "203.0.113.9"}
        session.execute(sa.update(Service).where(Service.id == vault.service_id).values(**running))
    for order in (vault, app):
        end(owner, order.flow_id, "done", "active")
    assert vault.service_id and app.service_id
    with territory_session(owner, "tests") as session:
        session.execute(sa.update(BackupClient).values(made_at=NOW))
    return Valley(owner, settings, commune, agglomeration, app.service_id, vault.service_id)
