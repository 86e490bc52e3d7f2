"""The year's energy and carbon as files: a French CSV (UTF-8 with BOM, `;`, decimal comma) and a workbook."""

from __future__ import annotations

import io
from datetime import date
from decimal import Decimal

from tenants import exports, prices, sheets
from tenants.energy import BASES, LABELS, UNITS
from tenants.energy_report import Month, Report, Row
from tenants.sheets import Cell, Column, Sheet

COLUMNS = (
    "Mention", "Année", "Nature", "Nom", "Services", "Énergie (kWh)", "Émissions d’usage (kgCO2e)",
    "Émissions de fabrication (kgCO2e)", "Calcul", "À déclarer", "Énergie comptée (kWh)",
)  # fmt: skip
FIGURES = (
    Column("Énergie (kWh)", "thousandth", 15, total=True),
    Column("Émissions d’usage (kgCO2e)", "thousandth", 17, total=True),
    Column("Fabrication (kgCO2e)", "thousandth", 15, total=True),
)  # fmt: skip
MONTHS = (
    Column("Mois", width=12), Column("État", width=12), *FIGURES, Column("Calcul", width=12),
    Column("À déclarer", width=40), Column("Énergie comptée (kWh)", "thousandth", 15, total=True),
)  # fmt: skip
IDLE = (
    Column("Membre", width=30), Column("Service", width=24), Column("Mois entiers à l’arrêt", "whole", 12),
    Column("Lesquels", width=40), Column("vCPU", "thousandth", 10), Column("Disques (Gio)", "thousandth", 14),
)  # fmt: skip
EQUIPMENT = (
    Column("Équipement", width=34), Column("Nombre", "whole", 9), Column("En service depuis", "date", 14),
    Column("Âge fin d’année (ans)", "whole", 12), Column("Source", width=44),
)  # fmt: skip
FACTORS = (
    Column("Facteur", width=40), Column("Valeur", "quantity", 14), Column("Unité", width=12),
    Column("Calcul", width=10), Column("Dès", width=10), Column("Source", width=70), Column("Lu le", "date", 12),
)  # fmt: skip
STATES = {"closed": "clos", "checked": "contrôlé", "draft": "projet", "open": "ouvert"}


def file_name(found: Report, kind: str) -> str:
    """`bilan-numerique-2026.xlsx`; a sample says so."""
    return f"{'exemple-' if found.sample else ''}bilan-numerique-{found.year}.{kind}"


def as_csv(found: Report) -> bytes:
    """A row for each month, member and offer, then the year."""
    text = io.StringIO()
    exports.write(text, COLUMNS)
    head: list[exports.Cell] = [mention(found), found.year]
    for one in found.months:
        exports.write(text, [*head, "mois", one.label, None, *_figures(one), *_said(one), one.metered_kwh])
    for kind, rows in (("membre", found.members), ("offre", found.offers)):
        for row in rows:
            exports.write(text, [*head, kind, name(row), row.services, *_figures(row), None, None, None])
    whole = [found.total.kwh, kilograms(found.total.grams), kilograms(found.total.embodied)]
    exports.write(text, [*head, "total", None, None, *whole, _basis(found.basis), None, found.metered_kwh])
    return text.getvalue().encode("utf-8-sig")


def mention(found: Report) -> str:
    """What must be known before the figures are used."""
    open_ = any(month.state != "closed" for month in found.months)
    lacking = any(month.missing for month in found.months)
    said = [exports.SAMPLE] * found.sample + [exports.DRAFT] * open_ + ["INCOMPLET"] * lacking
    return " ; ".join(said)


def name(row: Row) -> str:
    """In French."""
    return row.name["fr"] if isinstance(row.name, dict) else row.name or row.key or "sans offre"


def kilograms(grams: Decimal | None) -> Decimal | None:
    """gCO2e as kgCO2e, nothing lost."""
    return None if grams is None else grams.scaleb(-3).quantize(Decimal("0.001"))


def _figures(one: Month | Row) -> list[Decimal | None]:
    return [one.figures.kwh, kilograms(one.figures.grams), kilograms(one.figures.embodied)]


def _basis(code: str | None) -> str:
    return BASES[code] if code else "non connu"


def _said(one: Month) -> list[str]:
    return [_basis(one.basis), " ; ".join(LABELS[code] for code in one.missing)]


def as_xlsx(found: Report, timezone: str) -> bytes:
    """Months, members, offers, machines that stood still, equipment, factors; totals are formulas."""
    title, note = f"Bilan numérique responsable {found.year}", mention(found)
    named = (Column("Nom", width=34), Column("Services", "whole", 10), *FIGURES)
    months: list[list[Cell]] = [
        [one.label, STATES[one.state], *_figures(one), *_said(one), one.metered_kwh] for one in found.months
    ]
    idle: list[list[Cell]] = [
        [one.member, one.service, len(one.months), ", ".join(one.months), one.vcpus, one.gib] for one in found.idle
    ]
    aged: list[list[Cell]] = [[one.label, one.count, one.since, one.years, one.source] for one in found.equipment]
    made = [
        Sheet("Mois", title, MONTHS, months, note),
        Sheet("Membres", title, named, [[name(row), row.services, *_figures(row)] for row in found.members], note),
        Sheet("Offres", title, named, [[name(row), row.services, *_figures(row)] for row in found.offers], note),
        Sheet("Machines à l’arrêt", title, IDLE, idle, note),
        Sheet("Équipements", title, EQUIPMENT, aged, note),
        factor_sheet(found.factors, title, note),
    ]
    return sheets.workbook(title, made, prices.midnight(date(int(found.year), 12, 31), timezone))


def factor_sheet(factors: dict[str, dict[str, str]], title: str, note: str) -> Sheet:
    """By what the figures were worked out."""
    rows: list[list[Cell]] = [
        [label, Decimal(one["value"]), UNITS[code], BASES[one["basis"]], one["from"], one["source"],
         date.fromisoformat(one["read_on"])]
        for code, label in LABELS.items() if (one := factors.get(code))
    ]  # fmt: skip
    return Sheet("Facteurs d’énergie", title, FACTORS, rows, note)
