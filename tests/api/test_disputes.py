"""A dispute by every door: the member's page, finance's, the API, the command; and who is mailed."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from apiflask import APIFlask
from click.testing import Result

from orchestrator.database import territory_session
from tenants import notices, statements
from tenants.tables_notices import Mail
from tests.api.conftest import Run, told
from tests.api.people import Person, invite
from tests.api.people import csrf as csrf_of
from tests.tenants.test_periods import close_month


def closed_march(owner: sa.Engine) -> int:
    """breval's statement of March."""
    close_month(owner)
    with territory_session(owner, "tests") as session:
        return int(statements.listed(session, "2026-03", "breval")[0]["id"])


def mailed(owner: sa.Engine) -> list[tuple[str, str]]:
    notices.tell(owner, "tests", "https://cloud.example", datetime.now(UTC))
    with territory_session(owner, "tests") as session:
        rows = session.execute(
            sa.select(Mail.receiver, Mail.facts["step"].as_string()).where(Mail.template == "dispute")
        )
        return sorted((receiver.partition("@")[0], step) for receiver, step in rows)


@pytest.mark.slow
def test_pages_take_a_dispute_from_objection_to_decision(app: APIFlask, owner: sa.Engine) -> None:
    march = closed_march(owner)
    payer, finance = invite(app, "Odile", "breval", ["finance"]), invite(app, "Paul", None, ["territory_finance"])
    mine, theirs = payer.client(), finance.client()
    path = f"/statements/{march}/disputes"
    assert f'href="{path}"' in mine.get(f"/statements/{march}").text
    csrf = {"csrf": csrf_of(mine)}
    assert mine.post(path, data={**csrf, "position": "6", "reason": " "}).status_code == 422
    assert mine.post(path, data={**csrf, "position": "9" * 5000, "reason": "Supprimé avant."}).status_code == 404
    assert mine.post(path, data={**csrf, "position": "6", "reason": "Supprimé avant."}).status_code == 302
    assert mine.post(path, data={**csrf, "position": "6", "reason": "Encore."}).status_code == 409
    page = theirs.get("/finance/disputes").text
    assert "Breval" in page and 'href="/finance/disputes/1"' in page
    one = "/finance/disputes/1"
    csrf = {"csrf": csrf_of(theirs)}
    assert theirs.post(f"{one}/answer", data={**csrf, "answer": "Nous regardons."}).status_code == 302
    assert theirs.post(f"{one}/settle", data={**csrf, "amount": "x", "decision": "y"}).status_code == 422
    assert theirs.post(f"{one}/settle", data={**csrf, "amount": "−0,40", "decision": "Geste."}).status_code == 302
    assert all(words in mine.get(path).text for words in ("Nous regardons.", "Geste.", "réglée"))
    assert theirs.post(f"{one}/reject", data={**csrf, "refusal": "Non."}).status_code == 409
    assert sorted(step for _, step in mailed(owner)) == ["answer", "open", "settle"]


@pytest.mark.slow
def test_the_api_and_the_command_do_the_same(app: APIFlask, owner: sa.Engine, run: Run) -> None:
    march = closed_march(owner)
    api = app.test_client()
    mine, theirs = (
        {"Authorization": f"Bearer {invite(app, name, slug, roles).token()}"}
        for name, slug, roles in (("Odile", "breval", ["finance"]), ("Paul", None, ["territory_finance"]))
    )
    path = f"/api/v1/statements/{march}/lines/6/disputes"
    made = api.post(path, json={"reason": "Supprimé avant."}, headers=mine)
    assert (made.status_code, made.json["state"], made.json["line"]["meter"]) == (201, "open", "volume")
    assert api.post(path, json={"reason": "Encore."}, headers=mine).json["code"] == "disputed"
    one = f"/api/v1/disputes/{made.json['id']}"
    assert api.post(f"{one}/settle", json={"amount": "-1.00", "decision": "x"}, headers=mine).status_code == 403
    settled = api.post(f"{one}/settle", json={"quantity": "-4841", "decision": "Geste"}, headers=theirs)
    assert (settled.json["state"], settled.json["amount"]) == ("settled", "-0.58")
    assert [row["id"] for row in api.get("/api/v1/disputes", headers=mine).json["items"]] == [made.json["id"]]
    again = api.post(path, json={"reason": "Autre chose."}, headers=mine).json["id"]
    assert told(run("disputes", "answer", str(again), "--words", "Vu.", "--json"))["state"] == "answered"
    assert told(run("disputes", "reject", str(again), "--because", "Non.", "--json"))["state"] == "rejected"
    assert [row["id"] for row in told(run("disputes", "list", "--json"))] == [again, made.json["id"]]
    assert "réglée" in run("disputes", "show", str(made.json["id"])).stdout
    assert "Breval" in run("disputes", "list").stdout or "breval" in run("disputes", "list").stdout
    refused = run("disputes", "settle", str(again), "--amount", "-1", "--because", "x")
    assert (refused.exit_code, "[dispute_state]" in refused.stderr) == (3, True)


@pytest.mark.slow
def test_both_sides_work_from_afar(
    app: APIFlask, owner: sa.Engine, run: Run, portal: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    march = closed_march(owner)

    def far(person: Person, *words: str) -> Result:
        monkeypatch.setenv("CLOCHER_TOKEN", person.token())
        return run("--url", portal, "disputes", *words)

    odile = invite(app, "Odile", "breval", ["finance"])
    paul = invite(app, "Paul", None, ["territory_finance"])
    opened = told(far(odile, "open", str(march), "6", "--because", "Supprimé avant.", "--json"))
    one = str(opened["id"])
    assert (opened["state"], opened["line"]["meter"]) == ("open", "volume")
    assert told(far(paul, "answer", one, "--words", "Nous regardons.", "--json"))["state"] == "answered"
    refused = far(odile, "settle", one, "--amount", "-1,00", "--because", "x")
    assert (refused.exit_code, "[role_missing]" in refused.stderr) == (77, True), refused.stderr
    settled = far(paul, "settle", one, "--amount", "-1,00", "--because", "Geste")
    assert (settled.exit_code, "réglée" in settled.stdout, "1,00" in settled.stdout) == (0, True, True)
    again = str(told(far(odile, "open", str(march), "6", "--because", "Autre chose.", "--json"))["id"])
    assert told(far(odile, "withdraw", again, "--json"))["state"] == "withdrawn"
    assert [row["state"] for row in told(far(odile, "list", "--json"))] == ["withdrawn", "settled"]
    assert "Odile" not in far(paul, "list", "--state", "settled").stdout
    assert "Supprimé avant." in far(odile, "show", one).stdout
