"""Hours beside Nova's at each door: the command compares, finance reads the answer by the API and on its page."""

import json

import pytest
import sqlalchemy as sa
from apiflask import APIFlask

from orchestrator import cloud, cloud_servers
from orchestrator.database import territory_session
from tests.api.conftest import Caller, Run
from tests.api.people import invite
from tests.tenants.test_usage_check import EXPECTED, MARCH, TOLD, fill


@pytest.fixture(autouse=True)
def nova(monkeypatch: pytest.MonkeyPatch, owner: sa.Engine) -> None:
    """Our events, and a Nova that tells what it counted."""
    monkeypatch.setattr(cloud, "connect", lambda settings: None)
    monkeypatch.setattr(cloud_servers, "list_usage", lambda cloud, project, since, until: TOLD)
    with territory_session(owner, "tests") as session:
        fill(session)


@pytest.mark.slow
def test_the_command_compares_and_finance_reads(run: Run, app: APIFlask) -> None:
    finance = invite(app, "Karim", None, ["territory_finance"])
    ask, page = Caller(app, finance.token()), finance.client()
    where = f"/periods/{MARCH}/usage-check"
    assert ask("GET", where).json["code"] == "usage_not_verified"
    assert f"clocher usage verify --period {MARCH}" in page.get(f"/finance{where}").text

    result = run("usage", "verify", "--period", MARCH, "--json")
    answer = json.loads(result.stdout)
    assert result.exit_code == 3 and json.loads(result.stderr.splitlines()[-1])["error"]["code"] == "usage_differs"
    assert (answer["servers"], answer["odd"], len(answer["items"])) == (12, 8, 12)
    assert {row["server"]: row["reasons"] for row in answer["items"]} == {
        server: {code: f"{seconds:f}" for code, seconds in reasons} for server, (_, reasons) in EXPECTED.items()
    }
    table = run("usage", "verify", "--period", MARCH, "--odd").stdout
    assert "by-hand" in table and "−12,0000\xa0h" in table and "stopped" not in table

    told = ask("GET", f"{where}?limit=5").json
    assert (told["servers"], told["odd"], len(told["items"]), told["next"]) == (12, 8, 5, "gone")
    assert len(ask("GET", f"{where}?odd=true").json["items"]) == 8
    assert "fait à la main" in page.get(f"/finance{where}").text
    assert "stopped" not in page.get(f"/finance{where}?odd=1").text
    assert f'href="/finance{where}"' in page.get(f"/finance/periods/{MARCH}").text


def test_all_agrees(run: Run, monkeypatch: pytest.MonkeyPatch, owner: sa.Engine) -> None:
    monkeypatch.setattr(cloud_servers, "list_usage", lambda *asked: TOLD[:1])
    with owner.begin() as connection:
        connection.execute(sa.text("ALTER TABLE resource_events DISABLE TRIGGER USER"))
        connection.execute(sa.text(
            "DELETE FROM resource_events e USING resources r WHERE r.id = e.resource_id AND r.cloud_id <> 'same'"
        ))  # fmt: skip
    result = run("usage", "verify", "--period", MARCH)
    assert result.exit_code == 0 and "same" in result.stdout
    assert "Chaque écart suit des règles" in run("usage", "verify", "--period", MARCH, "--odd").stdout
