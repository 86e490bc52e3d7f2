"""Statements as files, for every door: one of them, or a month's in one file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from api import statement_facturx, statement_pdf
from orchestrator.errors import Conflict, Number, Text
from orchestrator.settings import Settings
from tenants import exports, exports_xlsx, periods, reading, statements, statements_intervals, statements_year
from tenants.statements import Document

ONE = ("csv", "json", "xlsx", "pdf")
INVOICE = ("factur-x", "factur-x-xml")  # of a closed one; the paper that carries the XML, or this alone
MONTH = ("csv", "json", "xlsx")
MOST = 20_000  # lines that the portal writes into a workbook while somebody waits; a command has no such limit


@dataclass(frozen=True)
class File:
    """What somebody takes away."""

    name: str
    content: bytes


@dataclass(frozen=True)
class Desk:
    """Who writes: the installation, in which language (papers), and at most how many lines (workbooks)."""

    settings: Settings
    language: str
    most: int | None = None


def one(session: Session, statement_id: int, kind: str, desk: Desk) -> File:
    """One statement as one of ONE or INVOICE; a workbook has its intervals too.

    Raises NotFound not_found, Conflict too_long, not_closed, not_by_title or no_vat.
    """
    document = reading.statement(session, statement_id)
    if kind in INVOICE:
        return _invoice(session, document, kind, desk)
    name = exports.file_name(document["period"], document["sample"], document["member"]["slug"], kind)
    if kind == "pdf":
        year = statements_year.year(session, statement_id)
        return File(name, statement_pdf.paper(document, year, desk.settings, desk.language))
    if kind == "xlsx":
        held = statements_intervals.all_intervals(session, statement_id)
        _refuse_long(len(document["lines"]) + len(held), desk)
        label, zone = document["period"], desk.settings.timezone
        return File(name, exports_xlsx.xlsx_file(label, [document], zone, held))
    return File(name, _text([document], kind, desk))


def _invoice(session: Session, document: Document, kind: str, desk: Desk) -> File:
    issue = statement_facturx.issue(session, document, desk.settings.timezone)
    content = statement_facturx.xml(document, issue, desk.settings.timezone)
    label, sample, member = document["period"], document["sample"], document["member"]["slug"]
    if kind == "factur-x-xml":
        return File(f"factur-x-{exports.file_name(label, sample, member, 'xml')}", content)
    year = statements_year.year(session, document["id"])
    face = statement_facturx.face(document, issue)
    paper = statement_pdf.paper(document, year, desk.settings, desk.language, invoice=(face, content))
    return File(f"factur-x-{exports.file_name(label, sample, member, 'pdf')}", statement_facturx.pdf(paper))


def month(session: Session, label: str, kind: str, desk: Desk, member: str | None = None) -> File:
    """All statements of a month (of one member, by slug) as one of MONTH.

    Raises NotFound unknown_period or unknown_statement, Conflict too_long.
    """
    period = periods.find(session, label)
    documents = statements.documents(session, period, member)
    name = exports.file_name(label, period.sample, member, kind)
    if kind == "xlsx":
        _refuse_long(sum(len(document["lines"]) for document in documents), desk)
        return File(name, exports_xlsx.xlsx_file(label, documents, desk.settings.timezone))
    return File(name, _text(documents, kind, desk))


def written(session: Session, label: str, kind: str, desk: Desk, member: str | None = None) -> list[File]:
    """A month's statements as one file; as one of each, where a paper is asked for or a single member's workbook.

    Of all members' invoices those that are paid otherwise than by a title are left out.
    """
    if kind not in ("pdf", *INVOICE) and not (kind == "xlsx" and member):
        return [month(session, label, kind, desk, member)]
    period = periods.find(session, label)
    found = statements.listed(session, label, member)
    if member and not found:
        raise statements.unknown(period, member)
    made = (_asked(session, row["id"], kind, desk, alone=bool(member)) for row in found)
    return [file for file in made if file]


def _asked(session: Session, statement_id: int, kind: str, desk: Desk, *, alone: bool) -> File | None:
    try:
        return one(session, statement_id, kind, desk)
    except Conflict as refused:
        if alone or refused.code != "not_by_title":
            raise
        return None


def _text(documents: Sequence[Document], kind: str, desk: Desk) -> bytes:
    return exports.csv_file(documents, desk.settings.timezone) if kind == "csv" else exports.json_file(documents)


def _refuse_long(count: int, desk: Desk) -> None:
    if desk.most is not None and count > desk.most:
        raise Conflict(
            "too_long",
            Text(
                "Ce classeur aurait {count} lignes : le portail en écrit {most} au plus.",
                count=Number(count),
                most=Number(desk.most),
            ),
            "Prenez le CSV, ou demandez à la DSI « clocher statements export --format xlsx ».",
        )
