"""Keys and their simulation in finance's pages and the API: what is shown, refused by field, downloaded, not written.

March 2026 as `test_month` works it out: 100.00 by the key `mixte`, 50.01 by usage.
"""

from __future__ import annotations

import csv
import html
import re

import pytest
import sqlalchemy as sa
from apiflask import APIFlask
from flask.testing import FlaskClient

from api.typography import typeset
from orchestrator.database import territory_session
from tenants import periods
from tests.api.conftest import Caller
from tests.api.people import invite
from tests.tenants.ledger import LATER, PARIS
from tests.tenants.test_month import write_month

pytestmark = pytest.mark.slow
FORM = "/finance/keys/simulate"
EQUAL = f"{FORM}?weights.population=&weights.equal=100&pools=exploitation"


@pytest.fixture
def finance(app: APIFlask) -> FlaskClient:
    return invite(app, "Hélène", None, ["territory_finance"]).client()


@pytest.fixture
def program(app: APIFlask) -> Caller:
    return Caller(app, invite(app, "Robot", None, ["territory_finance"]).token())


@pytest.fixture
def march(owner: sa.Engine) -> None:
    with territory_session(owner, "tests") as session:
        periods.draft(session, "2026-03", write_month(session), LATER, PARIS)


def text(page: str) -> str:
    return " ".join(html.unescape(re.sub("<[^>]+>", " ", page)).split())


def test_without_a_month_there_is_no_form(finance: FlaskClient) -> None:
    page = finance.get(EQUAL)
    assert (page.status_code, 'name="weights.equal"' in page.text) == (200, False)
    assert "/finance/periods" in page.text
    assert finance.get(f"{FORM}.csv?weights.equal=100").status_code == 409


@pytest.mark.usefixtures("march")
def test_versions_are_listed_and_lead_to_the_form(finance: FlaskClient, program: Caller) -> None:
    page = finance.get("/finance/keys").text
    for words in ("mixte v1", "en vigueur", "D-mixte", "01/01/2026", "sans fin", "Parts égales : 50 %"):
        assert words in text(page)
    assert "/finance/keys/simulate?weights.equal=50&amp;weights.population=50" in page
    rows = program("GET", "/keys").json["items"]
    assert [(row["code"], row["version"], row["from"], row["until"]) for row in rows] == [
        ("mixte", 1, "2026-01-01", None), ("usage", 1, "2026-01-01", None),
    ]  # fmt: skip
    assert rows[0]["weights"] == {"equal": "0.5", "population": "0.5"}


@pytest.mark.usefixtures("march")
def test_the_page_shows_what_the_key_would_have_given(finance: FlaskClient, owner: sa.Engine) -> None:
    before = written(owner)
    page = finance.get(EQUAL)
    shown = text(page.text)
    assert page.status_code == 200
    for words in ("Aubrac 23,61 € 25,00 € +1,39 €", "+5,9 %", "−20,83 €", "Total 100,00 € 100,00 € 0,00 €", "mars 2026",
                  "projet", "mixte v1", 'equal: "1"'):  # fmt: skip
        assert words in shown, shown
    assert 'value="exploitation" checked' in page.text
    assert 'value="energie" checked' not in page.text
    [link] = re.findall(r'href="(/finance/keys/simulate\.csv[^"]+)"', page.text)
    sheet = finance.get(link.replace("&amp;", "&"))
    rows = list(csv.DictReader(sheet.text.removeprefix("\ufeff").splitlines(), delimiter=";"))
    assert [row["Simulé (EUR)"] for row in rows] == ["25,00"] * 4 + ["100,00"]
    assert "simulation-cle.csv" in sheet.headers["Content-Disposition"]
    assert written(owner) == before


def written(owner: sa.Engine) -> list[object]:
    tables = ("audit_entries", "allocation_keys", "cost_pools", "statements", "statement_lines", "periods")
    with territory_session(owner, "tests") as session:
        return [session.execute(sa.text(f"SELECT t::text FROM {table} t ORDER BY id")).all() for table in tables]


@pytest.mark.usefixtures("march")
@pytest.mark.parametrize(
    ("query", "status", "fields"),
    [
        ("weights.equal=99,9999", 422, {"weights": "99,9999 %"}),
        ("weights.equal=", 422, {"weights": "0 %"}),
        ("weights.equal=cent&weights.usage=-1", 422, {"weights.equal": "quatre décimales", "weights.usage": "attendu"}),
        ("weights.equal=33,33333&weights.usage=66,66667", 422, {"weights.equal": "", "weights.usage": ""}),
        ("weights.equal=100&pools=rien", 422, {"pools": "« rien »"}),
    ],
)
def test_errors_stand_at_their_fields(finance: FlaskClient, query: str, status: int, fields: dict[str, str]) -> None:
    page = finance.get(f"{FORM}?{query}")
    assert page.status_code == status
    for field, words in fields.items():
        assert f'href="#field-{field}"' in page.text
        assert f'id="field-{field}"' in page.text
        [fault] = re.findall(rf'id="error-{field}">(.*?)</p>', page.text)
        assert typeset(words) in fault
    assert "Réparti et simulé" not in page.text


def test_a_criterion_that_is_zero_for_all_is_refused_with_its_month(
    finance: FlaskClient, program: Caller, owner: sa.Engine
) -> None:
    with territory_session(owner, "tests") as session:
        declared = write_month(session)
        periods.draft(session, "2026-03", declared, LATER, PARIS)
        session.execute(sa.text("UPDATE statements SET population = 0"))
    page = finance.get(f"{FORM}?weights.population=50&weights.equal=50")
    assert page.status_code == 409
    assert "2026-03" in re.findall(r'id="error-weights.population">(.*?)</p>', page.text)[0]
    refused = program("GET", "/keys/simulation?population=0.5&equal=0.5")
    assert (refused.status_code, refused.json["code"], refused.json["month"]) == (409, "nothing_to_share_by", "2026-03")


@pytest.mark.usefixtures("march")
def test_programs_get_the_same(program: Caller) -> None:
    found = program("GET", "/keys/simulation?equal=1&pools=exploitation").json
    assert [(one["slug"], one["before"], one["after"], one["percent"]) for one in found["members"]] == [
        ("aubrac", "23.61", "25.00", "5.89"), ("breval", "45.83", "25.00", "-45.45"),
        ("cidre", "12.50", "25.00", "100.00"), ("desert", "18.06", "25.00", "38.43"),
    ]  # fmt: skip
    assert (found["before"], found["after"], found["weights"]) == ("100.00", "100.00", {"equal": "1"})
    assert [(pool["code"], pool["keys"]) for pool in found["pools"]] == [("exploitation", ["mixte v1"])]
    assert [(month["period"], month["state"]) for month in found["months"]] == [("2026-03", "draft")]
    both = program("GET", "/keys/simulation?equal=1&pools=energie,exploitation").json
    assert both["after"] == "150.01"
    assert program("GET", "/keys/simulation.csv?equal=1").text.startswith("\ufeffMention;")
    for query, status in (("equal=0.5", 422), ("equal=x", 422), ("age=1", 422), ("equal=1&pools=rien", 422)):
        assert program("GET", f"/keys/simulation?{query}").status_code == status
    assert program("GET", "/keys/simulation").json["errors"][0]["parameter"] == "weights"


@pytest.mark.usefixtures("march")
def test_a_statement_shows_weight_exact_share_and_rounding(finance: FlaskClient) -> None:
    page = finance.get("/finance/statements").text
    shown = text(finance.get(re.findall(r'href="(/finance/statements/\d+)"', page)[0]).text)
    assert "23,611 % mixte v1 · D-mixte 23,6111 € −0,0011 € 23,61 €" in shown, shown
