"""Workbooks for Excel and LibreOffice: typed cells, headers that stay, a total on top that is a formula.

The same content gives the same bytes: nothing in the file says when it was written. A text is never run as a formula,
whatever it begins with. Figures are shown in French form, whatever the reader's own.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import xlsxwriter

from orchestrator.errors import Conflict

# `[$-40C]`: French separators and names; the file itself holds codes in their English form.
KINDS = {
    "text": "@",
    "whole": "0",
    "amount": r"[$-40C]#,##0.00\ €",
    "price": r"[$-40C]#,##0.00######\ €",
    "quantity": "[$-40C]#,##0.000000",
    "thousandth": "[$-40C]#,##0.000",
    "percent": r"[$-40C]0.0000\ %",
    "date": "[$-40C]dd/mm/yyyy",
    "instant": "[$-40C]dd/mm/yyyy hh:mm:ss",
}
STYLES: dict[str, dict[str, Any]] = {
    "line": {},
    "total": {"bold": True},
    "heading": {"bold": True, "text_wrap": True, "valign": "top", "bg_color": "#e8eaed", "bottom": 1},
}
HEADER = 3  # the row of column titles, from 0; above: title, note, total
FIRST = HEADER + 1
MOST = 2**20 - FIRST  # rows that a sheet has room for
EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Formula:
    """A cell that is computed, with what it comes to: viewers that do not compute show that."""

    text: str
    value: Decimal


Cell = str | Decimal | int | date | Formula | None


@dataclass(frozen=True)
class Column:
    """kind: of KINDS; width: in characters; total: its sum stands on top."""

    title: str
    kind: str = "text"
    width: int = 14
    total: bool = False


@dataclass(frozen=True)
class Sheet:
    """A table of a workbook. note: what must be known before the figures are used, on the sheet and on each page."""

    name: str
    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    note: str = ""


def workbook(title: str, sheets: Sequence[Sheet], made: datetime) -> bytes:
    """The file. made: the date that it bears. Raises Conflict too_many_rows."""
    if any(len(sheet.rows) > MOST for sheet in sheets):
        raise Conflict("too_many_rows", "Une feuille de calcul n’a pas autant de lignes.", "Prenez le fichier CSV.")
    written = io.BytesIO()
    # Row by row: a month of a hundred thousand servers is not held as cells.
    book = xlsxwriter.Workbook(written, {"constant_memory": True})
    book.set_properties({"title": title, "author": "Clocher", "created": made.astimezone(UTC)})
    looks = {style: {kind: book.add_format(_look(kind) | more) for kind in KINDS} for style, more in STYLES.items()}
    for sheet in sheets:
        _write(book, sheet, looks)
    book.close()
    return _settled(written.getvalue())


def column(sheet: Sheet, place: int) -> str:
    """The cells of a column as a formula names them: 'Coûts communs'!$C$5:$C$9."""
    letter = chr(ord("A") + place)
    return f"'{sheet.name}'!${letter}${FIRST + 1}:${letter}${FIRST + max(len(sheet.rows), 1)}"


def _look(kind: str) -> dict[str, Any]:
    return {"num_format": KINDS[kind], **({"align": "left", "indent": 1} if kind == "text" else {"align": "right"})}


def _write(book: Any, sheet: Sheet, looks: dict[str, dict[str, Any]]) -> None:
    page = book.add_worksheet(sheet.name)
    _lay_out(page, sheet)
    for place, one in enumerate(sheet.columns):
        page.set_column(place, place, one.width)
    page.set_row(HEADER, 32)  # titles of two lines
    page.write_string(0, 0, _text(sheet.title), book.add_format({"bold": True, "font_size": 14}))
    page.write_string(1, 0, _text(sheet.note), book.add_format({"bold": True, "font_color": "#a61c00"}))
    _write_row(page, HEADER - 1, sheet.columns, _totals(sheet), looks["total"])
    for place, one in enumerate(sheet.columns):
        page.write_string(HEADER, place, one.title, looks["heading"][one.kind])
    for number, row in enumerate(sheet.rows, FIRST):
        _write_row(page, number, sheet.columns, row, looks["line"])


def _totals(sheet: Sheet) -> list[Cell]:
    """The row on top, where neither sorting nor filtering reaches it."""
    found: list[Cell] = [None] * len(sheet.columns)
    for place, one in enumerate(sheet.columns):
        if one.total:
            cells = column(sheet, place).rpartition("!")[2]
            known = [_value(row[place]) for row in sheet.rows if row[place] is not None]
            # What is known of none of its lines has no sum either.
            if known or not sheet.rows:
                found[place] = Formula(f"=SUM({cells})", sum(known, Decimal(0)))
    return ["Total" if any(found) else "", *found[1:]]


def _value(cell: Cell) -> Decimal:
    value = cell.value if isinstance(cell, Formula) else cell
    assert isinstance(value, Decimal), "a column with a total holds amounts"
    return value


def _lay_out(page: Any, sheet: Sheet) -> None:
    """Screen and paper: headers stay in sight, A4 on its side, headers and note again on each page."""
    page.freeze_panes(FIRST, 1)
    last = FIRST + max(len(sheet.rows), 1) - 1
    page.autofilter(HEADER, 0, last, len(sheet.columns) - 1)
    # A SIRET is a text though it looks like a number.
    page.ignore_errors({"number_stored_as_text": f"A1:{chr(ord('A') + len(sheet.columns) - 1)}{last + 1}"})
    page.set_landscape()
    page.set_paper(9)
    page.set_margins(left=0.4, right=0.4, top=0.6, bottom=0.6)
    page.fit_to_pages(1, 0)
    page.repeat_rows(0, HEADER)
    page.set_footer(f"&L{_said(sheet.title)}&C{_said(sheet.note)}&R&P / &N")


def _write_row(page: Any, number: int, columns: Sequence[Column], row: Iterable[Cell], formats: dict[str, Any]) -> None:
    for place, (one, cell) in enumerate(zip(columns, row, strict=True)):
        _write_cell(page, number, place, cell, formats[one.kind])


def _write_cell(page: Any, row: int, place: int, cell: Cell, form: Any) -> None:
    if cell is None:
        return
    if isinstance(cell, Formula):
        page.write_formula(row, place, cell.text, form, cell.value)
    elif isinstance(cell, str):
        page.write_string(row, place, _text(cell), form)
    elif isinstance(cell, date):
        page.write_datetime(row, place, cell, form)
    else:
        page.write_number(row, place, cell, form)


def _text(words: str) -> str:
    """The library takes `<r>…</r>` for its own mark-up and would pass it on as it is."""
    return words.replace("<r>", "‹r›")


def _said(words: str) -> str:
    """As a footer says it: `&` begins a code there, and 255 signs are all it holds."""
    return words.replace("&", "&&")[:100]


def _settled(content: bytes) -> bytes:
    """The archive with its language, and without the hour and the machine that it was made on."""
    settled = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(settled, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            part = old.read(name)
            if name == "docProps/core.xml":
                part = part.replace(b"</cp:coreProperties>", b"<dc:language>fr-FR</dc:language></cp:coreProperties>")
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            new.writestr(entry, part)
    return settled.getvalue()
