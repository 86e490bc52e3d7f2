"""The costs of a month for a spreadsheet: UTF-8 with BOM, `;`, decimal comma, CRLF."""

from __future__ import annotations

import csv
import io
from decimal import Decimal

from tenants.costs import Costs
from tenants.exports import safe

COLUMNS = ("Mois", "Nature", "Objet", "À ce jour (EUR)", "Prévu à la fin du mois (EUR)")


def as_csv(costs: Costs) -> bytes:
    """A row for each service or member, for each meter, for each day, then the total. Days have no forecast."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=";", lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for kind, parts in (("service", costs.services), ("membre", costs.members), ("compteur", costs.meters)):
        for part in parts:
            writer.writerow([costs.label, kind, safe(part.name), _euros(part.amount), _euros(part.forecast)])
    for day in costs.days:
        writer.writerow([costs.label, "jour", f"{day.day:%d/%m/%Y}", _euros(day.amount), ""])
    writer.writerow([costs.label, "total", "", _euros(costs.amount), _euros(costs.forecast)])
    return text.getvalue().encode("utf-8-sig")


def _euros(value: Decimal) -> str:
    return f"{value:f}".replace(".", ",")
