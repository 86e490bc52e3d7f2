"""The doors by which statements leave as files: what each hands out, to whom, in whose language."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from apiflask import APIFlask
from openpyxl import load_workbook
from pypdf import PdfReader

from api import statement_files
from orchestrator.database import territory_session
from orchestrator.settings import Settings
from tenants import periods, statements
from tests.api.conftest import Run, told
from tests.api.people import Person, invite
from tests.tenants.ledger import LATER, PARIS
from tests.tenants.test_month import TOTALS, write_month

MONTH = "2026-03"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
People = Callable[[str | None], Person]


@pytest.fixture
def ids(owner: sa.Engine) -> dict[str, int]:
    """A closed month: its statements by member."""
    with territory_session(owner, "tests") as session:
        periods.draft(session, MONTH, write_month(session), LATER, PARIS)
        assert periods.check(session, MONTH) == []
        periods.close(session, MONTH, LATER)
        return {row["member"]: row["id"] for row in statements.listed(session, MONTH)}


@pytest.fixture
def people(app: APIFlask) -> People:
    return lambda slug: invite(app, f"Odile {slug}", slug, ["finance"] if slug else ["territory_finance"])


def totals(content: bytes) -> dict[str, str]:
    page = load_workbook(io.BytesIO(content), data_only=True)["Synthèse"]
    return {row[0].lower(): f"{row[7]:.2f}" for row in page.iter_rows(5, values_only=True)}


def words(content: bytes) -> str:
    return " ".join(page.extract_text() for page in PdfReader(io.BytesIO(content)).pages)


@pytest.mark.slow
def test_pages_hand_out_every_kind(people: People, ids: dict[str, int]) -> None:
    aubrac, finance = people("aubrac").client(), people(None).client()
    for client, base in ((aubrac, "/statements"), (finance, "/finance/statements")):
        path = f"{base}/{ids['aubrac']}"
        for kind in statement_files.ONE:
            assert f'href="{path}.{kind}"' in client.get(path).text
            answer = client.get(f"{path}.{kind}")
            named = f'attachment; filename="releve-{MONTH}-aubrac.{kind}"'
            assert (answer.status_code, answer.headers["Content-Disposition"]) == (200, named)
        assert totals(client.get(f"{path}.xlsx").data) == {"aubrac": TOTALS["aubrac"]}
        assert client.get(f"{path}.xlsx").content_type == XLSX
        assert client.get(f"{path}.pdf").content_type == "application/pdf"
        assert "Relevé de mars 2026" in words(client.get(f"{path}.pdf").data)
        assert "Statement of March 2026" in words(client.get(f"{path}.pdf?lang=en").data)
        assert client.get(f"{path}.exe").status_code == 404
    foreign = [aubrac.get(f"/statements/{ids['breval']}.{kind}").status_code for kind in statement_files.ONE]
    assert foreign == [404] * 4
    page = finance.get(f"/finance/periods/{MONTH}").text
    assert f'href="/finance/statements/{ids["breval"]}.pdf"' in page
    export = f"/finance/statements/export.xlsx?period={MONTH}"
    assert export in page
    assert totals(finance.get(export).data) == TOTALS
    assert finance.get(f"/finance/statements/export.pdf?period={MONTH}").status_code == 422


@pytest.mark.slow
def test_the_api_hands_out_workbooks_and_papers(
    app: APIFlask, people: People, ids: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = app.test_client()
    aubrac, finance = ({"Authorization": f"Bearer {people(slug).token()}"} for slug in ("aubrac", None))
    path = f"/api/v1/statements/{ids['aubrac']}"
    workbook = client.get(f"{path}.xlsx", headers=aubrac)
    assert (workbook.content_type, totals(workbook.data)) == (XLSX, {"aubrac": TOTALS["aubrac"]})
    assert client.get(f"{path}.xlsx", headers=aubrac).data == workbook.data
    again = client.get(f"{path}.xlsx", headers={**aubrac, "If-None-Match": workbook.headers["ETag"]})
    assert again.status_code == 304
    for language, title in (("fr", "Relevé de mars 2026"), ("en", "Statement of March 2026")):
        paper = client.get(f"{path}.pdf", headers={**aubrac, "Accept-Language": language})
        assert (paper.content_type, title in words(paper.data)) == ("application/pdf", True)
    refused = client.get(f"{path}.pdf", headers={**aubrac, "Accept": "text/csv"})
    assert refused.status_code == 406
    month = f"/api/v1/periods/{MONTH}/statements.xlsx"
    assert totals(client.get(month, headers=finance).data) == TOTALS
    assert client.get(month, headers=aubrac).status_code == 403
    for kind in ("xlsx", "pdf"):
        assert client.get(f"/api/v1/statements/{ids['breval']}.{kind}", headers=aubrac).status_code == 404
    monkeypatch.setattr(statement_files, "MOST", 5)
    for long in (month, f"{path}.xlsx"):
        answer = client.get(long, headers=finance)
        assert (answer.status_code, answer.json["code"]) == (409, "too_long")


@pytest.mark.slow
@pytest.mark.usefixtures("ids")
def test_the_command_writes_them(run: Run, tmp_path: Path, settings: Settings) -> None:
    def export(*more: str) -> list[Path]:
        answer = told(run("statements", "export", MONTH, "--to", str(tmp_path), *more, "--json"))
        files = [Path(name) for name in answer.get("files", [answer.get("file")])]
        assert sum(file.stat().st_size for file in files) == answer["bytes"]
        return files

    [month] = export("--format", "xlsx")
    assert (month.name, totals(month.read_bytes())) == (f"releve-{MONTH}.xlsx", TOTALS)
    [member] = export("--format", "xlsx", "--member", "breval")
    assert "Intervalles" in load_workbook(member).sheetnames
    papers = export("--format", "pdf", "--language", "en")
    assert [paper.name for paper in papers] == [f"releve-{MONTH}-{slug}.pdf" for slug in TOTALS]
    assert "Statement of March 2026" in words(papers[0].read_bytes())
    assert export("--format", "pdf", "--member", "breval")[0].name == f"releve-{MONTH}-breval.pdf"
    refused = run("statements", "export", MONTH, "--format", "pdf", "--member", "nobody")
    assert (refused.exit_code, "[unknown_statement]" in refused.stderr) == (2, True)


@pytest.mark.slow
def test_the_command_fetches_them_from_afar(
    run: Run, portal: str, people: People, ids: dict[str, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLOCHER_TOKEN", people("aubrac").token())
    for kind in ("csv", "xlsx", "pdf"):
        told(run("--url", portal, "statements", "export", MONTH, "--format", kind, "--to", str(tmp_path), "--json"))
    assert totals((tmp_path / f"releve-{MONTH}-aubrac.xlsx").read_bytes()) == {"aubrac": TOTALS["aubrac"]}
    assert (tmp_path / f"releve-{MONTH}-aubrac.pdf").read_bytes().startswith(b"%PDF")
    assert (tmp_path / f"releve-{MONTH}-aubrac.csv").read_bytes().startswith(b"\xef\xbb\xbf")
