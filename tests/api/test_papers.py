"""Statements on paper, read back by another library: tags, language, title, figures; whatever people are called."""

from __future__ import annotations

import io
import re
from decimal import Decimal
from typing import Any

import pytest
from pypdf import PdfReader

from api import statement_pdf, typesetting
from api.translations import LANGUAGES
from orchestrator.settings import Settings
from tenants.statements import ALL_SERVICES

SPACES = re.compile(r"\s+")
YEAR = [(f"2025-{number:02}", None) for number in range(4, 13)] + [
    ("2026-01", Decimal("12.00")), ("2026-02", Decimal("-3.00")), ("2026-03", Decimal("1273.38")),
]  # fmt: skip


def usage(position: int, service: str, amount: str = "4.37", meter: str = "vcpu") -> dict[str, Any]:
    return {"position": position, "kind": "usage", "service": service, "meter": meter, "label": "Processeur virtuel",
            "unit": "vCPU", "unit_seconds": "2419200", "hourly": "0.00650000", "book": "Tarif 2026",
            "price_from": "2025-12-31T23:00:00Z", "amount": amount}  # fmt: skip


def share(position: int) -> dict[str, Any]:
    return {"position": position, "kind": "share", "pool": "energie", "label": "Énergie", "section": "fonctionnement",
            "pool_amount": "50.01", "key": "usage", "key_version": 2, "deliberation": "D-2026-08",
            "share": "32.2704647", "amount": "32.27"}  # fmt: skip


def document(lines: list[dict[str, Any]] | None = None, **more: Any) -> dict[str, Any]:
    found = [usage(1, "mairie"), usage(2, "mairie", "1204.63"), share(3)] if lines is None else lines
    sums = {kind: sum((Decimal(line["amount"]) for line in found if line["kind"] == kind), Decimal(0))
            for kind in ("usage", "share")}  # fmt: skip
    member = {"slug": "brevaux", "name": "Brevaux-sur-Lône", "siren": "217300010", "siret": "21730001000017"}
    return {"period": "2026-03", "from": "2026-02-28T23:00:00Z", "until": "2026-03-31T22:00:00Z",
            "metered_until": "2026-03-31T22:00:00Z", "state": "closed", "sample": False, "currency": "EUR",
            "member": member, "lines": found, "usage": str(sums["usage"]), "shares": str(sums["share"]),
            "total": str(sum(sums.values())), "previous_hash": "b" * 64, "hash": "a" * 64, "id": 1, **more}  # fmt: skip


def read(content: bytes) -> tuple[PdfReader, str]:
    reader = PdfReader(io.BytesIO(content))
    return reader, SPACES.sub(" ", " ".join(page.extract_text() for page in reader.pages))


def test_it_is_tagged_and_says_its_language_and_title(settings: Settings) -> None:
    for language, region, title in (("fr", "fr-FR", "Relevé de mars 2026"), ("en", "en-GB", "Statement of March 2026")):
        reader, _ = read(statement_pdf.paper(document(), YEAR, settings, language))
        root: Any = reader.trailer["/Root"]
        assert root["/Lang"] == region
        assert root["/MarkInfo"]["/Marked"] == True  # noqa: E712  (an object of the file)
        assert root["/ViewerPreferences"]["/DisplayDocTitle"] == True  # noqa: E712
        assert reader.metadata and reader.metadata.title == title
        assert b"<pdfuaid:part>1</pdfuaid:part>" in root["/Metadata"].get_data()
        kinds = roles(root["/StructTreeRoot"])
        assert {"/H1", "/H2", "/Table", "/TH", "/TD", "/Figure"} <= kinds
        assert str(reader.metadata.creation_date) == "2026-03-31 22:00:00+00:00"


def roles(node: Any) -> set[str]:
    """The kinds of elements below a node of the structure tree."""
    found = {str(node["/S"])} if "/S" in node else set()
    below = node.get("/K", [])
    for child in below if isinstance(below, list) else [below]:
        child = child.get_object() if hasattr(child, "get_object") else child
        if isinstance(child, dict):
            found |= roles(child)
    return found


def test_every_figure_is_there_in_the_readers_form(settings: Settings) -> None:
    _, french = read(statement_pdf.paper(document(), YEAR, settings, "fr"))
    for words in ("Brevaux-sur-Lône", "21730001000017", "du 01/03/2026 au 31/03/2026", "1 241,27 €", "mairie",
                  "Processeur virtuel (vCPU)", "672,00", "0,0065 €", "1 204,63 €", "Énergie", "fonctionnement",
                  "usage v2 D-2026-08", "50,01 €", "64,5280 %", "32,270465 €", "-0,000465 €", "32,27 €",
                  "mars 2026", "1 273,38 €", "-3,00 €", "a" * 64, "b" * 64, "Page 1 / "):  # fmt: skip
        assert words in french, (words, french)
    assert "PROJET" not in french and "EXEMPLE" not in french
    _, english = read(statement_pdf.paper(document(), YEAR, settings, "en"))
    for words in (
        "€1,241.27",
        "Virtual CPU (vCPU)",
        "€0.0065",
        "672.00",
        "64.5280%",
        "€32.270465",
        "-€0.000465",
        "March 2026",
        "€1,204.63",
    ):
        assert words in english, (words, english)


def test_what_is_of_no_single_service_says_so(settings: Settings) -> None:
    for language, whose in (("fr", "Ensemble des services"), ("en", "All services")):
        _, text = read(statement_pdf.paper(document([usage(1, ALL_SERVICES)]), YEAR, settings, language))
        assert whose in text


def test_what_is_no_account_says_so(settings: Settings) -> None:
    drafted = document(state="draft", sample=True, hash=None, previous_hash=None)
    reader, text = read(statement_pdf.paper(drafted, YEAR, settings, "fr"))
    assert "EXEMPLE, sans valeur comptable" in text and "PROJET, peut encore changer" in text
    for page in reader.pages[1:]:
        assert "EXEMPLE" in page.extract_text() and "PROJET" in page.extract_text()
    assert "Un projet n’est pas scellé" in text


def test_the_same_statement_is_the_same_to_the_byte(settings: Settings) -> None:
    first = statement_pdf.paper(document(), YEAR, settings, "fr")
    assert statement_pdf.paper(document(), YEAR, settings, "fr") == first
    assert statement_pdf.paper(document(), YEAR, settings, "en") != first


@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_that_people_write_is_run(settings: Settings, language: str) -> None:
    """Marks of the typesetter and letters that no font has: shown, or shown as unknown; never an error."""
    hostile = '#panic("x") $ \\ `a` *b* _c_ <d> @e // f /* g */ [h] {i} #read("/etc/passwd") 日本 😀 \u202e\x00 e\u0301'
    lines = [{**usage(1, hostile), "book": hostile}, {**share(2), "label": hostile, "deliberation": hostile}]
    written = document(lines)
    written["member"]["name"] = hostile
    _, text = read(statement_pdf.paper(written, YEAR, settings, language))
    assert '#panic("x") $ \\ `a` *b* _c_' in text and '#read("/etc/passwd") �� �' in text


def test_every_letter_that_we_let_pass_can_be_printed(settings: Settings) -> None:
    every = "".join(chr(code) for first, last in typesetting.KNOWN for code in range(first, last + 1))
    written = document([])
    written["member"]["name"] = every
    assert statement_pdf.paper(written, YEAR, settings, "fr").startswith(b"%PDF-1.7")


@pytest.mark.slow
def test_a_long_statement_is_summed_and_stays_short(settings: Settings) -> None:
    for services, words in ((600, ("service-599", "1 200")), (1500, ("1 500 services", "3 000"))):
        lines = [usage(number * 2 + half, f"service-{number}", "1.00") for number in range(services) for half in (1, 2)]
        reader, text = read(statement_pdf.paper(document(lines), YEAR, settings, "fr"))
        assert all(word in text for word in (*words, f"{services * 2 // 1000}")) and len(reader.pages) < 30
        assert "Le détail des" in text


def test_a_logo_of_ones_own(settings: Settings, tmp_path: Any) -> None:
    logo = tmp_path / "logo.svg"
    logo.write_text('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 60 20"><rect width="60" height="20"/></svg>')
    mine = settings.model_copy(update={"logo": logo, "display_name": "Pays de Lône", "primary_colour": "#123456"})
    _, text = read(statement_pdf.paper(document(), YEAR, mine, "fr"))
    assert "Pays de Lône" in text
