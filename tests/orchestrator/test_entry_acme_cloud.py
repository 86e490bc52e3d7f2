"""An entry whose certificates come from a real ACME authority, on the real dev cloud: got, renewed, and refused."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from orchestrator import ansible, entry, entry_certificates, ssh
from orchestrator.database import territory_session
from orchestrator.entry_certificates import Certificate
from orchestrator.readiness import Seen
from orchestrator.ssh import Guest
from orchestrator.tables import AuditEntry
from tests.orchestrator import pebble, test_entry_cloud
from tests.orchestrator.conftest import NUMBER
from tests.orchestrator.flowing import eventually
from tests.orchestrator.pebble import Pebble
from tests.orchestrator.test_entry_cloud import DOMAIN, ENTRY, Reader, Town, make_entry, town

__all__ = ["town"]
pytestmark = [pytest.mark.cloud, pytest.mark.slow]

GATE = f"198.18.{NUMBER}.1"  # this machine, as guests see it
HOST = f"un.essai.{DOMAIN}"
OTHER, LATER = f"deux.essai.{DOMAIN}", f"trois.essai.{DOMAIN}"
FOLDER = f"/data/entry/{DOMAIN}"
KEYS = f"find {FOLDER} -type f -printf '%u:%m\\n'"


@pytest.fixture
def authority(town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pebble]:
    with pebble.authority(GATE, tmp_path) as made:
        answers = {"certificates": "acme", "acme_directory": made.directory, "acme_contact": "dsi@valmont.test"}
        monkeypatch.setitem(ENTRY, "answers", answers)
        trust = made.start()
        town.stage.settings = town.stage.settings.model_copy(update={"entry_authority": trust})
        yield made


def on(town: Town, script: str) -> str:
    """What a script says that root runs on the entry."""
    service, _ = town.entry()
    guest = Guest(service.address or "", service.name, service.ref)
    return ssh.run(town.stage.settings, guest, "sudo", "bash", "-c", script, timeout=120)


def certificate(town: Town, host: str) -> Certificate:
    _, made = town.entry()
    (found,) = [one for one in entry_certificates.read(made.certificates, datetime.now(UTC)) if one.host == host]
    return found


def newer(town: Town, before: bytes) -> Seen | None:
    """What is seen of the host with another certificate; one process of HAProxy takes over from the other by and by."""
    seen = town.ask(HOST)
    assert seen.said is None
    return seen if seen.certificate != before else None


class Page(BaseHTTPRequestHandler):
    """An application, on this machine: what is behind the entry is not what is tried here."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "7")
        self.end_headers()
        self.wfile.write(b"Bonjour")

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def application() -> Iterator[dict[str, Any]]:
    """Where it answers, as a route says it."""
    with ThreadingHTTPServer((GATE, 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield {"address": GATE, "port": server.server_port, "stopped": False}
        server.shutdown()


def lead(town: Town, application: dict[str, Any], *hosts: str) -> None:
    """The entry is told of these names, as it is when services are added."""
    service, made = town.entry()
    routes = [{"host": host, **application} for host in hosts]
    given = {"answers": ENTRY["answers"], **entry.variables(made.domain, routes, made.authority)}
    guest = Guest(service.address or "", service.name, service.ref)
    told = ansible.configure(town.stage.settings, "stacks/entry", guest, given, lambda _: None, act="routes")
    with territory_session(town.stage.owner, "tests") as session:
        entry.keep(session, service.id, made.domain, made.authority, routes, told.result["certificates"])


def test_certificates_come_from_an_acme_authority(town: Town, authority: Pebble, application: dict[str, Any]) -> None:
    worker = town.stage.start()
    entry_id = make_entry(town)
    authority.name(town.entry()[0].public_address or "")
    worker.terminate()  # its duties would take names away that no service has
    worker.join(30)
    lead(town, application, HOST)
    got = certificate(town, HOST)
    assert (got.trouble, (got.issuer or "").startswith("Pebble")) == ("", True)
    assert (town.ask(HOST).said, town.ask(HOST).body) == (None, "Bonjour")
    assert town.plain(HOST)[:2] == (301, f"https://{HOST}/a?b=c")

    # Nobody who reads notices that a name is added, that the play runs again or that the certificate is renewed.
    with Reader(town, HOST) as reader:
        lead(town, application, HOST, OTHER)
        assert (certificate(town, OTHER).trouble, town.ask(OTHER).said) == ("", None)
        assert test_entry_cloud.again(town, entry_id) == 0
        before = town.ask(HOST).certificate
        assert f"certificate of {HOST}" in on(town, f"entry-hosts ask {HOST} && entry-take {FOLDER}")
        renewed = eventually(lambda: newer(town, before), "HAProxy's new process", 20)
        assert renewed

    # Without the authority, what there is goes on; a name that is new has none, which the DSI is told, with the reason.
    authority.stop()
    with reader.more():
        assert f"refused {HOST}" in on(town, f"entry-hosts ask {HOST} && entry-take {FOLDER}")
        assert town.ask(HOST).certificate == renewed.certificate
        lead(town, application, HOST, LATER)
    assert [seen.said for seen in reader.answers if seen.said] == []
    assert len(reader.answers) > 50
    later = certificate(town, LATER)
    assert (later.trouble, later.code) == ("missing", "silent")
    with territory_session(town.stage.owner, "tests") as session:
        (news,) = session.scalars(sa.select(AuditEntry.detail).where(AuditEntry.action == "certificate.late"))
    assert [(one["host"], one["trouble"], "refused" in one["why"]) for one in news["hosts"]] == [
        (LATER, "missing", True)
    ]

    # Keys are root's, in no log, and gone with their names. What sudo logs of this very command is no key.
    assert set(on(town, KEYS).split()) <= {"root:600", "root:400"}
    own = f"{FOLDER}/hosts/{HOST}.pem"
    assert int(on(town, f"sed -n 2p {own} | wc -c")) > 40
    logs = f"(journalctl; cat /var/log/letsencrypt/*) | grep -c -e 'PRIVATE[ ]KEY' -f <(sed -n 2p {own}) || true"
    assert on(town, logs).strip() == "0"
    assert OTHER not in on(town, f"find {FOLDER}")
