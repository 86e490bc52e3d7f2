"""Backups of services in the pages, by the API and on the command line."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from apiflask import APIFlask

from orchestrator.database import territory_session
from orchestrator.settings import Settings
from orchestrator.tables_backups import BackupClient
from tests.api.conftest import Run, told
from tests.api.people import csrf, invite
from tests.tenants.ordering import NOW
from tests.tenants.test_upgrades import publish
from tests.tenants.vaulted import Valley, valley

pytestmark = pytest.mark.slow


@pytest.fixture
def place(owner: sa.Engine, settings: Settings) -> Valley:
    return valley(owner, settings)


def test_a_page_says_what_is_kept(app: APIFlask, place: Valley) -> None:
    agent = invite(app, "Camille", "brevaux", ["requester"]).client()
    page = f"/services/{place.service_id}"
    assert "Aucun coffre de sauvegarde n’est ouvert" in agent.get(page).text
    place.let_in()
    assert "Aucune sauvegarde pour l’instant" in agent.get(page).text
    asked = agent.post(f"{page}/backups", data={"csrf": csrf(agent)}, follow_redirects=True).text
    assert "La sauvegarde est en cours." in asked
    again = agent.post(f"{page}/backups", data={"csrf": csrf(agent)}, follow_redirects=True).text
    assert "Une opération est déjà en cours" in again
    made = place.ended(NOW)
    shown = agent.get(page).text
    assert "2,4\xa0Mio" in shown and "Sauvegarder maintenant" in shown
    assert "Aucune sauvegarde n’a encore été restaurée à l’essai" in shown
    prove = agent.post(f"{page}/backups/{made.id}/prove", data={"csrf": csrf(agent)}, follow_redirects=True).text
    assert "La restauration d’essai commence" in prove
    place.proved(NOW)
    proof = agent.get(page).text
    assert "en 1\xa0min 01\xa0s" in proof and "Pages 1" in proof and "réussie" in proof
    restore = f"{page}/backups/{made.id}/restore"
    assert restore in shown
    assert "Tout ce qui a été écrit dans l’application depuis" in agent.get(restore).text
    assert agent.post(restore, data={"csrf": csrf(agent)}).status_code == 302
    assert "Restauration d’une sauvegarde" in agent.get(page).text


def test_a_newer_version_is_shown_and_asked_for(app: APIFlask, place: Valley, tmp_path: Path, run: Run) -> None:
    place.let_in()
    place.make_due(NOW)
    made = place.ended(NOW)
    client = invite(app, "Camille", "brevaux", ["requester"]).client()
    page = f"/services/{place.service_id}"
    nothing = client.get(f"{page}/upgrade")
    assert nothing.status_code == 409 and "la plus récente" in nothing.text
    look = ("services", "upgrade", str(place.service_id), "--dry-run")
    assert "Rien de plus récent" in run(*look).stdout
    publish(place, tmp_path)
    assert [row["version"] for row in told(run(*look, "--json"))] == ["2"]
    shown = client.get(page).text
    assert "Une version plus récente est proposée" in shown and "Mieux." in shown
    assert "n’a réussi ces dernières 24 heures" in shown
    refused = client.post(f"{page}/upgrade", data={"csrf": csrf(client)})
    assert refused.status_code == 409 and "n’a réussi ces dernières 24 heures" in refused.text
    client.post(f"{page}/backups/{made.id}/prove", data={"csrf": csrf(client)})
    place.proved(datetime.now(UTC))
    assert f"{page}/upgrade" in client.get(page).text
    assert "Better." in client.get(f"{page}/upgrade?lang=en").text
    assert client.post(f"{page}/upgrade", data={"csrf": csrf(client)}).status_code == 302
    token = invite(app, "Lou", "brevaux", ["requester"]).token()
    said = {"Authorization": f"Bearer {token}"}
    path = f"/api/v1{page}/upgrade"
    assert app.test_client().get(path, headers=said).json["refused"] == "flow_running"
    again = app.test_client().post(path, headers=said)
    assert (again.status_code, again.json["code"]) == (409, "flow_running")


def test_a_page_says_that_it_is_late(app: APIFlask, place: Valley) -> None:
    place.let_in()
    with territory_session(place.owner, "tests") as session:
        session.execute(sa.update(BackupClient).values(late_since=NOW))
    agent = invite(app, "Camille", "brevaux", ["approver"]).client()
    page = agent.get(f"/services/{place.service_id}").text
    assert "en retard" in page and "Sauvegarder maintenant" not in page
    assert "overdue" in agent.get(f"/services/{place.service_id}?lang=en").text


def test_the_api_makes_lists_and_restores(app: APIFlask, place: Valley) -> None:
    client, token = app.test_client(), invite(app, "Camille", "brevaux", ["requester"]).token()
    said = {"Authorization": f"Bearer {token}"}
    path = f"/api/v1/services/{place.service_id}/backups"
    refused = client.post(path, headers=said)
    assert (refused.status_code, refused.json["code"]) == (409, "no_vault")
    place.let_in()
    made = client.post(path, headers=said)
    assert (made.status_code, made.json["backup"]["state"]) == (202, "making")
    assert made.json["flow"]["kind"] == "backup_service"
    place.ended(NOW)
    [listed] = client.get(path, headers=said).json["items"]
    assert (listed["state"], listed["bytes"], listed["made_at"]) == ("ready", 2_500_000, "2026-11-23T12:00:00Z")
    assert "borg_id" not in listed
    proof = client.post(f"{path}/{listed['id']}/prove", headers=said)
    assert (proof.status_code, proof.json["kind"]) == (202, "prove_backup")
    place.proved(NOW)
    [listed] = client.get(path, headers=said).json["items"]
    assert (listed["proved_at"][:10], listed["proof_seconds"], listed["meters"]) == ("2026-11-23", 61, {"pages": 1})
    flow = client.post(f"{path}/{listed['id']}/restore", headers=said)
    assert (flow.status_code, flow.json["kind"]) == (202, "restore_service")


def test_the_dsi_does_it_on_the_command_line(place: Valley, run: Run) -> None:
    number = str(place.service_id)
    assert "Aucune sauvegarde" in run("services", "backups", number).stdout
    refused = run("services", "backup", number, "--json")
    assert (refused.exit_code, json.loads(refused.stderr)["error"]["code"]) == (3, "no_vault")
    place.let_in()
    assert told(run("services", "backup", number, "--json"))["kind"] == "backup_service"
    made = place.ended(NOW)
    [row] = told(run("services", "backups", number, "--json"))
    assert row["bytes"] == 2_500_000 and "borg_id" not in row
    assert told(run("services", "prove-backup", number, str(made.id), "--json"))["kind"] == "prove_backup"
    place.proved(NOW)
    restore = ("services", "restore-backup", number, str(made.id))
    assert run(*restore, input="n\n").exit_code == 1
    assert told(run(*restore, "--yes", "--json"))["kind"] == "restore_service"


def test_a_machine_is_backed_up_when_its_people_want_it(app: APIFlask, place: Valley, run: Run) -> None:
    machine = place.machine()
    someone = invite(app, "Camille", "brevaux", ["requester"])
    agent, page = someone.client(), f"/services/{machine}"
    assert "quand un coffre de l’agglomération lui sera ouvert" in agent.get(page).text
    place.let_in()
    assert "La prochaine se fera d’elle-même" in agent.get(page).text
    off = agent.post(f"{page}/backups/switch", data={"csrf": csrf(agent), "on": "0"}, follow_redirects=True).text
    assert "n’est plus sauvegardée que sur demande" in off and "Sauvegarder chaque nuit" in off
    assert "La prochaine se fera d’elle-même" not in off
    said, path = {"Authorization": f"Bearer {someone.token()}"}, f"/api/v1{page}/backups"
    assert app.test_client().post(f"{path}/start", headers=said).json["nightly"] is True
    assert told(run("services", "back-up-nightly", str(machine), "--off", "--json"))["nightly"] is False
    assert "est sauvegardé chaque nuit" in run("services", "back-up-nightly", str(machine)).stdout
    refused = run("services", "back-up-nightly", str(place.service_id), "--off", "--json")
    assert json.loads(refused.stderr)["error"]["code"] == "not_a_machine"
    made = app.test_client().post(path, headers=said).json["backup"]["id"]
    place.ended(NOW)
    asked = agent.get(f"{page}/backups/{made}/restore").text
    assert "rien n’est remplacé" in asked and "clocher-restauration" in asked and "2,4\xa0Mio" in asked
    assert "Ce qui sera perdu" not in asked
