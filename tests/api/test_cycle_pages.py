"""The yearly cycle through pages, API and commands: one year, from what is told to the sealed paper."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import sqlalchemy as sa
from apiflask import APIFlask
from pypdf import PdfReader

from orchestrator.database import territory_session
from tenants import billing, periods
from tenants.finance import Sharing
from tests.api.conftest import Caller, Run, told
from tests.api.people import csrf, invite
from tests.api.test_keys import text
from tests.tenants.ledger import LATER, PARIS, close_the_rest
from tests.tenants.test_month import write_month

pytestmark = pytest.mark.slow
FILE = "membre;objet;unités;premier mois;dernier mois;convention\naubrac;{};10000;;;C-1\nbreval;vcpu;1000;7;;C-2\n"
TERMS = {"costs_change": "246,90", "units_change": "20000", "frequency": "quarterly", "source": "Courrier"}


@pytest.fixture
def year(owner: sa.Engine) -> None:
    """2026, closed from March on; 2027 is to be told."""
    after = LATER.replace(year=2027)
    with territory_session(owner, "tests") as session:
        declared = write_month(session)
        for slug in ("aubrac", "breval"):
            billing.change(session, slug, "2026-01", "calls", "", "D-1")
        for label, sharing in (("2026-03", declared), ("2026-12", Sharing())):
            periods.draft(session, label, sharing, after, PARIS)
            assert periods.check(session, label) == []
            periods.close(session, label, after)
        close_the_rest(session, 2026)


@pytest.mark.usefixtures("year")
def test_a_year_in_pages_api_and_commands(app: APIFlask, run: Run, tmp_path: Path) -> None:
    browser = invite(app, "Hélène", None, ["territory_finance"]).client()
    word = {"csrf": csrf(browser), "year": "2026"}
    page = text(browser.get("/finance/cycle?year=2026").text)
    assert "n’est pas communiqué" in page or "n’est pas encore communiqué" in page
    assert browser.get("/finance/cycle?year=x").status_code == 422
    assert browser.post("/finance/cycle/calls", data={**word, "month": "3"}).status_code == 409
    assert browser.post("/finance/cycle/calls", data={**word, "month": "9" * 5000}).status_code == 422
    for month in ("13", "mars", "9" * 5000):
        assert browser.get(f"/finance/cycle/calls.csv?year=2026&month={month}").status_code == 422
    assert browser.post("/finance/cycle/terms", data={**word, **TERMS, "told_on": "hier"}).status_code == 422
    assert browser.post("/finance/cycle/terms", data={**word, **TERMS, "told_on": "2026-02-20"}).status_code == 302
    for subject, status, shown in (("rien", 200, "compteurs"), ("vcpu", 200, "Tout enregistrer")):
        sent = {**word, "file": (io.BytesIO(FILE.format(subject).encode("cp1252")), "f.csv")}
        seen = browser.post("/finance/cycle/import", data=sent, content_type="multipart/form-data")
        assert (seen.status_code, shown in text(seen.text)) == (status, True), text(seen.text)
    kept = browser.post("/finance/cycle/import", data={**word, "text": FILE.format("vcpu"), "keep": "1"})
    assert kept.status_code == 302
    line = {**word, "subject": "vcpu", "units": "1000", "first": "7", "reference": "C-3"}
    assert browser.post("/finance/cycle/forecasts/breval", data=line).status_code == 302
    assert browser.post("/finance/cycle/forecasts/breval", data={**line, "first": "13"}).status_code == 422
    assert "6,18" in text(browser.get("/finance/cycle/forecasts/breval?year=2026").text)
    assert browser.post("/finance/cycle/calls", data={**word, "month": "6"}).status_code == 302

    program = Caller(app, invite(app, "Robot", None, ["territory_finance"]).token())
    made = program("POST", "/cycle/calls", json={"year": 2026, "month": 12}).json["items"]
    assert [one["amount"] for one in made] == ["30.87", "30.84", "6.18", "6.17"]
    assert program("POST", "/cycle/settlement", json={"year": 2026}).json["code"] == "cost_not_told"
    asked = {"year": 2027, "frequency": "monthly", "told_on": "2026-11-02", "source": "Courrier"}
    assert program("POST", "/cycle/terms", json=asked).json["base_year"] == 2026
    assert told(run("cycle", "settle", "2026", "--json"))[0]["reference"] == "2026-REG-000000001"
    shown = program("GET", "/cycle?year=2026").json
    assert (shown["settled"], shown["telling"]["state"]) == (True, "told")
    found = program("GET", "/annual?year=2026&member=aubrac").json
    assert (found["state"], found["called"]) == ("closed", "123.45")
    assert "30,87" in program("GET", "/cycle/calls.csv?year=2026&month=1").text
    assert "2026-REG" in program("GET", "/cycle/settlement.csv?year=2026").text
    assert "scellé" in text(browser.get("/statements/annual?year=2026&member=aubrac").text)
    assert "Cycle annuel" in text(browser.get("/finance/cycle?year=2026").text)
    papers = [program("GET", "/annual/paper.pdf?year=2026&member=aubrac").data for _ in range(2)]
    assert papers[0] == papers[1]
    paper = PdfReader(io.BytesIO(papers[0]))
    assert "123,45" in "".join(sheet.extract_text() for sheet in paper.pages).replace("\u202f", " ")
    assert paper.trailer["/Root"]["/Lang"] == "fr-FR"
    own = invite(app, "Agent", "breval", ["finance"]).client()
    assert "2026-A01-000000002" in text(own.get("/statements/annual?year=2026").text)
    named = own.get("/statements/annual/file.csv?year=2026&member=aubrac").headers["Content-Disposition"]
    assert "breval" in named
    written = told(run("cycle", "annual", "2026", "breval", "--language", "en", "--to", str(tmp_path), "--json"))
    assert (written["state"], Path(written["file"]).name) == ("closed", "etat-annuel-2026-breval.pdf")


@pytest.mark.usefixtures("year")
def test_operators_tell_forecast_and_call(run: Run, tmp_path: Path) -> None:
    fields = ["--costs-change", "246,90", "--units-change", "20000", "--told-on", "2026-02-20", "--source", "Courrier"]
    assert told(run("cycle", "tell", "2026", *fields, "--frequency", "monthly", "--json"))["unit_cost"] == "0.012345"
    row = told(run("cycle", "forecast", "2026", "aubrac", "vcpu", "10000", "--reference", "C-1", "--json"))[0]
    assert (row["member"], row["units"], row["last"]) == ("aubrac", "10000", 12)
    path = tmp_path / "f.csv"
    path.write_text(FILE.format("vcpu"), encoding="utf-8")
    assert told(run("cycle", "import", "2026", str(path), "--json"))["kept"] is True
    assert "C-2" in run("cycle", "forecasts", "2026").stdout
    assert len(told(run("cycle", "call", "2026", "3", "--json"))) == 3
    assert told(run("cycle", "pretitles", "2026", "--to", str(tmp_path), "--json"))["rows"] == 3
    assert "communiqué le 20/02/2026" in run("cycle", "show", "2026").stdout
