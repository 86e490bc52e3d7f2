"""A commune and its agglomeration on the dev cloud, for tests of what goes from one's guest into the other's vault."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from orchestrator import ansible, cloud, places, ssh, vaults
from orchestrator.database import territory_session
from orchestrator.settings import ROOT
from orchestrator.ssh import Guest
from orchestrator.tables import Flow, Member, Place
from tenants import backups_working, stacks
from tests.orchestrator.conftest import QUOTAS
from tests.orchestrator.flowing import Stage, clear, eventually

EXAMPLES, OURS = ROOT / "playbooks" / "examples", ROOT / "playbooks" / "stacks"
SECONDS = 600.0


@dataclass
class Valley:
    """A commune (the stage's own member) and the agglomeration, whose place is another."""

    stage: Stage
    commune: int
    agglomeration: int

    def order(self, member_id: int, name: str, stack: stacks.Declared, **more: Any) -> tuple[int, int]:
        chosen = {"greeting": "Salut", "contact": "", "until": ""}
        known = stack.model_dump(mode="json", exclude_none=True)
        self.stage.member_id = member_id
        return self.stage.order(name, disk_gib=1, **stacks.specification(known, chosen), **more)

    def work(self, at: datetime | None = None) -> None:
        """What the duty does."""
        with territory_session(self.stage.owner, "worker tests") as session:
            backups_working.work(session, self.stage.settings, at or datetime.now(UTC))

    def round(self, at: datetime | None = None) -> None:
        """What the duty does, and the end of what it began."""
        self.work(at)
        self.settle()

    def settle(self) -> None:
        """The end of every flow; one that is held would never come."""

        def ended() -> bool:
            flows = self.stage.rows(Flow)
            assert not [flow.error_detail for flow in flows if flow.state == "held"]
            return all(flow.ended_at for flow in flows)

        eventually(ended, "an end of all flows", SECONDS)

    def play(self, service_id: int, act: str) -> None:
        service = self.stage.service(service_id)
        guest = Guest(address=service.address or "", hostname=service.name, ref=service.ref)
        ansible.configure(self.stage.settings, "stacks/hello", guest, {}, lambda event: None, act=act)

    def repositories(self, vault_id: int) -> list[str]:
        vault = self.stage.service(vault_id)
        guest = Guest(address=vault.address or "", hostname=vault.name, ref=vault.ref)
        return ssh.run(self.stage.settings, guest, "sudo", "ls", vaults.FOLDER).split()

    def last(self) -> Flow:
        return self.stage.rows(Flow)[-1]


@contextmanager
def opened(stage: Stage) -> Iterator[Valley]:
    """It is day: no proof is made by itself."""
    noon = (datetime.now(ZoneInfo(stage.settings.timezone)).hour + 12) % 24
    stage.settings = stage.settings.model_copy(update={"stacks_dirs": (EXAMPLES,), "backup_hour": noon})
    with agglomeration(stage) as member_id:
        yield Valley(stage, stage.member_id, member_id)


@contextmanager
def agglomeration(stage: Stage) -> Iterator[int]:
    """The agglomeration, with a place of its own beside that of the stage's member; its id."""
    site = places.open_site(cloud.connect(stage.settings))
    name, cidr = f"agglo-{uuid.uuid4().hex[:8]}", f"10.{random.randint(200, 238)}.{random.randint(0, 255)}.0/24"
    ids = places.visit(places.Walk(site, places.Wanted(name, "Agglomeration", cidr, (), QUOTAS), act=True))
    try:
        with territory_session(stage.owner, "tests") as session:
            house = Member(slug="agglo", name="Agglo", kind="epci", siren="200000008", siret="20000000800009")
            session.add(house)
            session.flush()
            session.add(Place(member_id=house.id, **vars(ids)))
        yield house.id
    finally:
        stage.stop()
        clear(stage.settings, ids)
        places.remove(site, name)
