"""Settings of an application, and guests that differ from their play: in the pages, by the API, on the command line."""

from __future__ import annotations

import json

import pytest
import sqlalchemy as sa
from apiflask import APIFlask

from orchestrator.tables import Service
from tests.api.conftest import Run, told
from tests.api.people import csrf, invite
from tests.tenants.applications import greeting
from tests.tenants.ordering import NOW
from tests.tenants.test_changes import end
from tests.tenants.test_drift import KEY, SSH, keep

pytestmark = pytest.mark.slow


@pytest.fixture
def service(owner: sa.Engine) -> Service:
    return greeting(owner)


def test_settings_are_filled_in_seen_and_ordered(app: APIFlask, service: Service) -> None:
    agent = invite(app, "Camille", "brevaux", ["requester"]).client()
    page = f"/services/{service.id}"
    assert "Réglages de l’application" in agent.get(page).text
    asked = agent.get(f"{page}/change/parameters").text
    assert 'value="Bonjour"' in asked and 'name="contact"' not in asked
    seen = agent.get(f"{page}/change/parameters?answers=1&greeting=Salut").text
    assert "Bonjour devient Salut" in seen and 'name="greeting" value="Salut"' in seen
    assert "de 1 à 60 caractères" in agent.get(f"{page}/change/parameters?answers=1&greeting=").text
    form = {"answers": "1", "greeting": "Salut", "key": "settings", "difference": "0.00", "csrf": csrf(agent)}
    placed = agent.post(f"{page}/change/parameters", data=form, follow_redirects=True).text
    assert "changer les réglages de l’application" in placed and "Bonjour devient Salut" in placed


def test_settings_by_the_api_and_by_command(app: APIFlask, owner: sa.Engine, service: Service, run: Run) -> None:
    said = {"Authorization": f"Bearer {invite(app, 'Camille', 'brevaux', ['requester']).token()}"}
    client, place = app.test_client(), f"/api/v1/services/{service.id}/changes"
    rows = {row["name"]: row for row in client.get(f"{place}/parameters", headers=said).json["items"]}
    assert (rows["greeting"]["answer"], rows["greeting"]["changeable"], rows["contact"]["changeable"]) == (
        "Bonjour", True, False,
    )  # fmt: skip
    wanted = {"answers": {"greeting": "Salut"}}
    seen = client.post(f"{place}/preview", json=wanted, headers=said | {"Idempotency-Key": "p"})
    assert (seen.json["kind"], seen.json["difference"]) == ("parameters", "0.00")
    refused = client.post(place, json={"answers": {"contact": "a@b.fr"}}, headers=said | {"Idempotency-Key": "q"})
    assert (refused.status_code, refused.json["code"]) == (422, "parameter_fixed")
    order = client.post(place, json=wanted, headers=said | {"Idempotency-Key": "r"}).json
    assert (order["kind"], order["state"]) == ("parameters", "approved")
    end(owner, order["flow_id"], "done")
    change = ("services", "change", str(service.id))
    assert "Bonjour" in run(*change).stdout
    assert "devient Hop" in run(*change, "--set", "greeting=Hop", "--dry-run").stdout
    assert told(run(*change, "--set", "greeting=Hop", "--json"))["parameters"]["answers"]["greeting"] == "Hop"


def test_drift_is_shown_and_repaired(app: APIFlask, owner: sa.Engine, service: Service) -> None:
    agent = invite(app, "Camille", "brevaux", ["requester"]).client()
    page = f"/services/{service.id}"
    assert "Pas encore comparé" in agent.get(page).text
    assert agent.get(f"{page}/drift/repair").status_code == 409
    keep(owner, service, NOW, SSH, KEY)
    shown = agent.get(page).text
    assert "Harden SSH" in shown and "+no" in shown and "n’est pas montré" in shown
    assert "+no" in agent.get(f"{page}/drift/repair").text
    reader = invite(app, "Paule", "brevaux", ["approver"]).client().get(page).text
    assert "Harden SSH" in reader and "+no" not in reader, "what a guest holds is for those who operate it"
    dsi = invite(app, "Dominique", None, ["dsi_admin"]).client()
    assert "salut" in dsi.get("/admin/drift").text
    assert "Aucun écart" in dsi.get("/admin/drift?state=same").text
    done = agent.post(f"{page}/drift/repair", data={"csrf": csrf(agent)}, follow_redirects=True).text
    assert "La remise en conformité commence." in done
    again = agent.post(f"{page}/drift", data={"csrf": csrf(agent)}, follow_redirects=True).text
    assert "Une opération est déjà en cours" in again


def test_drift_by_the_api_and_by_command(app: APIFlask, owner: sa.Engine, service: Service, run: Run) -> None:
    said = {"Authorization": f"Bearer {invite(app, 'Camille', 'brevaux', ['requester']).token()}"}
    client, place = app.test_client(), f"/api/v1/services/{service.id}/drift"
    assert client.get(place, headers=said).json["code"] == "never_compared"
    keep(owner, service, NOW, SSH)
    row = client.get(place, headers=said).json
    assert (row["state"], row["member"], row["differences"][0]["task"]) == ("differs", "brevaux", "Harden SSH")
    assert client.get("/api/v1/drift?state=differs&limit=1", headers=said).json["items"] == [row]
    flow = client.post(f"{place}/check", headers=said | {"Idempotency-Key": "c"}).json
    assert flow["kind"] == "check_drift"
    end(owner, flow["id"], "done")
    assert "Harden SSH" in run("drift", "list").stdout
    assert [one["service_id"] for one in told(run("drift", "list", "--json"))] == [service.id]
    looked = run("drift", "repair", str(service.id), input="n\n")
    assert looked.exit_code == 1 and "+no" in looked.stdout
    flow = told(run("drift", "repair", str(service.id), "--yes", "--json"))
    assert flow["kind"] == "repair_drift"
    refused = run("drift", "check", str(service.id), "--json")
    assert json.loads(refused.stderr)["error"]["code"] == "flow_running"
