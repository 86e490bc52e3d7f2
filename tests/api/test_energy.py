"""Energy and carbon through pages, API and commands, and on the papers of a closed statement: one way through each."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import sqlalchemy as sa
from apiflask import APIFlask
from openpyxl import load_workbook
from pypdf import PdfReader

from api.v1.schemas_money import StatementDetail
from orchestrator.database import territory_session
from tenants import periods, reading, statements
from tests.api.conftest import Caller, Run, told
from tests.api.people import invite
from tests.api.test_keys import text
from tests.tenants.ledger import LATER, PARIS
from tests.tenants.test_energy import declared, power
from tests.tenants.test_month import write_month

pytestmark = pytest.mark.slow


@pytest.fixture
def march(owner: sa.Engine) -> dict[str, int]:
    """March 2026 closed, its statements' ids by member, and the id of the service `mairie`."""
    with territory_session(owner, "tests") as session:
        periods.draft(session, "2026-03", declared(write_month(session), power()), LATER, PARIS)
        assert periods.check(session, "2026-03") == []
        periods.close(session, "2026-03", LATER)
        service = session.execute(sa.text("SELECT id FROM services WHERE name = 'mairie'")).scalar_one()
        return {"mairie": service} | {row["member"]: row["id"] for row in statements.listed(session, "2026-03")}


def test_finance_in_the_pages(app: APIFlask, march: dict[str, int]) -> None:
    browser = invite(app, "Hélène", None, ["territory_finance"]).client()
    page = text(browser.get("/finance/energy?year=2026").text)
    assert "7,579 kWh" in page
    assert "Non déclaré" in page or "Serveurs de calcul" in page
    assert browser.get("/finance/energy?year=mars").status_code == 422
    for kind, begins in (("csv", b"\xef\xbb\xbf"), ("json", b"{"), ("xlsx", b"PK")):
        answer = browser.get(f"/finance/energy/export.{kind}?year=2026")
        assert (answer.status_code, answer.data[: len(begins)]) == (200, begins)
    page = text(browser.get(f"/finance/statements/{march['aubrac']}").text)
    assert ("7,579 kWh" in page, "0,402 kgCO₂e" in page, "estimé" in page) == (True, True, True)
    assert "non connus" not in page
    papers = browser.get(f"/finance/statements/{march['aubrac']}.pdf").data
    assert "7,579" in "".join(one.extract_text() for one in PdfReader(io.BytesIO(papers)).pages)
    book = load_workbook(io.BytesIO(browser.get(f"/finance/statements/{march['aubrac']}.xlsx").data))
    assert "Énergie et carbone" in book.sheetnames


def test_a_member_sees_its_own(app: APIFlask, march: dict[str, int]) -> None:
    browser = invite(app, "Marc", "aubrac", ["requester"]).client()
    assert "7,579 kWh" in text(browser.get(f"/statements/{march['aubrac']}").text)
    assert "7,579 kWh" in text(browser.get(f"/services/{march['mairie']}").text)
    assert browser.get("/finance/energy").status_code == 403


def test_programs_do_the_same(app: APIFlask, owner: sa.Engine, march: dict[str, int]) -> None:
    program = Caller(app, invite(app, "Robot", None, ["territory_finance"]).token())
    year = program("GET", "/energy?year=2026").json
    assert {one["key"]: one["kwh"] for one in year["members"]}["aubrac"] == "7.579"
    assert (year["basis"], year["months"][0]["missing"]) == ("estimated", [])
    assert program("GET", "/energy?year=x").status_code == 422
    assert program("GET", "/energy.csv?year=2026").text.startswith('\ufeff"Mention"')
    assert program("GET", "/energy.xlsx?year=2026").data.startswith(b"PK")
    document = program("GET", f"/statements/{march['aubrac']}").json
    assert (document["energy"]["grams"], statements.digest_of(document)) == ("402", document["hash"])
    assert "energy" not in program("GET", f"/statements/{march['desert']}").json  # it used nothing
    with territory_session(owner, "tests") as session:
        StatementDetail.model_validate(reading.statement(session, march["aubrac"]))


@pytest.mark.usefixtures("march")
def test_operators_do_the_same(run: Run, tmp_path: Path) -> None:
    assert told(run("energy", "report", "2026", "--json"))["members"][0]["kwh"] == "7.579"
    assert "7,579" in run("energy", "report", "2026").stdout
    written = told(run("energy", "report", "2026", "--format", "xlsx", "--to", str(tmp_path), "--json"))
    assert Path(written["file"]).name == "bilan-numerique-2026.xlsx"
    factors = told(run("energy", "factors", "--json"))
    assert {one["factor"] for one in factors} >= {"pue", "carbon"}
    assert "PUE de la salle" in run("energy", "factors").stdout
