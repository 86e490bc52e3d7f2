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
    "Mois rectifié", "Ligne rectifiée",
)  # fmt: skip
NATURES = {"usage": "consommation", "adjustment": "rectification"}
UNITS = {"GiB": "Gio", "address": "adresse"}
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # the wide signs run too
Cell = str | Decimal | int | None


def csv_file(documents: Iterable[Document], timezone: str) -> bytes:
    """One row for each line, then one with each member's total; a member without lines has its total of zero."""
    text = io.StringIO()
    _write(text, COLUMNS)
    for document in documents:
        for row in _rows(document, timezone):
            _write(text, row)
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
        yield [*head, line["position"], *middle, Decimal(line["amount"]), *tail, *corrects]
    empty: list[Cell] = [None] * 10
    yield [*head, None, "total", *empty, Decimal(document["total"]), *tail, None, None]


def _usage(line: Document) -> list[Cell]:
    # Six decimals for the reader; the JSON has the exact seconds, and the amount was rounded from them.
    hours = (Decimal(line["unit_seconds"]) / 3600).quantize(Decimal("0.000001"))
    unit = UNITS.get(line["unit"], line["unit"])
    nature = NATURES[line["kind"]]
    return [nature, line["service"], line["label"], unit, hours, Decimal(line["hourly"]), line["book"], None, None,
            None, None]  # fmt: skip


def _share(line: Document) -> list[Cell]:
    exact = Decimal(line["share"]).quantize(Decimal("0.000001"))
    key = f"{line['key']} v{line['key_version']} ({line['deliberation']})"
    return ["quote-part", None, line["label"], None, None, None, None, Decimal(line["pool_amount"]), key,
            line["section"], exact]  # fmt: skip


def _settlement(line: Document) -> list[Cell]:
    return ["règlement de contestation", None, line["label"], *[None] * 8]


MIDDLES = {"usage": _usage, "adjustment": _usage, "share": _share, "settlement": _settlement}


def _day(instant: str, timezone: str, *, last: bool = False) -> str:
    """The local day of an instant; of a period's end, the day before."""
    local = datetime.fromisoformat(instant).astimezone(ZoneInfo(timezone)).date()
    return f"{local.fromordinal(local.toordinal() - last):%d/%m/%Y}"


def _write(text: io.StringIO, row: Sequence[Cell]) -> None:
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
