"""Statements as workbooks, read back by another library: types, formulas and what they come to, what is on paper."""

import io
import re
import zipfile
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from openpyxl import Workbook, load_workbook
from sqlalchemy.orm import Session

from orchestrator.database import territory_session
from orchestrator.errors import Conflict
from tenants import exports_xlsx, periods, reading, sheets, statements, statements_intervals, statements_year
from tenants.finance import Sharing
from tests.tenants.ledger import LATER, PARIS, Ledger
from tests.tenants.test_month import TOTALS, write_month

pytestmark = pytest.mark.slow

MONTH = "2026-03"


def closed(session: Session) -> list[statements.Document]:
    period = periods.draft(session, MONTH, write_month(session), LATER, PARIS)
    assert periods.check(session, MONTH) == []
    periods.close(session, MONTH, LATER)
    return statements.documents(session, period)


def opened(content: bytes, *, shown: bool = True) -> Workbook:
    """With what its formulas come to by the file's own word, or the formulas themselves."""
    return load_workbook(io.BytesIO(content), data_only=shown)


def rows(book: Workbook, name: str) -> list[dict[str, Any]]:
    page = book[name]
    titles = [cell.value for cell in page[sheets.HEADER + 1]]
    return [dict(zip(titles, row, strict=True)) for row in page.iter_rows(sheets.FIRST + 1, values_only=True)]


def cents(value: Any) -> Decimal:
    """A figure of the file: a double, which holds so many cents exactly enough."""
    return Decimal(str(value)).quantize(Decimal("0.01"))


def test_every_figure_of_the_month_is_there(staff: sa.Engine) -> None:
    with territory_session(staff, "test") as session:
        documents = closed(session)
    book = opened(exports_xlsx.xlsx_file(MONTH, documents, PARIS))
    assert book.sheetnames == ["Synthèse", "Consommations", "Coûts communs", "Empreintes"]
    members = rows(book, "Synthèse")
    assert {row["Membre"].lower(): str(cents(row["Total (EUR)"])) for row in members} == TOTALS
    assert members[0]["SIRET"] == "00000000100015"
    assert [f"{members[0][day]:%d/%m/%Y}" for day in ("Du", "Au")] == ["01/03/2026", "31/03/2026"]
    lines = [line for document in documents for line in document["lines"]]
    for name, kind in (("Consommations", "usage"), ("Coûts communs", "share")):
        expected = [
            (line["position"], line["label"], Decimal(line["amount"])) for line in lines if line["kind"] == kind
        ]
        label = "Libellé" if kind == "usage" else "Coût"
        assert [(row["Ligne"], row[label], cents(row["Montant (EUR)"])) for row in rows(book, name)] == expected
    for row in rows(book, "Coûts communs"):
        exact = Decimal(str(row["Quote-part exacte (EUR)"])) + Decimal(str(row["Arrondi (EUR)"]))
        assert abs(exact - Decimal(str(row["Montant (EUR)"]))) < Decimal("0.000002")
    assert [row["Empreinte (SHA-256)"] for row in rows(book, "Empreintes")] == [
        statements.digest(statements.canonical(document)) for document in documents
    ]


def test_sums_are_formulas_over_the_lines(staff: sa.Engine) -> None:
    """Each formula is computed here again, from the cells that it names."""
    with territory_session(staff, "test") as session:
        content = exports_xlsx.xlsx_file(MONTH, closed(session), PARIS)
    told, said = opened(content, shown=False), opened(content)
    computed = 0
    for page in told:
        for cell in (cell for row in page.iter_rows() for cell in row if cell.data_type == "f"):
            assert compute(said, page.title, cell.value) == cents(said[page.title][cell.coordinate].value), cell
            computed += 1
    assert computed == 4 * 5 + 5 + 1 + 1


def compute(book: Workbook, page: str, formula: str) -> Decimal:
    def cells(named: str) -> list[Any]:
        sheet, _, place = named.rpartition("!")
        found = book[sheet.strip("'") or page][place.replace("$", "")]
        return [cell.value for row in found for cell in row] if isinstance(found, tuple) else [found.value]

    if total := re.fullmatch(r"=SUM\((.+)\)", formula):
        return sum((cents(value) for value in cells(total[1])), Decimal(0))
    if chosen := re.fullmatch(r"=SUMIFS\((.+),(.+),(.+)\)", formula):
        amounts, keys, [wanted] = map(cells, chosen.groups())
        return sum((cents(value) for value, key in zip(amounts, keys, strict=True) if key == wanted), Decimal(0))
    if taxed := re.fullmatch(r"=ROUND\((\w+)\*(\w+),2\)", formula):
        [total], [rate] = map(cells, taxed.groups())
        return (cents(total) * Decimal(str(rate or 0))).quantize(Decimal("0.01"), ROUND_HALF_UP)
    one, other = formula.removeprefix("=").split("+")
    return cents(cells(one)[0]) + cents(cells(other)[0])


def test_a_member_can_prove_each_line_by_its_intervals(staff: sa.Engine) -> None:
    with territory_session(staff, "test") as session:
        closed(session)
        [brief] = statements.listed(session, MONTH, "breval")
        document = reading.statement(session, brief["id"])
        intervals = statements_intervals.all_intervals(session, brief["id"])
        book = opened(exports_xlsx.xlsx_file(MONTH, [document], PARIS, intervals))
        for line in (line for line in document["lines"] if line["kind"] == "usage"):
            row = statements_intervals.line(session, brief["id"], line["position"])
            alone = statements_intervals.intervals(session, row)
            assert alone == [one for one in intervals if one["position"] == line["position"]]
    held = rows(book, "Intervalles")
    assert len(held) == len(intervals)
    for line in rows(book, "Consommations"):
        mine = [Decimal(str(row["Quantité (unité × heure)"])) for row in held if row["Ligne"] == line["Ligne"]]
        assert abs(sum(mine) - Decimal(str(line["Quantité (unité × heure)"]))) <= len(mine) * Decimal("0.000001")
    assert str(held[0]["Du (heure locale)"]) == "2026-03-10 11:01:00.250000"
    assert book["Synthèse"]["A1"].value == "Relevé 2026-03 · Breval"


def test_sheets_are_laid_out_for_screen_and_paper(staff: sa.Engine) -> None:
    with territory_session(staff, "test") as session:
        period = periods.draft(session, MONTH, write_month(session), LATER, PARIS)
        documents = [document | {"sample": True} for document in statements.documents(session, period)]
    book = opened(exports_xlsx.xlsx_file(MONTH, documents, PARIS))
    assert (book.properties.title, book.properties.language) == ("Relevés 2026-03", "fr-FR")
    assert str(book.properties.created) == "2026-03-31 22:00:00"
    assert "Empreintes" not in book.sheetnames
    for page in book:
        assert page["A2"].value == page.oddFooter.center.text == "EXEMPLE, sans valeur comptable ; PROJET"
        assert page.freeze_panes == "B5"
        assert page.auto_filter.ref.startswith("A4:")
        assert (page.page_setup.orientation, page.page_setup.paperSize) == ("landscape", 9)
        assert page.page_setup.fitToHeight == 0 and page.sheet_properties.pageSetUpPr.fitToPage
        assert page.print_title_rows == "$1:$4"
    lines = book["Consommations"]
    assert lines["K5"].number_format == r"[$-40C]#,##0.00\ €"
    assert lines["J5"].number_format == "[$-40C]dd/mm/yyyy"
    assert (lines["B5"].data_type, lines["B5"].number_format) == ("s", "@")


def test_a_closed_month_is_the_same_to_the_byte(staff: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    with territory_session(staff, "test") as session:
        documents = closed(session)
    first = exports_xlsx.xlsx_file(MONTH, documents, PARIS)
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    assert exports_xlsx.xlsx_file(MONTH, documents, PARIS) == first
    assert {part.date_time for part in zipfile.ZipFile(io.BytesIO(first)).infolist()} == {sheets.EPOCH}


def test_no_text_is_a_formula_nor_mark_up(staff: sa.Engine) -> None:
    """Whatever a member is called, and whatever a spreadsheet or the library would make of it."""
    names = ['=cmd|"x"!A1', "+1", "@x", "<r><t>x</t></r>", "a & b < c &L", "00042", "http://x.example", "\x07é"]
    with territory_session(staff, "test") as session:
        ledger = Ledger(session)
        for number, name in enumerate(names, 1):
            ledger.member(f"m-{number}", number, 10)
            ledger.members[f"m-{number}"].name = name
        period = periods.draft(session, MONTH, Sharing(), LATER, PARIS)
        documents = statements.documents(session, period)
    content = exports_xlsx.xlsx_file(MONTH, documents, PARIS)
    book = opened(content, shown=False)
    found = [(cell.value, cell.data_type) for [cell] in book["Synthèse"].iter_rows(5, max_col=1)]
    assert found == [(name.replace("<r>", "‹r›").replace("\x07", "_x0007_"), "s") for name in names]
    for document in documents:
        alone = opened(exports_xlsx.xlsx_file(MONTH, [document], PARIS, []))
        assert alone["Consommations"]["K3"].value == 0


def test_nothing_to_tell_is_a_file_too(staff: sa.Engine) -> None:
    book = opened(exports_xlsx.xlsx_file(MONTH, [], PARIS))
    assert rows(book, "Synthèse") == []
    assert str(book.properties.created) == "2026-02-28 23:00:00"


def test_more_lines_than_a_sheet_has_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheets, "MOST", 2)
    page = sheets.Sheet("a", "a", [sheets.Column("x")], [["x"]] * 3)
    with pytest.raises(Conflict, match="autant de lignes"):
        sheets.workbook("a", [page], LATER)


def test_a_year_is_what_was_closed_before(staff: sa.Engine) -> None:
    with territory_session(staff, "test") as session:
        declared = write_month(session)
        for month in ("2026-02", MONTH, "2026-01"):  # January is closed last
            periods.draft(session, month, declared if month == MONTH else Sharing(), LATER, PARIS)
            assert periods.check(session, month) == []
            periods.close(session, month, LATER)
        periods.draft(session, "2026-04", Sharing(), LATER, PARIS)
        ids = {row["period"]: row["id"] for row in statements.listed(session, member="aubrac")}
        march, april = (statements_year.year(session, ids[month]) for month in (MONTH, "2026-04"))
    assert [label for label, _ in march] == [f"2025-{n:02}" for n in range(4, 13)] + ["2026-01", "2026-02", "2026-03"]
    assert [label for label, total in march if total is not None] == ["2026-02", "2026-03"]
    assert march[-1] == (MONTH, Decimal(TOTALS["aubrac"]))
    assert [label for label, total in april if total is not None] == ["2026-01", "2026-02", "2026-03", "2026-04"]
