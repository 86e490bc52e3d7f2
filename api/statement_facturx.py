"""A closed statement as an electronic invoice: EN 16931 in CII, and Factur-X, the paper that carries it (PDF/A-3).

It says only what is sealed in the statement's document, and the day it was closed. A total below zero is a credit note
(381), whose amounts are above zero and which refers to the statement before. Prices of EN 16931 are never below zero:
what takes away from an account has a negative quantity.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, cast
from zoneinfo import ZoneInfo

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pypdf import PdfWriter
from pypdf.generic import StreamObject
from sqlalchemy.orm import Session

from orchestrator.errors import Conflict
from tenants import exports, focus, periods, statements_year

Document = dict[str, Any]
FILE = "factur-x.xml"
# Category of VAT (UNTDID 5305) and the reason why none is asked (CEF's list VATEX): directive 2006/112, 132 (1) f.
CATEGORIES = {"normal": ("S", None), "exempt": ("E", "VATEX-EU-132-1F"), "out_of_scope": ("O", "VATEX-EU-O")}
# What a French invoice says of payment, by subject (UNTDID 4451).
NOTES = {"late": "PMD", "recovery": "PMT", "discount": "AAB"}
XMP = "urn:factur-x:pdfa:CrossIndustryDocument:invoice:1p0#"
BAG_END, RDF_END = "</rdf:Bag></pdfaExtension:schemas>", "</rdf:RDF>"
ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # in XML 1.0
INVOICE, CREDIT_NOTE = "380", "381"
AT_ONCE = {"fr": "À réception", "en": "On receipt"}


@dataclass(frozen=True)
class Issue:
    """What is not in the document: the day it was closed; for a credit note, the invoice before it (number, day)."""

    day: date
    before: tuple[str, date] | None = None


@dataclass(frozen=True)
class Face:
    """What people read first on the paper of an invoice, as the XML says it (CGI, annexe II, art. 242 nonies A).

    seller, buyer: name, siren, siret, street, postcode, city, vat_number; what is not known is None. before: the
    invoice that a credit note takes back from: its number and day.
    """

    number: str
    day: date
    credit: bool
    seller: Document
    buyer: Document
    terms: dict[str, str]
    before: tuple[str, date] | None


def face(document: Document, issued: Issue) -> Face:
    """The face of a closed statement's invoice."""
    category, _ = CATEGORIES[document["vat"]["regime"]]
    return Face(
        number=focus.invoice_id(document), day=issued.day, credit=Decimal(document["total"]) < 0,
        seller=_seller(document["issuer"], category),
        buyer=_party(document["member"] | document.get("contract", {}), category),
        terms=document.get("terms", {}).get("terms") or AT_ONCE, before=issued.before,
    )  # fmt: skip


def issue(session: Session, document: Document, timezone: str) -> Issue:
    """The issue of a closed statement. Raises Conflict not_closed, not_by_title or no_vat."""
    period = periods.find(session, document["period"])
    if document["state"] != "closed" or period.closed_at is None:
        raise Conflict("not_closed", "Un projet n’est pas une facture.", "Attendez la clôture de la période.")
    if document.get("billing", {}).get("mode", "title") != "title":
        raise Conflict(
            "not_by_title",
            "Ce relevé ne se paie pas par un titre : une facture le demanderait une seconde fois.",
            "Prenez le PDF, qui dit comment il se paie.",
        )
    if not document.get("vat") or not document.get("issuer"):
        raise Conflict(
            "no_vat",
            "Ce relevé a été clos avant que la TVA ne soit suivie : il n’y a pas de facture à en faire.",
            "Prenez le PDF ou le CSV.",
        )
    zone = ZoneInfo(timezone)
    before = statements_year.before(session, document["id"]) if Decimal(document["total"]) < 0 else None
    linked = before and (focus.invoice_id(before.document), before.closed_at.astimezone(zone).date())
    return Issue(period.closed_at.astimezone(zone).date(), linked or None)


def xml(document: Document, issued: Issue, timezone: str) -> bytes:
    """The invoice, always the same for a closed statement."""
    text: str = _template().render(_clean(_shown(document, issued, ZoneInfo(timezone))))
    return text.encode()


def pdf(paper: bytes) -> bytes:
    """A paper (PDF/A-3) that carries its invoice, told in its metadata as a Factur-X; the same for the same paper."""
    writer = PdfWriter(clone_from=io.BytesIO(paper))
    writer.pdf_header = "%PDF-1.7"  # what PDF/A-3 builds on
    metadata = cast(StreamObject, writer.root_object["/Metadata"].get_object())
    said = metadata.get_data().decode()
    for before, more in ((BAG_END, _xmp()["schema"]), (RDF_END, _xmp()["properties"])):
        assert said.count(before) == 1, "the metadata is as Typst writes it"
        said = said.replace(before, more + before)
    metadata.set_data(said.encode())
    written = io.BytesIO()
    writer.write(written)
    return written.getvalue()


@cache
def _xmp() -> dict[str, str]:
    """The properties of a Factur-X in XMP, and the schema that PDF/A wants of properties that it does not know."""
    words = {"DocumentFileName": FILE, "DocumentType": "INVOICE", "Version": "1.0", "ConformanceLevel": "EN 16931"}
    told = "".join(
        f'<rdf:li rdf:parseType="Resource"><pdfaProperty:name>{name}</pdfaProperty:name><pdfaProperty:valueType>Text'
        f"</pdfaProperty:valueType><pdfaProperty:category>external</pdfaProperty:category><pdfaProperty:description>{name}"
        "</pdfaProperty:description></rdf:li>"
        for name in words
    )
    values = "".join(f"<fx:{name}>{value}</fx:{name}>" for name, value in words.items())
    return {
        "schema": '<rdf:li rdf:parseType="Resource"><pdfaSchema:schema>Factur-X PDFA Extension Schema'
        f"</pdfaSchema:schema><pdfaSchema:namespaceURI>{XMP}</pdfaSchema:namespaceURI><pdfaSchema:prefix>fx"
        f"</pdfaSchema:prefix><pdfaSchema:property><rdf:Seq>{told}</rdf:Seq></pdfaSchema:property></rdf:li>",
        "properties": f'<rdf:Description rdf:about="" xmlns:fx="{XMP}">{values}</rdf:Description>',
    }


@cache
def _template() -> Any:
    folder = FileSystemLoader(Path(__file__).parent / "papers")
    strict = Environment(
        loader=folder, autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
    )
    return strict.get_template(FILE)


def _shown(document: Document, issued: Issue, zone: ZoneInfo) -> dict[str, Any]:
    seen = face(document, issued)
    sign = -1 if seen.credit else 1
    vat, contract = document["vat"], document.get("contract", {})
    category, reason_code = CATEGORIES[vat["regime"]]
    rates = {"S": vat["rate"], "E": "0.00", "O": None}
    return {
        "number": seen.number,
        "kind": CREDIT_NOTE if seen.credit else INVOICE,
        "issued": f"{seen.day:%Y%m%d}",
        "notes": _notes(document),
        "lines": [_line(line, sign) for line in document["lines"]] or [_nothing()],
        "seller": seen.seller,
        "buyer": seen.buyer,
        "references": {name: contract.get(name) for name in ("reference", "service_code", "engagement")},
        "currency": document["currency"],
        "tax": {"category": category, "rate": rates[category], "reason_code": reason_code,
                "reason": vat["mention"].get("fr") if reason_code else None},
        "since": _day(document["from"], zone),
        "until": _day(document["until"], zone, last=True),
        "terms": seen.terms.get("fr") or AT_ONCE["fr"],
        "sums": {name: _cents(sign * Decimal(amount)) for name, amount in
                 (("net", document["total"]), ("vat", vat["amount"]), ("gross", document["payable"]))},
        "before": seen.before and {"number": seen.before[0], "issued": f"{seen.before[1]:%Y%m%d}"},
    }  # fmt: skip


def _notes(document: Document) -> list[tuple[str, str]]:
    texts = document.get("terms", {})
    said = [("", exports.SAMPLE)] * document["sample"] + [("", document["vat"]["mention"].get("fr", ""))]
    said += [(subject, texts[code]["fr"]) for code, subject in NOTES.items() if code in texts]
    return [(subject, text) for subject, text in said if text]


def _seller(issuer: Document, category: str) -> Document:
    # The rule by which everybody's number follows from its SIREN.
    number = f"FR{(12 + 3 * (int(issuer['siren']) % 97)) % 97:02}{issuer['siren']}"
    return _party({"vat_number": number} | issuer, category)


def _party(who: Document, category: str) -> Document:
    """Outside the scope of VAT nobody's VAT number may stand there (BR-O-2 to 4)."""
    number = who.get("vat_number")
    shown = {name: who.get(name) for name in ("name", "siren", "siret", "street", "postcode", "city")}
    return shown | {"vat_number": number if category != "O" else None}


def _line(line: Document, sign: int) -> Document:
    amount = sign * Decimal(line["amount"])
    made = {"id": line["position"], "amount": _cents(amount), "base": 1}
    if "unit_seconds" in line and "hourly" in line:
        hours = (sign * Decimal(line["unit_seconds"]) / 3600).quantize(Decimal("0.0001"))
        unit = exports.UNITS.get(line["unit"], line["unit"])
        told = f"{line['book']} ({unit} × heure)"
        return made | {"name": f"{line['service']} : {line['label']}", "description": told,
                       "unit": "HUR", "quantity": f"{hours:f}", **_price(Decimal(line["hourly"]))}  # fmt: skip
    told = f"Clé {line['key']} v{line['key_version']}, {line['deliberation']}" if "key" in line else line.get("why", "")
    return made | {"name": line.get("label") or line["kind"], "description": told, "price": _cents(abs(amount)),
                   "unit": "C62", "quantity": "-1" if amount < 0 else "1"}  # fmt: skip


def _price(hourly: Decimal) -> Document:
    """An hour's price; of a hundred hours where it has more than the six decimals that French invoices allow."""
    base = 1 if hourly == hourly.quantize(Decimal("0.000001")) else 100
    return {"price": f"{(hourly * base).quantize(Decimal('0.000001')):f}", "base": base}


def _nothing() -> Document:
    """An invoice has a line, though nothing was used."""
    return {"id": 1, "name": "Ni consommation ni quote-part", "description": "", "price": "0.00", "unit": "C62",
            "quantity": "1", "amount": "0.00", "base": 1}  # fmt: skip


def _cents(amount: Decimal) -> str:
    return f"{amount + 0:.2f}"


def _day(instant: str, zone: ZoneInfo, *, last: bool = False) -> str:
    return f"{(datetime.fromisoformat(instant) - timedelta(microseconds=last)).astimezone(zone):%Y%m%d}"


def _clean(value: Any) -> Any:
    """Without letters that XML can't hold, whoever typed them."""
    if isinstance(value, str):
        return ILLEGAL.sub("�", value)
    if isinstance(value, dict):
        return {name: _clean(one) for name, one in value.items()}
    return [_clean(one) for one in value] if isinstance(value, list | tuple) else value
