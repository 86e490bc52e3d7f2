"""What was done outside, at each door: the command compares, the DSI and the member see it, the DSI is mailed."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from apiflask import APIFlask

from orchestrator import cloud, cloud_history
from orchestrator.cloud_history import Found
from orchestrator.database import territory_session
from orchestrator.errors import CloudUnavailable
from orchestrator.tables import Place
from tenants import notices
from tenants.tables_notices import Mail
from tests.api.conftest import Caller, Run
from tests.api.people import invite
from tests.tenants.ordering import member, seed

BEGAN = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=30)
HAND = Found("server", "h1", "Essai de Paul", "ACTIVE", None, BEGAN, BEGAN, 2, 4096, launched_at=BEGAN)


class Nowhere:
    """A cloud of which only the history is asked."""

    def project(self, project_id: str) -> Nowhere:
        return self

    def forget(self, project_id: str) -> None:
        pass


@pytest.fixture(autouse=True)
def nova(monkeypatch: pytest.MonkeyPatch, owner: sa.Engine, app: APIFlask) -> None:
    """One project, in which somebody made a server by hand."""
    monkeypatch.setattr(cloud, "connect", lambda settings: Nowhere())
    monkeypatch.setattr(cloud_history, "account_id", lambda cloud: "us")
    monkeypatch.setattr(cloud_history, "list_things", lambda cloud, project_id: [HAND])
    monkeypatch.setattr(cloud_history, "list_changed", lambda cloud, since: [])
    monkeypatch.setattr(cloud_history, "list_acts", lambda cloud, server_id: [])
    seed(owner)
    made = member(owner)
    with territory_session(owner, "tests") as session:
        session.add(Place(member_id=made, project_id="p", network_id="n", subnet_id="s", router_id="r",
                          security_group_id="g", applied_at=BEGAN))  # fmt: skip


@pytest.mark.slow
def test_what_was_made_by_hand_is_seen_at_each_door(run: Run, app: APIFlask, owner: sa.Engine) -> None:
    dsi = invite(app, "Denis", None, ["dsi_admin"])
    ask, page = Caller(app, dsi.token()), dsi.client()
    assert "Le nuage n’a pas encore été lu" in page.get("/admin/outside").text
    assert "Le nuage n’est pas lu" in run("usage", "status").stdout

    told = json.loads(run("usage", "compare", "--json").stdout)
    assert [(row["member"], row["error_code"]) for row in told["items"]] == [("brevaux", None)]
    assert told["read_until"]
    again = run("usage", "compare")
    assert "Faits ajoutés d’après le nuage : 0" in again.stderr and "brevaux" in again.stdout
    assert "hors-clocher-essai-de-paul" in run("usage", "outside").stdout
    assert "Rien n’a été changé hors Clocher" in run("usage", "corrections").stdout

    [found] = ask("GET", "/usage/outside").json["items"]
    assert (found["service"], found["member"], found["state"]) == ("hors-clocher-essai-de-paul", "brevaux", "outside")
    assert ask("GET", "/usage/corrections").json["items"] == []
    assert "Essai de Paul" in page.get("/admin/outside").text
    agent = invite(app, "Camille", "brevaux", ["requester"]).client()
    assert "fait hors Clocher" in agent.get("/services").text
    own = agent.get(f"/services/{found['service_id']}").text
    assert "Fait à la main dans le nuage" in own and "Essai de Paul" in own and "Faire un instantané" not in own

    notices.tell(owner, "test", "http://x", datetime.now(UTC))
    with territory_session(owner, "tests") as session:
        assert session.scalars(sa.select(Mail.receiver).where(Mail.template == "cloud_outside")).all()


def test_a_project_that_could_not_be_read_says_so(run: Run, monkeypatch: pytest.MonkeyPatch, app: APIFlask) -> None:
    def fail(cloud: object, project_id: str) -> list[Found]:
        raise CloudUnavailable("cloud_unavailable", "Le nuage ne répond pas.", "Attendez.")

    monkeypatch.setattr(cloud_history, "list_things", fail)
    told = json.loads(run("usage", "compare", "--json").stdout)
    assert [(row["read_until"], row["error_code"]) for row in told["items"]] == [(None, "cloud_unavailable")]
    finance = invite(app, "Karim", None, ["territory_finance"])
    answer = Caller(app, finance.token())("GET", "/usage/status").json
    assert (answer["read_until"], answer["items"][0]["error_code"]) == (None, "cloud_unavailable")
