"""The commands of finance: tables for people, JSON for programs, codes and exit status for what is refused.

March 2024 in a territory of two members, in euros: one address for 743 hours × 0.0035 = 2.6005 → 2.60; a pool of
100.01, half by population (1000 and 3000), half in equal parts: 37.50375 and 62.50625; the cent left goes to the
larger fraction, breval. So 40.10 and 62.51, 102.61 together.
"""

from __future__ import annotations

import csv
import getpass
import json
from pathlib import Path

import pytest
import sqlalchemy as sa

from orchestrator.database import territory_session
from orchestrator.settings import Settings
from tests.api.conftest import Run, told
from tests.tenants.ledger import Ledger

pytestmark = pytest.mark.slow

MONTH = "2024-03"
PRICES = """
tariffs:
  - from: 2024-03-01
    book: "Tarif 2024"
    hourly: {vcpu: "0.00620", public_address: "0.00350"}
"""
POOLS = """
keys:
  - {code: mixte, version: 1, from: 2024-01-01, deliberation: "D-08", weights: {population: "0.5", equal: "0.5"}}
pools:
  - {code: exploitation, label: {fr: "Exploitation"}, key: mixte, monthly: {2024-03: "100.01"}}
"""


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    """A territory of its own."""
    finance = tmp_path / "territories" / "essai" / "finance"
    finance.mkdir(parents=True)
    (finance / "prices.yaml").write_text(PRICES)
    (finance / "pools.yaml").write_text(POOLS)
    return settings.model_copy(update={"territories_dir": tmp_path / "territories", "territory": "essai"})


@pytest.fixture
def facts(owner: sa.Engine, run: Run) -> None:
    """The month above, ready to be drafted."""
    with territory_session(owner, "tests") as session:
        ledger = Ledger(session)
        ledger.member("aubrac", 1, 1000)
        ledger.member("breval", 2, 3000)
        ledger.address(ledger.service("aubrac", "mairie"), ("created", "2024-02-29 22:00"))
    told(run("prices", "apply", "--json"))


@pytest.fixture
def closed(facts: None, run: Run) -> None:
    """The month, sealed."""
    for words in (("draft", MONTH), ("check", MONTH), ("close", MONTH, "--yes")):
        told(run("periods", *words, "--json"))


def refused(run: Run, *words: str, status: int, code: str) -> dict[str, object]:
    """The error that a command ends with, which people are told and programs can read."""
    result = run(*words)
    assert (result.exit_code, f"[{code}]" in result.stderr) == (status, True), (words, result.output)
    assert "Traceback" not in result.output
    result = run(*words, "--json")
    error: dict[str, object] = json.loads(result.stderr.splitlines()[-1])["error"]
    assert (result.exit_code, error["code"]) == (status, code), (words, result.output)
    return error


def test_prices_are_applied_once_and_listed(run: Run, settings: Settings) -> None:
    assert "Déclarez-les" in run("prices", "list").stdout
    added = told(run("prices", "apply", "--json"))
    assert [(one["kind"], one["name"], one["what"]) for one in added] == [
        ("price", "vcpu", "0,0062 €/h"),
        ("price", "public_address", "0,0035 €/h"),
        ("key", "mixte v1", "D-08"),
    ]
    assert "Rien à faire" in run("prices", "apply").stdout
    table = run("prices", "list").stdout
    assert "0,0062" in table and "01/03/2024" in table and "Tarif 2024" in table
    listed = told(run("prices", "list", "--json"))
    assert {row["meter"]: row["hourly"] for row in listed} == {"vcpu": "0.00620000", "public_address": "0.00350000"}


def test_a_published_price_stays(run: Run, settings: Settings) -> None:
    told(run("prices", "apply", "--json"))
    declared = settings.territory_dir / "finance" / "prices.yaml"
    declared.write_text(PRICES.replace("0.00620", "0.00630"))
    refused(run, "prices", "apply", status=3, code="price_rewritten")
    declared.write_text(PRICES.replace("0.00620", "cheap"))
    refused(run, "prices", "apply", status=2, code="invalid_declaration")
    assert [row["hourly"] for row in told(run("prices", "list", "--json")) if row["meter"] == "vcpu"] == ["0.00620000"]


@pytest.mark.usefixtures("facts")
def test_a_month_from_draft_to_closed(run: Run) -> None:
    assert "clocher periods draft" in run("periods", "list").stdout
    drafted = run("periods", "draft", MONTH)
    assert drafted.exit_code == 0, drafted.output
    assert "projet" in drafted.stdout and "40,10\xa0€" in drafted.stdout and "62,51\xa0€" in drafted.stdout
    totals = {row["member"]: row["total"] for row in told(run("periods", "draft", MONTH, "--json"))}
    assert totals == {"aubrac": "40.10", "breval": "62.51"}
    assert told(run("periods", "check", MONTH, "--json")) == []
    assert "Tout concorde" in run("periods", "check", MONTH).stdout

    assert run("periods", "close", MONTH, input="n\n").exit_code == 1
    assert [row["state"] for row in told(run("periods", "list", "--json"))] == ["checked"]
    answered = run("periods", "close", MONTH, input="Oui\n")
    assert answered.exit_code == 0, answered.output
    assert "102,61\xa0€" in answered.stdout
    [period] = told(run("periods", "list", "--json"))
    assert (period["state"], period["statements"], period["total"]) == ("closed", 2, "102.61")
    assert "close" in run("periods", "list").stdout
    assert told(run("statements", "verify", "--json")) == {"ok": True}
    assert "intacte" in run("statements", "verify").stdout


@pytest.mark.usefixtures("closed")
def test_the_audit_names_who_ran_the_command(run: Run) -> None:
    actors = {entry["action"]: entry["actor"] for entry in told(run("audit", "list", "--json"))}
    assert {actors[action] for action in ("period.draft", "period.check", "period.close", "statement.close")} == {
        f"cli:{getpass.getuser()}"
    }


@pytest.mark.usefixtures("closed")
def test_statements_are_listed_shown_and_exported(run: Run, tmp_path: Path) -> None:
    listed = told(run("statements", "list", "--month", MONTH, "--member", "breval", "--json"))
    assert [(row["member"], row["total"], row["state"]) for row in listed] == [("breval", "62.51", "closed")]
    assert "Aubrac" in run("statements", "list").stdout
    assert "periods draft" in run("statements", "list", "--month", "2023-01").stdout

    document = told(run("statements", "show", MONTH, "aubrac", "--json"))
    assert [(line["kind"], line["amount"]) for line in document["lines"]] == [("usage", "2.60"), ("share", "37.50")]
    shown = run("statements", "show", MONTH, "aubrac").stdout
    for word in ("Aubrac — 2024-03\n", "mairie", "743", "0,0035", "2,60\xa0€", "coût commun", "Total : 40,10\xa0€"):
        assert word in shown, shown

    folder = tmp_path / "out"
    answer = told(run("statements", "export", MONTH, "--to", str(folder), "--json"))
    written = Path(answer["file"])
    assert (written, answer["statements"], answer["bytes"]) == (
        folder / "releve-2024-03.csv",
        2,
        written.stat().st_size,
    )
    rows = list(csv.reader(written.read_text("utf-8-sig").splitlines(), delimiter=";"))
    amount, kind = rows[0].index("Montant (EUR)"), rows[0].index("Nature")
    assert [row[amount] for row in rows if row[kind] == "total"] == ["40,10", "62,51"]
    assert "1 relevé(s)" in run("statements", "export", MONTH, "--member", "breval", "--format", "json", "--to",
                                str(folder)).stdout  # fmt: skip
    assert json.loads((folder / "releve-2024-03-breval.json").read_text())[0]["total"] == "62.51"


@pytest.mark.usefixtures("closed")
def test_what_is_closed_is_refused(run: Run) -> None:
    for verb in (("draft",), ("check",), ("close", "--yes")):
        refused(run, "periods", *verb, MONTH, status=3, code="period_closed")


@pytest.mark.usefixtures("facts")
def test_refusals(run: Run, owner: sa.Engine, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for words, status, code in (
        (("periods", "draft", "2024-13"), 2, "invalid_period"),
        (("periods", "check", MONTH), 2, "unknown_period"),
        (("periods", "close", MONTH, "--yes"), 2, "unknown_period"),
        (("periods", "draft", "2099-12"), 3, "not_started"),
        (("statements", "show", MONTH, "aubrac"), 2, "unknown_period"),
        (("statements", "export", MONTH), 2, "unknown_period"),
    ):
        refused(run, *words, status=status, code=code)
    missing = refused(run, "periods", "draft", "2024-02", status=3, code="missing_price")
    assert (missing["meter"], missing["at"]) == ("public_address", "2024-02-29T22:00:00+00:00")
    told(run("periods", "draft", MONTH, "--json"))
    refused(run, "periods", "close", MONTH, "--yes", status=3, code="not_checked")
    assert "[not_checked]" in run("periods", "close", MONTH).stderr, "before anybody is asked"
    refused(run, "statements", "show", MONTH, "nobody", status=2, code="unknown_statement")
    to = str(tmp_path / "file" / "below")
    refused(run, "statements", "export", MONTH, "--to", to, status=2, code="unwritable")
    assert json.loads(run("periods", "close", MONTH, "--json").stderr)["error"]["code"] == "confirmation_needed"

    with owner.begin() as connection:
        connection.execute(sa.text("UPDATE statements SET total = total + 0.01 WHERE member_id = 1"))
    wrong = run("periods", "check", MONTH, "--json")
    assert wrong.exit_code == 3
    checks = [row["check"] for row in json.loads(wrong.stdout)]
    assert checks == ["total_is_sum_of_lines", "period_is_sum_of_statements"]
    assert json.loads(wrong.stderr.splitlines()[-1])["error"]["code"] == "period_differs"
    assert "total_is_sum_of_lines" in run("periods", "check", MONTH).stdout


@pytest.mark.usefixtures("closed")
def test_a_changed_statement_breaks_the_chain(run: Run, owner: sa.Engine) -> None:
    with owner.begin() as connection:
        connection.execute(sa.text("ALTER TABLE statements DISABLE TRIGGER USER"))
        connection.execute(sa.text("UPDATE statements SET document = replace(document, '62.51', '0.00')"))
    refused(run, "statements", "verify", status=3, code="chain_broken")


def test_a_key_is_simulated(run: Run, closed: None, tmp_path: Path) -> None:
    """100.01 in equal parts is 50.01 (ties go by SIREN) and 50.00."""
    found = told(run("keys", "simulate", "--weight", "equal=1", "--json"))
    assert [(one["slug"], one["before"], one["after"], one["difference"]) for one in found["members"]] == [
        ("aubrac", "37.50", "50.01", "12.51"), ("breval", "62.51", "50.00", "-12.51"),
    ]  # fmt: skip
    assert (found["before"], found["after"]) == ("100.01", "100.01")
    assert [(one["period"], one["state"]) for one in found["months"]] == [(MONTH, "closed")]
    sheet = tmp_path / "cle.csv"
    shown = run(
        "keys", "simulate", "--file", "-", "--csv", str(sheet), input="weights: {equal: 1}\npools: [exploitation]"
    )
    assert shown.exit_code == 0
    for words in ("Mois : 2024-03", "exploitation", "mixte v1", "12,51", "33,36 %", "−12,51", "100,01"):
        assert words.replace("−", "-") in shown.stdout, shown.stdout
    rows = list(csv.DictReader(sheet.read_text(encoding="utf-8-sig").splitlines(), delimiter=";"))
    assert [(row["Membre"], row["Simulé (EUR)"], row["Écart (%)"]) for row in rows] == [
        ("Aubrac", "50,01", "33,36"), ("Breval", "50,00", "-20,01"), ("Total", "100,01", "0,00"),
    ]  # fmt: skip


def test_a_key_that_can_not_be_simulated(run: Run, facts: None) -> None:
    refused(run, "keys", "simulate", "--weight", "equal=1", status=3, code="nothing_to_simulate")
    error = refused(run, "keys", "simulate", "--weight", "equal=0.5", status=2, code="invalid_key")
    assert "50 %" in str(error)
    refused(run, "keys", "simulate", "--weight", "equal=1", "--file", "/dev/null", status=2, code="invalid_key")
    assert run("keys", "simulate", "--weight", "equal").exit_code == 2


def test_a_statement_says_what_made_a_share(run: Run, closed: None) -> None:
    shown = run("statements", "show", MONTH, "breval").stdout
    assert all(words in shown for words in ("62,5 %", "62,50625", "0,00375", "62,51"))
