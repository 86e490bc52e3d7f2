"""Statements as files that finance opens: French CSV and JSON, the same to the byte from the same statements.

CSV: UTF-8 with BOM, `;`, decimal comma, CRLF, dates dd/mm/yyyy in local time. Texts stand in quotes, numbers don't:
a SIRET is a text and keeps its zeros. A text that a spreadsheet would run as a formula gets an apostrophe before it.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from tenants.statements import Document

SAMPLE = "EXEMPLE, sans valeur comptable"
DRAFT = "PROJET"
COLUMNS = (
    "Période", "Mention", "Membre", "SIREN", "SIRET", "Ligne", "Nature", "Service", "Libellé", "Unité",
    "Quantité (unité × heure)", "Prix unitaire horaire (EUR)", "Tarif", "Coût réparti (EUR)", "Clé de répartition",
    "Section", "Quote-part exacte (EUR)", "Montant (EUR)", "Du", "Au",
    "Mois rectifié", "Ligne rectifiée", "Paiement",
)  # fmt: skip
NATURES = {
    "usage": "consommation",
    "adjustment": "rectification",
    "fee": "frais",
    "minimum": "complément au minimum",
}
BILLING = {
    "title": "titre",
    "calls": "appels de fonds",
    "deduction": "retenue sur l’attribution de compensation",
    "information": "pour information",
}
UNITS = {"GiB": "Gio", "address": "adresse", "member": "membre"}
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # the wide signs run too
Cell = str | Decimal | int | None


def csv_file(documents: Iterable[Document], timezone: str) -> bytes:
    """One row for each line, then each member's total, VAT and sum to pay; without lines they are zero."""
    text = io.StringIO()
    write(text, COLUMNS)
    for document in documents:
        for row in _rows(document, timezone):
            write(text, row)
    return text.getvalue().encode("utf-8-sig")


def json_file(documents: Iterable[Document]) -> bytes:
    """The documents themselves; every amount and quantity is a text."""
    listed = [{**document, "mention": mention(document)} for document in documents]
    return (json.dumps(listed, ensure_ascii=False, indent=2, sort_keys=True) + "\n").encode()


def file_name(label: str, sample: bool, member: str | None, kind: str) -> str:
    """`releve-2026-10-member.csv`; a sample says so in its name."""
    return f"{'exemple-' if sample else ''}releve-{label}{f'-{member}' if member else ''}.{kind}"


def mention(document: Document) -> str:
    """What must be known before the figures are used."""
    said = [SAMPLE] * document["sample"] + [DRAFT] * (document["state"] != "closed")
    return " ; ".join(said)


def _rows(document: Document, timezone: str) -> Iterator[list[Cell]]:
    member = document["member"]
    head: list[Cell] = [document["period"], mention(document), member["name"], member["siren"], member["siret"]]
    tail: list[Cell] = [_day(document["from"], timezone), _day(document["until"], timezone, last=True)]
    for line in document["lines"]:
        middle = MIDDLES[line["kind"]](line)
        corrects: list[Cell] = [line.get("corrects"), line.get("corrects_position")]
        yield [*head, line["position"], *middle, Decimal(line["amount"]), *tail, *corrects, None]
    paid = billing(document)
    for nature, label, amount in _sums(document):
        yield [*head, None, nature, None, label, *[None] * 8, amount, *tail, None, None, paid]


def billing(document: Document) -> str | None:
    """How it is paid, in French; None where it was closed before that was told."""
    return BILLING[document["billing"]["mode"]] if "billing" in document else None


def _sums(document: Document) -> Iterator[tuple[str, str | None, Decimal]]:
    """The total; where VAT was looked at, VAT with the words of the law, and what is to be paid."""
    yield "total", None, Decimal(document["total"])
    if vat := document.get("vat"):
        yield "TVA", vat_label(vat), Decimal(vat["amount"])
        yield "net à payer", None, Decimal(document["payable"])


def vat_label(vat: Document) -> str:
    """`TVA 20 % : ` and the words of the law, or these alone."""
    rate = f"{Decimal(vat['rate']).normalize():f}".replace(".", ",") if vat["rate"] else ""
    return (f"TVA {rate} % : " if rate else "") + str(vat["mention"].get("fr", ""))


def _usage(line: Document) -> list[Cell]:
    unit = UNITS.get(line["unit"], line["unit"])
    return [NATURES[line["kind"]], line["service"], line["label"], unit, hours(line), hourly(line), line["book"],
            None, None, None, None]  # fmt: skip


def hours(line: Document) -> Decimal | None:
    """Quantity × hours, six decimals for the reader; the JSON has the exact seconds, from which it was rounded. None of
    a fee or minimum.
    """
    return (Decimal(line["unit_seconds"]) / 3600).quantize(Decimal("0.000001")) if "unit_seconds" in line else None


def hourly(line: Document) -> Decimal | None:
    """The price of an hour; None of a fee or minimum."""
    return Decimal(line["hourly"]) if "unit_seconds" in line else None


def _share(line: Document) -> list[Cell]:
    exact = Decimal(line["share"]).quantize(Decimal("0.000001"))
    key = f"{line['key']} v{line['key_version']} ({line['deliberation']})"
    return ["quote-part", None, line["label"], None, None, None, None, Decimal(line["pool_amount"]), key,
            line["section"], exact]  # fmt: skip


def _settlement(line: Document) -> list[Cell]:
    return ["règlement de contestation", None, line["label"], *[None] * 8]


MIDDLES = {
    "usage": _usage,
    "fee": _usage,
    "minimum": _usage,
    "adjustment": _usage,
    "share": _share,
    "settlement": _settlement,
}


def _day(instant: str, timezone: str, *, last: bool = False) -> str:
    """The local day of an instant; of a period's end, the day before."""
    local = datetime.fromisoformat(instant).astimezone(ZoneInfo(timezone)).date()
    return f"{local.fromordinal(local.toordinal() - last):%d/%m/%Y}"


def write(text: io.StringIO, row: Sequence[Cell]) -> None:
    """One row of a file of ours."""
    text.write(";".join(map(_cell, row)) + "\r\n")


def _cell(value: Cell) -> str:
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return f"{value:f}".replace(".", ",")
    if isinstance(value, int):
        return str(value)
    return '"' + safe(value).replace('"', '""') + '"'


def safe(value: str) -> str:
    """A text that no spreadsheet runs as a formula."""
    return "'" + value if value.startswith(FORMULA) else value
