"""Leaving with one's data in the pages, by the API and on the command line."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread

import pytest
import sqlalchemy as sa
from apiflask import APIFlask

from orchestrator import exports
from orchestrator.database import territory_session
from orchestrator.settings import Settings
from orchestrator.tables import FLOW_LIVE, AuditEntry, Flow
from orchestrator.tables_exports import Export
from tests.api.conftest import Run, told
from tests.api.people import csrf, invite
from tests.tenants import leaving
from tests.tenants.test_leaving import delete
from tests.tenants.vaulted import Valley, valley

pytestmark = pytest.mark.slow


@pytest.fixture
def place(owner: sa.Engine, settings: Settings) -> Valley:
    return valley(owner, settings)


@pytest.fixture
def working(place: Valley) -> Iterator[None]:
    """Something that ends the flows that are queued, as a worker does."""
    over = Event()

    def work() -> None:
        while not over.wait(0.05):
            with territory_session(place.owner, "tests") as session:
                live = session.scalar(sa.select(Flow.id).where(Flow.state.in_(FLOW_LIVE)))
            if live:
                leaving.made(place.owner, place.settings, datetime.now(UTC))

    thread = Thread(target=work)
    thread.start()
    yield
    over.set()
    thread.join()


def test_a_page_offers_makes_and_gives_it(app: APIFlask, place: Valley) -> None:
    agent = invite(app, "Camille", "brevaux", ["requester"]).client()
    page = f"/services/{place.service_id}"
    assert "Aucun export pour l’instant" in agent.get(page).text
    asked = agent.post(f"{page}/exports", data={"csrf": csrf(agent)}, follow_redirects=True).text
    assert "L’export est en cours" in asked and "Une opération est déjà en cours" in asked
    made = leaving.made(place.owner, place.settings, datetime.now(UTC))
    assert made.sha256 and made.sha256 in agent.get(page).text
    given = agent.post(f"{page}/exports/{made.id}/archive", data={"csrf": csrf(agent)}, buffered=True)
    assert given.headers["Content-Disposition"] == f"attachment; filename={made.title}.tar.gz"
    assert given.headers["Cache-Control"] == "no-store"
    assert leaving.opened(given.data)["donnees/index.html"] == leaving.GREETING
    with territory_session(place.owner, "tests") as session:
        [taker] = session.scalars(sa.select(AuditEntry.actor).where(AuditEntry.action == "export.download"))
    assert "Camille" in taker


def test_who_only_reads_takes_nothing(app: APIFlask, place: Valley) -> None:
    agent = invite(app, "Claude", "brevaux", ["approver"]).client()
    page = f"/services/{place.service_id}"
    assert "Exporter les données" not in agent.get(page).text
    assert agent.post(f"{page}/exports", data={"csrf": csrf(agent)}).status_code == 403


def test_the_api_makes_and_gives_it(app: APIFlask, place: Valley) -> None:
    client, token = app.test_client(), invite(app, "Camille", "brevaux", ["requester"]).token()
    said = {"Authorization": f"Bearer {token}"}
    path = f"/api/v1/services/{place.service_id}/exports"
    asked = client.post(path, headers=said)
    assert (asked.status_code, asked.json["export"]["state"]) == (202, "making")
    one = f"{path}/{asked.json['export']['id']}"
    early = client.get(f"{one}/archive", headers=said)
    assert (early.status_code, early.json["code"]) == (409, "export_state")
    leaving.made(place.owner, place.settings, datetime.now(UTC))
    made = client.get(one, headers=said).json
    assert [made] == client.get(path, headers=said).json["items"]
    assert "file" not in made and "papers" not in made
    given = client.get(f"{one}/archive", headers=said, buffered=True)
    assert (len(given.data), hashlib.sha256(given.data).hexdigest()) == (made["bytes"], made["sha256"])
    # One that was cut goes on where it was.
    rest = client.get(f"{one}/archive", headers=said | {"Range": f"bytes=100-{made['bytes'] - 1}"}, buffered=True)
    assert (rest.status_code, rest.data) == (206, given.data[100:])


def test_a_deletion_is_certified_everywhere(app: APIFlask, place: Valley, run: Run) -> None:
    person = invite(app, "Camille", "brevaux", ["requester"])
    agent, page = person.client(), f"/services/{place.service_id}"
    assert agent.get(f"{page}/certificate").status_code == 409
    delete(place)
    assert f"{page}/certificate" in agent.get(page).text
    shown = agent.get(f"{page}/certificate").text
    assert "Certificat de suppression" in shown and "Suppression demandée" in shown
    text = agent.get(f"{page}/certificate.txt")
    assert text.headers["Content-Disposition"] == 'attachment; filename="suppression-brevaux-salut.txt"'
    assert "CERTIFICAT DE SUPPRESSION" in text.text and "Secret admin_password\xa0: détruit." in text.text
    assert "CERTIFICATE OF DELETION" in agent.get(f"{page}/certificate.txt?lang=en").text
    said = {"Authorization": f"Bearer {person.token()}"}
    known = app.test_client().get(f"/api/v1{page}/certificate", headers=said).json
    assert known["repository"] == "none" and len(known["trail"][0]["hash"]) == 64
    assert told(run("services", "certificate", str(place.service_id), "--json"))["service"]["name"] == "salut"


def test_the_command_waits_fetches_and_verifies(place: Valley, run: Run, working: None, tmp_path: Path) -> None:
    number, path = str(place.service_id), tmp_path / "salut.tar.gz"
    assert "Aucun export" in run("services", "exports", number).stdout
    assert "[not_found]" in run("services", "exports", "999").stderr
    taken = told(run("services", "export", number, "--to", str(path), "--json"))
    assert taken["file"] == str(path) and hashlib.sha256(path.read_bytes()).hexdigest() == taken["sha256"]
    assert "donnees/index.html" in leaving.opened(path)
    assert [row["state"] for row in told(run("services", "exports", number, "--json"))] == ["ready"]
    said = run("services", "export", number, "--to", str(path))
    assert "SHA-256 vérifié" in said.stdout, said.stderr


def test_the_command_keeps_no_damaged_archive(place: Valley, run: Run, tmp_path: Path, working: None) -> None:
    path = tmp_path / "salut.tar.gz"
    broken = exports.path

    def damaged(settings: Settings, export: Export) -> Path:
        found = broken(settings, export)
        if found.is_file():
            found.write_bytes(b"x")
        return found

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(exports, "path", damaged)
        done = run("services", "export", str(place.service_id), "--to", str(path), "--json")
    assert (done.exit_code, json.loads(done.stderr)["error"]["code"]) == (3, "export_damaged")
    assert list(tmp_path.glob("salut*")) == []
