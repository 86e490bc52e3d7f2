"""What opens an application, in the pages and by the API: read once by its member's requesters, then renewed."""

from __future__ import annotations

import re

import pytest
import sqlalchemy as sa
from apiflask import APIFlask
from werkzeug.test import TestResponse

from orchestrator import service_secrets as kept
from orchestrator.database import territory_session
from orchestrator.settings import Settings
from tests.api.people import csrf, invite
from tests.tenants.applications import greeting, keep_secrets


@pytest.fixture
def service_id(owner: sa.Engine, worker: sa.Engine, settings: Settings) -> int:
    """A running application of brevaux."""
    made = greeting(owner)
    keep_secrets(worker, settings, made)
    return made.id


def secret(worker: sa.Engine, settings: Settings, service_id: int) -> str:
    with territory_session(worker, "flow 1") as session:
        return kept.opened(session, settings, service_id)["admin_password"].get_secret_value()


@pytest.mark.slow
def test_a_page_shows_it_once(app: APIFlask, worker: sa.Engine, settings: Settings, service_id: int) -> None:
    agent = invite(app, "Camille", "brevaux", ["requester"]).client()
    place, known = f"/services/{service_id}", secret(worker, settings, service_id)
    page = agent.get(place).text
    assert "Mot de passe" in page and "Jeton interne" not in page and known not in page
    shown = agent.post(f"{place}/secrets/admin_password/show", data={"csrf": csrf(agent)})
    assert known in shown.text
    assert shown.headers["Cache-Control"] == "no-store"
    again = agent.post(f"{place}/secrets/admin_password/show", data={"csrf": csrf(agent)})
    assert again.status_code == 409 and known not in again.text
    assert "Lu le" in agent.get(place).text
    assert agent.post(f"{place}/secrets/admin_password/renew", data={"csrf": csrf(agent)}).status_code == 302
    assert "Renouvellement d’un secret" in agent.get(place).text


@pytest.mark.slow
def test_the_api_shows_it_once(app: APIFlask, worker: sa.Engine, settings: Settings, service_id: int) -> None:
    client = app.test_client()
    token = invite(app, "Camille", "brevaux", ["requester"]).token()
    place = f"/api/v1/services/{service_id}/secrets"

    def ask(method: str, path: str = "", key: str = "") -> TestResponse:
        said = {"Authorization": f"Bearer {token}", **({"Idempotency-Key": key} if key else {})}
        return client.open(f"{place}{path}", method=method, headers=said)

    [listed] = ask("GET").json["items"]
    assert (listed["name"], listed["shown_at"]) == ("admin_password", None)
    known = secret(worker, settings, service_id)
    for _ in range(2):  # the same request is answered the same: what was lost on the way is not lost
        assert ask("POST", "/admin_password/show", "k1").json == {"name": "admin_password", "secret": known}
    refused = ask("POST", "/admin_password/show", "k2")
    assert (refused.status_code, refused.json["code"]) == (409, "secret_shown")
    assert ask("POST", "/internal_token/show", "k3").status_code == 404
    assert ask("POST", "/admin_password/renew", "k4").json["kind"] == "renew_secret"


@pytest.mark.slow
def test_others_do_not_read_it(app: APIFlask, service_id: int) -> None:
    for name, house, role in (("Alex", "brevaux", "approver"), ("Dominique", None, "dsi_admin")):
        client = invite(app, name, house, [role]).client()
        answer = client.post(f"/services/{service_id}/secrets/admin_password/show", data={"csrf": csrf(client)})
        assert answer.status_code == 403
        assert not re.search(r"/secrets/admin_password/show", client.get(f"/services/{service_id}").text)
