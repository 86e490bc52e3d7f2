"""What corrects a closed month, by every door: the payer's pages, finance's pages, API, command, paper."""

from __future__ import annotations

import io
import re

import pytest
import sqlalchemy as sa
from apiflask import APIFlask
from pypdf import PdfReader

from orchestrator.database import territory_session
from tenants import statements
from tests.api.conftest import Run, told
from tests.api.people import invite
from tests.tenants.ledger import Ledger
from tests.tenants.test_adjustments import closed, deleted_earlier
from tests.tenants.test_adjustments_due import gone
from tests.tenants.test_periods import close_month


def corrected(owner: sa.Engine) -> tuple[int, int]:
    """March and April of breval, closed; April corrects March. The statements."""
    close_month(owner)
    with territory_session(owner, "tests") as session:
        deleted_earlier(session)
        closed(session, "2026-04")
        ids = {row["period"]: row["id"] for row in statements.listed(session, member="breval")}
        return ids["2026-03"], ids["2026-04"]


def plain(html: str) -> str:
    """What is read on a page."""
    return re.sub(r"\s+", " ", re.sub("<[^>]*>", " ", html)).replace("−", "-")


@pytest.mark.slow
def test_every_door_shows_what_corrects_a_closed_month(app: APIFlask, owner: sa.Engine) -> None:
    march, april = corrected(owner)
    payer, finance = invite(app, "Odile", "breval", ["finance"]), invite(app, "Paul", None, ["territory_finance"])
    for person, base in ((payer, "/statements"), (finance, "/finance/statements")):
        client = person.client()
        page = client.get(f"{base}/{april}").text
        assert "Rectifications de mois clos" in plain(page)
        [line] = re.findall(rf'href="({base}/{april}/lines/\d+)"', page)
        assert f'href="{line}"' in client.get(f"{base}/{march}").text  # the closed month says that it was corrected
        changed = plain(client.get(line).text)
        assert all(word in changed for word in ("Compté d’abord", "mars 2026 · ligne", "-0,58"))
        assert "Counted before" in plain(client.get(f"{line}?lang=en").text)
    paper = PdfReader(io.BytesIO(payer.client().get(f"/statements/{april}.pdf?lang=fr").data))
    written = " ".join(page.extract_text() for page in paper.pages)
    assert "Rectifications de mois clos" in written and "ecole" in written
    assert "Breval" in plain(finance.client().get("/finance/periods/2026-04").text).split("Rectifications de mois")[1]
    api, mine = app.test_client(), {"Authorization": f"Bearer {payer.token()}"}
    one = api.get(f"/api/v1/statements/{april}", headers=mine).json
    assert one["adjustments"] == "-0.58"
    assert "adjustments" not in (before := api.get(f"/api/v1/statements/{march}", headers=mine).json)
    assert [statements.digest_of(found) for found in (one, before)] == [one["hash"], before["hash"]]
    place = next(found["position"] for found in one["lines"] if found["kind"] == "adjustment")
    [change] = api.get(f"/api/v1/statements/{april}/lines/{place}/usage", headers=mine).json["items"]
    assert (change["counted"], change["quantity"]) == ("20", "0")
    answer = api.get("/api/v1/periods/2026-04/adjustments", headers={"Authorization": f"Bearer {finance.token()}"})
    [row] = answer.json["items"]
    assert (row["member"], row["corrects"], row["amount"]) == ("breval", "2026-03", "-0.58")
    assert api.get("/api/v1/periods/2026-04/adjustments", headers=mine).status_code == 403


@pytest.mark.slow
def test_every_door_says_why_a_fee_is_corrected(app: APIFlask, owner: sa.Engine, run: Run) -> None:
    """Of what served an instant in April, told in May: no use, a fee."""
    with territory_session(owner, "tests") as session:
        ledger = Ledger(session)
        ledger.prices(("2026-01-01", {"vcpu": "0.01", "ram": "0", "activation": "12.50"}))
        ledger.member("breval", 2, 10)
        april = closed(session, "2026-04").label
        gone(session, ledger.service("breval", "essai"), "2026-04-12 08:00", "2026-04-12 08:00")
        closed(session, "2026-05")
        ids = {row["period"]: row["id"] for row in statements.listed(session, member="breval")}
    payer, finance = invite(app, "Odile", "breval", ["finance"]), invite(app, "Paul", None, ["territory_finance"])
    for person, base in ((payer, "/statements"), (finance, "/finance/statements")):
        client = person.client()
        page = plain(client.get(f"{base}/{ids['2026-05']}?lang=fr").text)
        assert all(words in page for words in ("essai · Mise en service", "avril 2026", "ses frais sont dus", "12,50"))
        assert "its fee is due" in plain(client.get(f"{base}/{ids['2026-05']}?lang=en").text)
        assert "essai · Mise en service" in plain(client.get(f"{base}/{ids[april]}?lang=fr").text)
    paper = PdfReader(io.BytesIO(payer.client().get(f"/statements/{ids['2026-05']}.pdf?lang=fr").data))
    assert "ses frais sont dus" in re.sub(r"\s+", " ", " ".join(page.extract_text() for page in paper.pages))
    assert "essai" in plain(finance.client().get("/finance/periods/2026-05").text).split("Rectifications de mois")[1]
    mine = {"Authorization": f"Bearer {payer.token()}"}
    [line] = app.test_client().get(f"/api/v1/statements/{ids['2026-05']}", headers=mine).json["lines"]
    assert (line["kind"], line["price"], line["why"][-19:]) == ("adjustment", "12.50000000", "ses frais sont dus.")
    [row] = told(run("periods", "adjustments", "2026-05", "--json"))
    assert (row["meter"], row["unit_seconds"], row["amount"]) == ("activation", None, "12.50")
    assert "essai" in run("periods", "adjustments", "2026-05").stdout
    assert "rectifie 2026-04" in run("statements", "show", "2026-05", "breval").stdout


@pytest.mark.slow
def test_the_command_lists_them(owner: sa.Engine, run: Run) -> None:
    corrected(owner)
    [row] = told(run("periods", "adjustments", "2026-04", "--json"))
    assert (row["member"], row["corrects"], row["meter"], row["amount"]) == ("breval", "2026-03", "volume", "-0.58")
    assert "breval" in run("periods", "adjustments", "2026-04").stdout
    assert "ne rectifie aucun mois clos" in run("periods", "adjustments", "2026-03").stdout
    assert "rectifie 2026-03" in run("statements", "show", "2026-04", "breval").stdout
