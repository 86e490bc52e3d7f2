"""Statements as a workbook: members, what served, shares of the common costs, what corrects closed months (where there
is any), and of one member every interval.

Sums are formulas over the lines, by SIRET, so that they stay true when somebody sorts a sheet.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from tenants import energy_files, exports, prices, sheets, statements
from tenants.energy import BASES
from tenants.sheets import Cell, Column, Formula, Sheet
from tenants.statements import Document

MILLIONTH = Decimal("0.000001")
MEMBERS = (
    Column("Membre", width=30), Column("SIREN", width=12), Column("SIRET", width=17), Column("Du", "date", 12),
    Column("Au", "date", 12), Column("Consommations (EUR)", "amount", 18, total=True),
    Column("Part des coûts communs (EUR)", "amount", 18, total=True), Column("Total (EUR)", "amount", 18, total=True),
    Column("Paiement", width=24),
)  # fmt: skip
VAT = (
    Column("Taux de TVA", "percent", 11), Column("TVA (EUR)", "amount", 14, total=True),
    Column("Net à payer (EUR)", "amount", 18, total=True), Column("Mention légale", width=60),
)  # fmt: skip
USAGE = (
    Column("Membre", width=30), Column("SIRET", width=17), Column("Ligne", "whole", 7), Column("Service", width=24),
    Column("Libellé", width=34), Column("Unité", width=9), Column("Quantité (unité × heure)", "quantity", 19),
    Column("Prix unitaire horaire (EUR)", "price", 16), Column("Tarif", width=22), Column("Prix depuis le", "date", 12),
    Column("Montant (EUR)", "amount", 16, total=True),
)  # fmt: skip
SHARES = (
    Column("Membre", width=30), Column("SIRET", width=17), Column("Ligne", "whole", 7), Column("Coût", width=34),
    Column("Section", width=16), Column("Coût réparti (EUR)", "amount", 17), Column("Clé", width=14),
    Column("Version", "whole", 9), Column("Délibération", width=24), Column("Part", "percent", 11),
    Column("Quote-part exacte (EUR)", "quantity", 17), Column("Arrondi (EUR)", "quantity", 12),
    Column("Montant (EUR)", "amount", 16, total=True),
)  # fmt: skip
ADJUSTMENTS = (
    *USAGE[:3], Column("Mois rectifié", width=13), Column("Ligne rectifiée", "whole", 9), *USAGE[3:],
)  # fmt: skip
ENERGY = (
    Column("Membre", width=30), Column("SIRET", width=17), Column("Service", width=24),
    Column("vCPU × heure", "quantity", 17), Column("Gio × heure", "quantity", 17),
    Column("Énergie (kWh)", "thousandth", 14, total=True), Column("Usage (gCO2e)", "whole", 13, total=True),
    Column("Fabrication (gCO2e)", "whole", 13, total=True), Column("Calcul", width=12),
)  # fmt: skip
SEALS = (
    Column("Membre", width=30), Column("SIRET", width=17), Column("Empreinte (SHA-256)", width=68),
    Column("Empreinte du relevé précédent", width=68),
)  # fmt: skip
AVAILABILITY = (
    Column("Membre", width=30), Column("SIRET", width=17), Column("Service", width=24), Column("Demandes", "whole", 11),
    Column("Réponses", "whole", 11), Column("Disponibilité", "percent", 14),
)  # fmt: skip
INTERVALS = (
    Column("Ligne", "whole", 7), Column("Service", width=24), Column("Libellé", width=34),
    Column("Ressource", width=40), Column("Quantité", "quantity", 15), Column("Du (heure locale)", "instant", 20),
    Column("Au (heure locale)", "instant", 20), Column("Heures", "quantity", 15),
    Column("Quantité (unité × heure)", "quantity", 19),
)  # fmt: skip


def xlsx_file(
    label: str, documents: Sequence[Document], timezone: str, intervals: Iterable[dict[str, Any]] | None = None
) -> bytes:
    """The statements of the month `label`; intervals: those of the only one, as `statements.all_intervals` gives."""
    zone = ZoneInfo(timezone)
    title, note = _title(label, documents), exports.mention(documents[0]) if documents else ""
    used = [_usage(*pair, zone) for pair in _lines(documents, "usage", "fee", "minimum")]
    usage = Sheet("Consommations", title, USAGE, used, note)
    shares = Sheet("Coûts communs", title, SHARES, [_share(*pair) for pair in _lines(documents, "share")], note)
    corrected = [_adjustment(*pair, zone) for pair in _lines(documents, "adjustment", "settlement")]
    adjustments = [Sheet("Rectifications", title, ADJUSTMENTS, corrected, note)] if corrected else []
    summed = [("usage", usage), ("shares", shares), *(("adjustments", sheet) for sheet in adjustments)]
    rows = [_member(document, number, summed, zone) for number, document in enumerate(documents)]
    heads = [
        *MEMBERS[:-2],
        *(Column("Rectifications (EUR)", "amount", 18, total=True) for _ in adjustments),
        MEMBERS[-2],
        *VAT,
        MEMBERS[-1],
    ]
    made = [Sheet("Synthèse", title, heads, rows, note), usage, shares, *adjustments]
    if intervals is not None:
        lines = {line["position"]: line for line in documents[0]["lines"]}
        held = [_interval(lines[one["position"]], one, zone) for one in intervals]
        made.append(Sheet("Intervalles", title, INTERVALS, held, note))
    if taken := [(document["member"], document["energy"]) for document in documents if "energy" in document]:
        made.append(Sheet("Énergie et carbone", title, ENERGY, [row for one in taken for row in _energy(*one)], note))
        made.append(energy_files.factor_sheet(taken[0][1]["factors"], title, note))
    if seen := [_seen(one["member"], row) for one in documents for row in one.get("availability", ())]:
        made.append(Sheet("Disponibilité", title, AVAILABILITY, seen, note))
    if seals := [_seal(document) for document in documents if document["state"] == "closed"]:
        made.append(Sheet("Empreintes", title, SEALS, seals, note))
    return sheets.workbook(title, made, _made(label, documents, timezone))


def _title(label: str, documents: Sequence[Document]) -> str:
    whose = {document["member"]["name"] for document in documents}
    return f"Relevé {label} · {whose.pop()}" if len(whose) == 1 else f"Relevés {label}"


def _made(label: str, documents: Sequence[Document], timezone: str) -> datetime:
    """Until when was measured: a date that stays the same however often the file is made."""
    measured = [document["metered_until"] for document in documents if document["metered_until"]]
    if measured:
        return datetime.fromisoformat(max(measured))
    return prices.midnight(date.fromisoformat(f"{label}-01"), timezone)


def _lines(documents: Sequence[Document], *kinds: str) -> list[tuple[Document, Document]]:
    return [(one["member"], line) for one in documents for line in one["lines"] if line["kind"] in kinds]


def _member(document: Document, number: int, summed: Sequence[tuple[str, Sheet]], zone: ZoneInfo) -> list[Cell]:
    member, row = document["member"], sheets.FIRST + number + 1
    sums = [_sum_of(sheet, row, document.get(name, "0.00")) for name, sheet in summed]
    total = Formula("=" + "+".join(f"{letter}{row}" for letter in "FGH"[: len(sums)]), Decimal(document["total"]))
    who = [member["name"], member["siren"], member["siret"], *_days(document, zone)]
    return [*who, *sums, total, *_vat(document, row, len(who) + len(sums)), exports.billing(document)]


def _vat(document: Document, row: int, total: int) -> list[Cell]:
    """Rate, VAT on the total, sum to pay, words of the law; before VAT was looked at there was none."""
    letters = [chr(ord("A") + total + more) for more in range(3)]
    vat = document.get("vat")
    if not vat:
        return [None, Decimal("0.00"), Formula(f"={letters[0]}{row}", Decimal(document["total"])), None]
    rate = Decimal(vat["rate"]) / 100 if vat["rate"] else None
    amount = Formula(f"=ROUND({letters[0]}{row}*{letters[1]}{row},2)", Decimal(vat["amount"]))
    payable = Formula(f"={letters[0]}{row}+{letters[2]}{row}", Decimal(document["payable"]))
    return [rate, amount, payable, exports.vat_label(vat)]


def _energy(member: Document, taken: Document) -> list[list[Cell]]:
    """Each service's; what is not known stays empty, and `Calcul` says so."""
    said = BASES[taken["basis"]] if taken["basis"] else "non connu"

    def figure(text: str | None) -> Decimal | None:
        return None if text is None else Decimal(text)

    return [
        [member["name"], member["siret"], one["service"], (Decimal(one["vcpu_seconds"]) / 3600).quantize(MILLIONTH),
         (Decimal(one["gib_seconds"]) / 3600).quantize(MILLIONTH), figure(one["kwh"]), figure(one["grams"]),
         figure(one["embodied"]), said]
        for one in taken["services"]
    ]  # fmt: skip


def _seen(member: Document, row: Document) -> list[Cell]:
    """How often an application answered; no share where nothing was measured."""
    share = None if row["share"] is None else Decimal(row["share"]) / 100
    return [member["name"], member["siret"], row["service"], row["asked"], row["answered"], share]


def _seal(document: Document) -> list[Cell]:
    member = document["member"]
    return [member["name"], member["siret"], statements.digest_of(document), document["previous_hash"]]


def _sum_of(sheet: Sheet, row: int, value: str) -> Formula:
    """The last column of a sheet, of the SIRET in the row's third one."""
    amounts = sheets.column(sheet, len(sheet.columns) - 1)
    return Formula(f"=SUMIFS({amounts},{sheets.column(sheet, 1)},$C{row})", Decimal(value))


def _usage(member: Document, line: Document, zone: ZoneInfo) -> list[Cell]:
    unit = exports.UNITS.get(line["unit"], line["unit"])
    return [member["name"], member["siret"], line["position"], line["service"], line["label"], unit,
            exports.hours(line), exports.hourly(line), line["book"], _local(line["price_from"], zone).date(),
            Decimal(line["amount"])]  # fmt: skip


def _adjustment(member: Document, line: Document, zone: ZoneInfo) -> list[Cell]:
    if line["kind"] == "settlement":
        empty: list[Cell] = [None] * 5
        return [member["name"], member["siret"], line["position"], line["corrects"], line["corrects_position"], None,
                line["label"], *empty, Decimal(line["amount"])]  # fmt: skip
    told = _usage(member, line, zone)
    return [*told[:3], line["corrects"], line["corrects_position"], *told[3:]]


def _share(member: Document, line: Document) -> list[Cell]:
    whole, share, amount = (Decimal(line[name]) for name in ("pool_amount", "share", "amount"))
    return [member["name"], member["siret"], line["position"], line["label"], line["section"], whole, line["key"],
            line["key_version"], line["deliberation"], share / whole if whole else None, share.quantize(MILLIONTH),
            (amount - share).quantize(MILLIONTH) + 0, amount]  # fmt: skip


def _interval(line: Document, held: dict[str, Any], zone: ZoneInfo) -> list[Cell]:
    """Of an adjustment, the quantity is what there was more (or less) than had been counted."""
    lasted = held["until"] - held["from"]
    hours = Decimal(lasted.days * 86400 + lasted.seconds) + Decimal(lasted.microseconds).scaleb(-6)
    hours /= 3600
    bounds = [held[name].astimezone(zone).replace(tzinfo=None) for name in ("from", "until")]
    quantity = held["quantity"] - held.get("counted", 0)
    return [held["position"], line["service"], line["label"], held["resource"], quantity, *bounds,
            hours.quantize(MILLIONTH), (hours * quantity).quantize(MILLIONTH)]  # fmt: skip


def _days(document: Document, zone: ZoneInfo) -> tuple[date, date]:
    """The first and the last day of the month."""
    until = _local(document["until"], zone).date()
    return _local(document["from"], zone).date(), date.fromordinal(until.toordinal() - 1)


def _local(instant: str, zone: ZoneInfo) -> datetime:
    return datetime.fromisoformat(instant).astimezone(zone)
