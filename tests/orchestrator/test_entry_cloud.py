"""An entry, two applications of another member behind it, and what visitors see meanwhile, on the real dev cloud."""

from __future__ import annotations

import http.client
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import pytest

from orchestrator import ansible, entry, readiness
from orchestrator.database import territory_session
from orchestrator.readiness import Seen
from orchestrator.settings import ROOT
from orchestrator.tables import Resource, Service
from orchestrator.tables_entry import Availability, Entry
from tests.orchestrator.flowing import Stage, eventually
from tests.orchestrator.test_stacks import HELLO
from tests.orchestrator.vaulted import agglomeration

pytestmark = [pytest.mark.cloud, pytest.mark.slow]

DOMAIN = "valmont.test"
STACK: dict[str, Any] = {
    "slug": "entry", "version": "1", "ports": [80, 443], "web": None, "secrets": [], "provides": "entry",
    "health": [{"port": 80, "path": "/", "status": 404, "contains": "Adresse inconnue"}],
}  # fmt: skip
ENTRY = {
    "play": "stacks/entry", "stack": STACK, "disk_gib": 1, "public_address": True,
    "answers": {"certificates": "internal", "acme_directory": "", "acme_contact": ""},
}  # fmt: skip
SECONDS = 600


@dataclass
class Town:
    """The stage, with the agglomeration beside the commune: a member with a place of its own, for the entry."""

    stage: Stage
    agglomeration: int

    def entry(self) -> tuple[Service, Entry]:
        with territory_session(self.stage.owner, "tests") as session:
            known = entry.find(session)
            assert known
            return session.get_one(Service, known.service_id), session.get_one(Entry, known.service_id)

    def ask(self, host: str) -> Seen:
        """A page by its name, as a browser that trusts the territory's authority asks for it."""
        service, made = self.entry()
        return readiness.ask_url(service.public_address or "", host, made.authority, "/")

    def plain(self, host: str) -> tuple[int, str, str]:
        """Status, where to, and body of what HTTP without TLS answers."""
        service, _ = self.entry()
        with closing(http.client.HTTPConnection(service.public_address or "", timeout=10)) as connection:
            connection.request("GET", "/a?b=c", headers={"Host": host})
            answer = connection.getresponse()
            return answer.status, answer.getheader("Location") or "", answer.read().decode()


@dataclass
class Reader:
    """Somebody who asks for a page all the time."""

    town: Town
    host: str
    answers: list[Seen] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def more(self) -> Reader:
        """The same again."""
        self.over.clear()
        return self

    def __enter__(self) -> Reader:
        self.thread = threading.Thread(target=self.read)
        self.thread.start()
        return self

    def read(self) -> None:
        service, made = self.town.entry()
        while not self.over.wait(0.05):
            self.answers.append(readiness.ask_url(service.public_address or "", self.host, made.authority, "/"))

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.thread.join(30)


@pytest.fixture
def town(stage: Stage) -> Iterator[Town]:
    stage.settings = stage.settings.model_copy(
        update={
            "stacks_dirs": (ROOT / "playbooks" / "examples",), "entry_domain": DOMAIN, "availability_seconds": 10,
        }
    )  # fmt: skip
    try:
        with agglomeration(stage) as member_id:
            yield Town(stage, member_id)
    finally:
        admit()


def admit(*addresses: str) -> None:
    """What the operator of the edge does once."""
    subprocess.run([sys.executable, "-m", "devcloud", "admit", *addresses], cwd=ROOT, check=True, timeout=30)


def done(town: Town, flow: int) -> None:
    (ended,) = town.stage.rest(flow, seconds=SECONDS)
    assert (ended.state, ended.error_detail) == ("done", None)


def make_entry(town: Town) -> int:
    stage, commune = town.stage, town.stage.member_id
    stage.member_id = town.agglomeration
    service_id, flow = stage.order("portail", **ENTRY)
    stage.member_id = commune
    done(town, flow)
    admit(stage.service(service_id).public_address or "")
    return service_id


def again(town: Town, service_id: int) -> int:
    """How many tasks of the entry's play change something when it runs again."""
    stage, (service, made) = town.stage, town.entry()
    (volume,) = stage.rows(Resource, Resource.service_id == service_id, Resource.kind == "volume")
    given = {
        "admin": "admin", "ssh_keys": [], "volumes": [{"id": volume.cloud_id, "mount": "/data", "gib": 1}],
        "answers": ENTRY["answers"], **entry.variables(made.domain, made.routes, made.authority),
    }  # fmt: skip
    guest = ansible.Guest(service.address or "", service.name, service.ref)
    changed: list[str | None] = []
    outcome = ansible.configure(
        stage.settings, "stacks/entry", guest, given,
        lambda event: changed.append(event.task) if event.outcome == "changed" else None,
    )  # fmt: skip
    assert not changed
    return outcome.changed


def test_applications_answer_at_their_names(town: Town) -> None:
    stage = town.stage
    stage.start()
    entry_id = make_entry(town)
    first, flow = stage.order("un", **HELLO)
    done(town, flow)
    assert {"routes", "url"} <= set(stage.steps(flow))
    page = town.ask(f"un.essai.{DOMAIN}")
    assert (page.said, "Bonjour Essai" in page.body) == (None, True)
    assert town.plain(f"un.essai.{DOMAIN}")[:2] == (301, f"https://un.essai.{DOMAIN}/a?b=c")

    # Nobody who reads the first notices that a second comes, stops, or that the entry is configured again.
    with Reader(town, f"un.essai.{DOMAIN}") as reader:
        second, flow = stage.order("deux", **HELLO)
        done(town, flow)
        assert town.ask(f"deux.essai.{DOMAIN}").said is None
        assert again(town, entry_id) == 0
        done(town, stage.ask(second, "stop_server"))
        off = town.ask(f"deux.essai.{DOMAIN}")
        done(town, stage.ask(second, "delete_server"))
    assert [seen.said for seen in reader.answers if seen.said] == []
    assert len(reader.answers) > 100
    assert (off.said, "Service indisponible" in off.body, "Service unavailable" in off.body) == ("HTTP 503", True, True)
    status, _, body = town.plain(f"deux.essai.{DOMAIN}")
    assert (status, "Adresse inconnue" in body, "Unknown address" in body) == (404, True, True)

    # The address goes with the name.
    done(town, stage.ask(first, "rename_server", name="trois"))
    assert town.ask(f"trois.essai.{DOMAIN}").said is None
    assert town.plain(f"un.essai.{DOMAIN}")[0] == 404
    eventually(lambda: seen(town, first), "an answer that is counted", 60)
    done(town, stage.ask(first, "delete_server"))
    done(town, stage.ask(entry_id, "delete_server"))
    with territory_session(stage.owner, "tests") as session:
        assert entry.find(session) is None and not session.query(Entry).count()


def seen(town: Town, service_id: int) -> bool:
    with territory_session(town.stage.owner, "tests") as session:
        rows = session.query(Availability).filter_by(service_id=service_id).all()
        return bool(rows) and all(row.good and row.certificate_until and row.answered for row in rows)
