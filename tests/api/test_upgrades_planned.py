"""Planned upgrades and windows of maintenance: in the pages, by the API, on the command line."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from apiflask import APIFlask

from orchestrator.database import territory_session
from orchestrator.settings import Settings
from tenants import upgrades_working
from tests.api.conftest import Run, told
from tests.api.people import csrf, invite
from tests.tenants.test_upgrades import publish
from tests.tenants.vaulted import Valley, valley

pytestmark = pytest.mark.slow


@pytest.fixture
def place(owner: sa.Engine, settings: Settings, tmp_path: Path) -> Valley:
    made = valley(owner, settings)
    publish(made, tmp_path)
    return made


def test_the_dsi_plans_and_the_member_puts_it_off(app: APIFlask, place: Valley, run: Run) -> None:
    dsi = invite(app, "Dominique", None, ["dsi_admin"]).client()
    looked = dsi.get("/admin/upgrades").text
    assert "Aucune mise à jour prévue" in looked and "1 service a une version plus ancienne" in looked
    assert "mardi, jeudi" in looked
    dry = dsi.get("/admin/upgrades/hello").text
    assert "salut" in dry and "1 → 2" in dry and "Rien n’est encore prévu" in dry
    assert "Ce jour est passé" in dsi.get("/admin/upgrades/hello?day=2020-01-01").text
    done = dsi.post("/admin/upgrades/hello", data={"csrf": csrf(dsi), "day": ""}, follow_redirects=True).text
    assert "1 mise à jour est prévue." in done and "pas encore" in done
    assert dsi.get("/admin/upgrades/hello").status_code == 409
    with territory_session(place.owner, "worker tests") as session:
        upgrades_working.work(session, place.settings, datetime.now(UTC))
    agent = invite(app, "Camille", "brevaux", ["requester"]).client()
    page = f"/services/{place.service_id}"
    assert "Mise à jour prévue vers la version 2" in agent.get(page).text
    assert "Mises à jour annoncées" in agent.get("/").text
    assert agent.get("/admin/upgrades").status_code == 403
    assert "Better." in agent.get("/?lang=en").text
    refused = agent.post(f"{page}/upgrade/postpone", data={"csrf": csrf(agent), "reason": ""})
    assert refused.status_code == 422 and "Say why" in refused.text
    agent.get("/?lang=fr")
    off = {"csrf": csrf(agent), "reason": "Scrutin"}
    assert "est reportée" in agent.post(f"{page}/upgrade/postpone", data=off, follow_redirects=True).text
    assert agent.get(f"{page}/upgrade/postpone").status_code == 409
    [row] = told(run("upgrades", "list", "--open", "--json"))
    assert (row["name"], row["version"], row["reason"]) == ("salut", "2", "Scrutin")
    assert "Scrutin" in run("upgrades", "list").stdout
    assert "annulée" in dsi.post(f"/admin/upgrades/{row['id']}/cancel", data={"csrf": csrf(dsi)},
                                 follow_redirects=True).text  # fmt: skip


def test_a_member_chooses_its_window(app: APIFlask, place: Valley, run: Run) -> None:
    agent = invite(app, "Camille", "brevaux", ["requester"]).client()
    assert "C’est la plage du territoire." in agent.get("/maintenance").text
    form = {"csrf": csrf(agent), "day-6": "1", "hour": "22", "hours": "3"}
    kept = agent.post("/maintenance", data=form, follow_redirects=True).text
    assert "La plage de maintenance est enregistrée" in kept and "Une plage propre a été choisie." in kept
    assert agent.post("/maintenance", data={"csrf": csrf(agent), "hour": "x", "hours": "3"}).status_code == 422
    shown = told(run("upgrades", "window", "brevaux", "--json"))
    assert (shown["weekdays"], shown["hour"], shown["hours"], shown["own"]) == ([6], 22, 3, True)
    assert agent.post("/maintenance", data={"csrf": csrf(agent), "default": "1"}).status_code == 302
    dsi = invite(app, "Dominique", None, ["dsi_admin"]).client()
    assert dsi.get("/maintenance").location == "/admin/upgrades#windows"
    assert "Brevaux" in dsi.get("/maintenance?member=brevaux").text
    assert told(run("upgrades", "window", "brevaux", "--days", "1", "--from", "3", "--hours", "2", "--json"))["own"]
    assert not told(run("upgrades", "window", "brevaux", "--default", "--json"))["own"]


def test_the_api_and_the_command_line(app: APIFlask, place: Valley, run: Run) -> None:
    client = app.test_client()
    dsi, agent = (
        {"Authorization": f"Bearer {invite(app, name, house, [role]).token()}"}
        for name, house, role in (("Dominique", None, "dsi_admin"), ("Camille", "brevaux", "requester"))
    )
    window = "/api/v1/windows/brevaux"
    assert client.get(window, headers=agent).json["weekdays"] == [2, 4]
    wanted = {"weekdays": [7], "hour": 3, "hours": 2}
    assert client.put(window, json=wanted, headers=agent).json["own"] is True
    assert client.get("/api/v1/windows/agglo", headers=agent).status_code == 404
    assert client.post("/api/v1/upgrades", json={"offer": "hello"}, headers=agent).status_code == 403
    dry = client.post("/api/v1/upgrades", json={"offer": "hello", "dry_run": True}, headers=dsi).json["items"]
    assert [(one["id"], one["running"], one["version"]) for one in dry] == [(None, "1", "2")]
    assert told(run("upgrades", "plan", "hello", "--dry-run", "--json"))[0]["name"] == "salut"
    made = client.post("/api/v1/upgrades", json={"offer": "hello"}, headers=dsi)
    assert made.status_code == 201 and made.json["items"][0]["state"] == "planned"
    assert client.delete(window, headers=agent).status_code == 204
    [row] = client.get("/api/v1/upgrades?open=true", headers=agent).json["items"]
    assert row["member"] == "brevaux"
    off = f"/api/v1/services/{place.service_id}/upgrade/postpone"
    assert client.post(off, json={"reason": "Scrutin"}, headers=agent).json["reason"] == "Scrutin"
    refused = run("upgrades", "postpone", str(place.service_id), "--reason", "Encore", "--json")
    assert json.loads(refused.stderr)["error"]["code"] == "postponed_already"
    assert client.post(f"/api/v1/upgrades/{row['id']}/cancel", headers=dsi).json["state"] == "cancelled"
