"""Test copies and moves from the outside: the pages, the API, the command line."""

from __future__ import annotations

import re

import pytest
import sqlalchemy as sa
from apiflask import APIFlask

from orchestrator.database import territory_session
from orchestrator.settings import Settings
from orchestrator.tables import Place
from tests.api.conftest import Run, told
from tests.api.people import csrf, invite
from tests.api.screens_portal import backed_up as backed_up_wiki
from tests.tenants.ordering import NOW, member, seed
from tests.tenants.test_changes import end
from tests.tenants.vaulted import Valley, backed_up

pytestmark = pytest.mark.slow


@pytest.fixture
def place(owner: sa.Engine, settings: Settings) -> Valley:
    return backed_up(owner, settings, NOW)


def test_a_copy_is_ordered_in_its_page_and_refreshed(app: APIFlask, place: Valley) -> None:
    agent, page = invite(app, "Camille", "brevaux", ["requester"]).client(), f"/services/{place.service_id}"
    assert f"{page}/copies" in agent.get(page).text
    form = agent.get(f"{page}/copies").text
    assert 'value="salut-essai"' in form
    sent = {name: value for name in ("key", "monthly")
            for value in re.findall(rf'name="{name}" value="([^"]+)"', form)}  # fmt: skip
    wrong = agent.post(f"{page}/copies", data={"csrf": csrf(agent), **sent, "name": "salut2"})
    assert wrong.status_code == 422 and "finit par « -essai »" in wrong.text.replace("\xa0", " ")
    dearer = agent.post(f"{page}/copies", data={"csrf": csrf(agent), **sent, "name": "", "monthly": "1.00"})
    assert dearer.status_code == 409 and "Le prix vient de changer" in dearer.text
    placed = agent.post(f"{page}/copies", data={"csrf": csrf(agent), **sent, "name": "salut-essai"})
    assert placed.status_code == 302
    assert "une copie d’essai de" in agent.get(placed.location).text
    assert "a test copy of" in agent.get(f"{placed.location}&lang=en").text
    with territory_session(place.owner, "tests") as session:
        copy_id, flow_id = session.execute(sa.text("SELECT service_id, flow_id FROM orders WHERE kind = 'clone'")).one()
    end(place.owner, flow_id, "done", "active")
    copy = agent.get(f"/services/{copy_id}?lang=fr").text
    assert "Copie d’essai de" in copy and "Export" not in copy and ">essai<" in agent.get("/services").text
    assert "Tout ce qui a été écrit dans la copie" in agent.get(f"/services/{copy_id}/refresh").text
    assert agent.post(f"/services/{copy_id}/refresh", data={"csrf": csrf(agent)}).status_code == 302
    assert agent.get(f"{page}/refresh").status_code == 409
    assert agent.get(f"{page}/move").status_code == 403


def test_what_an_application_counts_has_a_name_in_its_price(app: APIFlask, owner: sa.Engine) -> None:
    seed(owner)
    member(owner)
    with territory_session(owner, "tests") as session:
        made = backed_up_wiki(session, 1)
    agent = invite(app, "Camille", "brevaux", ["requester"]).client()
    told = (("fr", "Comptes (collaboration)", "10 comptes"), ("en", "Accounts (collaboration)", "10 accounts"))
    for language, name, quantity in told:
        shown = agent.get(f"/services/{made}/copies?lang={language}").text
        assert name in shown and f">{quantity}<" in shown and "collaboration_accounts" not in shown


def test_the_api_and_the_command_line_order_one(app: APIFlask, place: Valley, run: Run) -> None:
    client, token = app.test_client(), invite(app, "Camille", "brevaux", ["requester"]).token()
    said, path = {"Authorization": f"Bearer {token}"}, f"/api/v1/services/{place.service_id}/copies"
    seen = client.post(f"{path}/preview", json={}, headers=said)
    assert (seen.status_code, seen.json["name"], seen.json["refused"]) == (200, "salut-essai", None)
    placed = client.post(path, json={}, headers=said | {"Idempotency-Key": "c"})
    assert (placed.status_code, placed.json["kind"], placed.json["state"]) == (201, "clone", "approved")
    again = client.post(f"{path}/preview", json={}, headers=said).json["refused"]
    assert again["code"] == "name_taken"
    end(place.owner, placed.json["flow_id"], "done", "active")
    copy = placed.json["service_id"]
    assert client.post(f"/api/v1/services/{copy}/refresh", headers=said).json["kind"] == "restore_service"
    number = str(place.service_id)
    assert told(run("services", "clone", number, "--dry-run", "--json"))["refused"]["code"] == "name_taken"
    named = ("services", "clone", number, "--name", "autre-essai")
    assert "par mois" in run(*named, "--dry-run").stdout
    assert told(run(*named, "--json"))["parameters"]["name"] == "autre-essai"


def test_the_dsi_moves_a_service(app: APIFlask, place: Valley, run: Run) -> None:
    page, dsi = f"/services/{place.service_id}", invite(app, "Dominique", None, ["dsi_admin"]).client()
    assert f"{page}/move" in dsi.get(page).text
    refused = dsi.get(f"{page}/move?to=agglo").text
    assert "n’a pas encore d’espace dans le nuage" in refused and "clé publique par ligne" not in refused
    with territory_session(place.owner, "tests") as session:
        ids = dict.fromkeys(("project_id", "network_id", "subnet_id", "router_id", "security_group_id"), "x")
        session.add(Place(member_id=place.agglomeration, **ids))
    number = str(place.service_id)
    seen = told(run("services", "move", number, "--to", "agglo", "--dry-run", "--json"))
    assert (seen["source"], seen["target"], seen["refused"], seen["silent"]) == ("brevaux", "agglo", None, None)
    assert "paie jusqu’à l’instant du passage" in run("services", "move", number, "--to", "agglo", "--dry-run").stdout
    form = dsi.get(f"{page}/move?to=agglo").text
    [key] = re.findall(r'name="key" value="([^"]+)"', form)
    sent = {"csrf": csrf(dsi), "to": "agglo", "name": "salut", "key": key, "ssh_keys": ""}
    placed = dsi.post(f"{page}/move", data=sent)
    assert placed.status_code == 302 and "Reprise d’un autre membre" in dsi.get(placed.location).text
    assert dsi.post(f"{page}/move", data=sent).location == placed.location, "the same key is the same order"
    assert dsi.post(f"{page}/move", data=sent | {"key": "other"}).status_code == 409
