"""FOCUS files at every door: the API, the pages, the command line; each hands out its own, and the same bytes."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

import pytest
import sqlalchemy as sa
from apiflask import APIFlask

from orchestrator.database import territory_session
from orchestrator.settings import Settings
from tests.api.administered import LABEL, administer
from tests.api.conftest import Caller, Run, told
from tests.api.people import invite
from tests.tenants.focus_checker import faults, of_csv, of_parquet
from tests.tenants.ordering import member

ASKED = {f"{LABEL}-73282932000000": Decimal("10.00")}
PARQUET = "application/vnd.apache.parquet"


@pytest.fixture
def statement(owner: sa.Engine) -> int:
    """brevaux's account of a month, of ten euros."""
    return administer(owner).statement


@pytest.mark.slow
def test_every_door_hands_out_the_same(app: APIFlask, owner: sa.Engine, statement: int) -> None:
    finance = invite(app, "Karim", None, ["territory_finance"])
    payer = invite(app, "Nadia", "brevaux", ["finance"])
    other = invite(app, "Inès", "orgelune", ["finance"])
    files = {}
    for kind in ("csv", "parquet"):
        for version in ("1.2", "1.4"):
            asked = f"focus.{kind}?version={version}"
            answers = [
                Caller(app, finance.token())("GET", f"/periods/{LABEL}/{asked}"),
                Caller(app, payer.token())("GET", f"/statements/{statement}/{asked}"),
                finance.client().get(f"/finance/focus/{LABEL}.{kind}?version={version}"),
                payer.client().get(f"/statements/{statement}/{asked}"),
            ]
            assert [answer.status_code for answer in answers] == [200] * 4
            assert len({answer.data for answer in answers}) == 1
            assert {answer.content_type for answer in answers} == {
                "text/csv; charset=utf-8" if kind == "csv" else PARQUET
            }
            assert f'"focus-{version}-{LABEL}.{kind}"' in answers[0].headers["Content-Disposition"]
            assert f'"focus-{version}-{LABEL}-brevaux.{kind}"' in answers[1].headers["Content-Disposition"]
            files[kind, version] = answers[0].data
            assert Caller(app, other.token())("GET", f"/statements/{statement}/{asked}").json["code"] == "not_found"
            assert Caller(app, payer.token())("GET", f"/periods/{LABEL}/{asked}").status_code == 403
            assert other.client().get(f"/finance/focus/{LABEL}.{kind}").status_code == 403
    for (kind, version), content in files.items():
        assert faults((of_csv if kind == "csv" else of_parquet)(content, version), version, ASKED) == []
    assert Caller(app, finance.token())("GET", f"/periods/{LABEL}/focus.csv").data == files["csv", "1.2"]
    accepting = Caller(app, finance.token())("GET", f"/periods/{LABEL}/focus.parquet", headers={"Accept": PARQUET})
    assert accepting.status_code == 200


@pytest.mark.slow
def test_pages_lead_to_the_files_and_refuse_other_ones(app: APIFlask, statement: int) -> None:
    finance, payer = (invite(app, "Karim", None, ["territory_finance"]), invite(app, "Nadia", "brevaux", ["finance"]))
    for person, path in (
        (finance, f"/finance/periods/{LABEL}"),
        (finance, f"/finance/statements/{statement}"),
        (payer, f"/statements/{statement}"),
    ):
        client = person.client()
        page = client.get(path).text
        links = [link.replace("&amp;", "&") for link in re.findall(r'href="([^"]*focus[^"]*)"', page)]
        assert len(links) == 4, path
        assert [client.get(link).status_code for link in links] == [200] * 4
    for wrong in (f"/finance/focus/{LABEL}.xml", f"/finance/focus/{LABEL}.csv?version=0.9"):
        assert finance.client().get(wrong).status_code == 422
    assert payer.client().get(f"/statements/{statement}/focus.xml").status_code == 422
    assert finance.client().get("/finance/focus/2031-01.csv").status_code == 404
    api = Caller(app, finance.token())
    assert api("GET", f"/periods/{LABEL}/focus.csv?version=2.0").status_code == 422


@pytest.mark.slow
def test_the_command_writes_it(owner: sa.Engine, run: Run, settings: Settings, tmp_path: Path) -> None:
    administer(owner)
    member(owner, "vide")
    for form, read in (("focus-csv", of_csv), ("focus-parquet", of_parquet)):
        kind = form.removeprefix("focus-")
        words = ("periods", "export", LABEL, "--format", form, "--focus", "1.4", "--to", str(tmp_path / "out"))
        answer = told(run(*words, "--json"))
        path = tmp_path / "out" / f"focus-1.4-{LABEL}.{kind}"
        assert (answer["file"], answer["bytes"]) == (str(path), path.stat().st_size)
        assert faults(read(path.read_bytes(), "1.4"), "1.4", ASKED) == []
    assert "1 relevé(s)" in run("periods", "export", LABEL, "--member", "brevaux", "--to", str(tmp_path)).stdout
    assert (tmp_path / f"focus-1.2-{LABEL}-brevaux.csv").exists()
    for words, code in (
        (("periods", "export", "2031-01"), "unknown_period"),
        (("periods", "export", LABEL, "--member", "personne"), "unknown_statement"),
        (
            ("periods", "export", LABEL, "--to", str(tmp_path / f"focus-1.2-{LABEL}-brevaux.csv" / "below")),
            "unwritable",
        ),
    ):
        assert f"[{code}]" in run(*words).stderr


@pytest.mark.slow
def test_a_territory_that_says_nothing_of_itself(
    owner: sa.Engine, run: Run, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    administer(owner)
    bare = settings.model_copy(update={"territories_dir": tmp_path, "territory": "nulle-part"})
    monkeypatch.setattr("orchestrator.settings.load", lambda: bare)
    assert "[no_issuer]" in run("periods", "export", LABEL).stderr
    with territory_session(owner, "test") as session:
        assert session.execute(sa.text("SELECT count(*) FROM periods")).scalar_one() == 1
