"""Costs, unit cost and modes of payment through pages, API and commands: one way through each."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
import sqlalchemy as sa
from apiflask import APIFlask

from orchestrator.database import territory_session
from tenants import billing, periods
from tests.api.conftest import Caller, Run, told
from tests.api.people import csrf, invite
from tests.api.test_keys import text
from tests.tenants.costed import ENERGY, SUPPLIER
from tests.tenants.ledger import LATER, PARIS
from tests.tenants.test_month import write_month

pytestmark = pytest.mark.slow
FILE = "nature;libellé;compte;date;montant;fournisseur\nfournisseur;Maintenance;{};31/10/2026;1840,00;Lumen\n"


@pytest.fixture
def march(owner: sa.Engine) -> None:
    with territory_session(owner, "tests") as session:
        declared = write_month(session)
        billing.change(session, "breval", "2026-03", "deduction", "80", "D-12")
        periods.draft(session, "2026-03", declared, LATER, PARIS)
        assert periods.check(session, "2026-03") == []
        periods.close(session, "2026-03", LATER)


@pytest.mark.usefixtures("march")
def test_finance_in_the_pages(app: APIFlask) -> None:
    browser = invite(app, "Hélène", None, ["territory_finance"]).client()
    word = {"csrf": csrf(browser)}
    wrong = browser.post("/finance/costs/new", data={**word, **SUPPLIER, "account": "6512"})
    assert (wrong.status_code, "65811" in text(wrong.text)) == (422, True)
    assert browser.post("/finance/costs/new", data={**word, **SUPPLIER, "date": "2026-10-31"}).status_code == 302
    assert "Hébergement de secours" in browser.get("/finance/costs?month=2026-10").text
    for account, status, words in (("6512", 200, "65811"), ("6156", 200, "1 840,00 €")):
        sent = {**word, "file": (io.BytesIO(FILE.format(account).encode("cp1252")), "c.csv")}
        seen = browser.post("/finance/costs/import", data=sent, content_type="multipart/form-data")
        assert (seen.status_code, words in text(seen.text)) == (status, True), text(seen.text)
        assert ('name="keep"' in seen.text) == (account == "6156")
    kept = browser.post("/finance/costs/import", data={**word, "text": FILE.format("6156"), "keep": "1"})
    assert kept.status_code == 302
    assert "Aubrac" in text(browser.get("/finance/unit-cost?period=2026").text)
    assert browser.get("/finance/unit-cost/export.csv?period=2026").text.startswith('\ufeff"Mention"')
    assert "retenu sur l’attribution de compensation" in text(browser.get("/finance/billing").text)
    assert '"retenue AC"' in browser.get("/finance/billing/pretitles/2026-03.csv").text
    assert browser.get("/finance/billing/regularisation.csv?year=2026").status_code == 409
    assert "70875" in browser.get("/finance/settings").text
    assert "/finance/billing/scdl.csv?year=2026" in browser.get("/finance/billing").text
    assert browser.get("/finance/billing/scdl.csv?year=2026").text.startswith("BGT_NATDEC,BGT_ANNEE,BGT_SIRET")
    assert browser.get("/finance/billing/scdl.csv?year=2025").status_code == 409


@pytest.mark.usefixtures("march")
def test_programs_do_the_same(app: APIFlask) -> None:
    program = Caller(app, invite(app, "Robot", None, ["territory_finance"]).token())
    made = program("POST", "/cost-entries", json={**SUPPLIER, "date": "2026-10-31", "amount": "1200.50"})
    assert (made.status_code, made.json["amount"], made.json["starts"]) == (201, "1200.50", "2026-10-01")
    one = made.json["id"]
    assert program("GET", "/cost-entries?month=2026-10").json["items"][0]["in_month"] == "1200.50"
    assert program("POST", f"/cost-entries/{one}/end", json={"month": "2026-10"}).json["ends"] == "2026-10-01"
    looked = program("POST", "/cost-entries/import", json={"csv": FILE.format("6512")}).json
    assert (looked["kept"], looked["lines"][0]["faults"][0]["parameter"]) == (False, "account")
    refused = program("POST", "/cost-entries/import", json={"csv": FILE.format("6512"), "dry_run": False})
    assert (refused.status_code, refused.json["errors"][0]["line"]) == (422, 2)
    assert program("GET", "/unit-cost?period=2026-03").json["total"] == "150.01"
    changed = program("PUT", "/billing/aubrac", json={"month": "2027-01", "mode": "information", "reference": "D"})
    assert (changed.json["mode"], changed.json["next_mode"]) == ("title", "information")
    assert program("GET", "/periods/2026-03/pretitles.csv").text.count("titre") == 3
    assert program("GET", "/pretitles.csv?year=2026").status_code == 409
    assert ",70875,Remboursement de frais" in program("GET", "/scdl.csv?year=2026").text


@pytest.mark.usefixtures("march")
def test_operators_do_the_same(run: Run, tmp_path: Path) -> None:
    fields = [f"{name}={value}" for name, value in {**ENERGY, "date": "2026-10-31", "pool": ""}.items()]
    made = told(run("costs", "add", *fields, "--json"))[0]
    assert (made["kind"], made["amount"]) == ("energy", "300.00")
    assert "300,00" in run("costs", "entries", "--month", "2026-10").stdout
    assert told(run("costs", "end", str(made["id"]), "--from", "2026-10", "--json"))[0]["ends"] == "2026-10-01"
    path = tmp_path / "c.csv"
    path.write_text(FILE.format("6512"), encoding="utf-8")
    refused = run("costs", "import", str(path), "--json")
    assert (refused.exit_code, json.loads(refused.stderr)["error"]["code"]) == (2, "invalid_costs")
    assert told(run("costs", "unit", "2026-03", "--json"))["total"] == "150.01"
    assert "vCPU-heure" in run("costs", "unit", "2026").stdout
    rows = told(run("billing", "set", "aubrac", "deduction", "--from", "2027-01", "--withheld", "12,50",
                    "--reference", "D-3", "--json"))  # fmt: skip
    assert (rows[0]["slug"], rows[0]["next_mode"]) == ("aubrac", "deduction")
    assert "breval" in run("billing", "list").stdout
    written = told(run("billing", "pretitles", "2026-03", "--to", str(tmp_path), "--json"))
    assert (written["rows"], Path(written["file"]).name) == (4, "pre-titres-2026-03.csv")
    lines = told(run("billing", "scdl", "2026", "--to", str(tmp_path), "--json"))
    assert (Path(lines["file"]).name, lines["months"], lines["unbooked"]) == (
        "analytique-scdl-2026.csv", ["2026-03"], "150.01")  # fmt: skip
