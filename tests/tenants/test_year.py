"""A year of an invented agglomeration, from events to every export, against the same year worked out by `year.plain`.

Equal line by line: what was used to the microsecond, prices, euros to the cent, corrections, shares, totals. The file
`year/story.py` tells what happens in it.
"""

from __future__ import annotations

import ast
import csv
import io
import json
import sys
from collections import Counter
from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from tests.tenants import focus_checker
from tests.tenants.test_workbooks import cents, opened, rows
from tests.tenants.year import plain, playing, story
from tests.tenants.year.playing import Month
from tests.tenants.year.story import STORY, Data

LABELS = {
    "vcpu": "Processeur virtuel", "ram": "Mémoire vive", "vcpu_stopped": "Processeur virtuel, serveur arrêté",
    "ram_stopped": "Mémoire vive, serveur arrêté", "volume": "Volume de données", "public_address": "Adresse publique",
    "snapshot": "Instantané",
}  # fmt: skip
SCALE = 10**20
# By what it is of (SIRET; service, label of the meter and book of prices, or the cost; the month that is corrected):
# euros, the quantity in unit × hours or the exact share, and euros an hour.
Line = tuple[Decimal, Fraction, Fraction | None]
Lines = dict[tuple[str, ...], Line]


@pytest.mark.slow
def test_a_year_is_what_was_worked_out_apart(staff: sa.Engine) -> None:
    year, months = plain.year(STORY), playing.play(staff)
    kinds: Counter[str] = Counter()
    for label, month in months.items():
        expected = worked_out(year[label])
        totals = {siret: euros(due) for siret, due in year[label]["totals"].items()}
        assert stated(month.documents) == expected
        assert {one["member"]["siret"]: Decimal(one["total"]) for one in month.documents} == totals
        corrections_name_their_line(month, months)
        files_say(label, month, expected, totals)
        kinds.update(line["kind"] for document in month.documents for line in document["lines"])
    # That much is in the story; what a careless change of it would lose.
    assert kinds == {"usage": 1257, "adjustment": 83, "share": 1136}
    assert sum(sum(month["totals"].values()) for month in year.values()) == 10_111_094


def euros(amount: int) -> Decimal:
    return Decimal(amount).scaleb(-2)


def worked_out(month: Data) -> Lines:
    """What the plain program gives, by the names that people read; an exact share to the 20 decimals of a line."""
    hourly = {(meter, one["from"]): Fraction(told) for one in STORY["prices"] for meter, told in one["hourly"].items()}
    used = [((*key, ""), value) for key, value in month["usage"].items()] + list(month["adjustments"].items())
    found: Lines = {}
    for (siret, service, meter, day, corrects), (seconds, amount) in used:
        place = (siret, service, LABELS[meter], f"Tarif {day}", corrects)
        found[place] = (euros(amount), seconds / 3600, hourly[meter, day])
    for (siret, pool), (exact, amount, version) in month["shares"].items():
        found[siret, pool.title(), f"v{version}"] = (euros(amount), Fraction(round(exact * SCALE), SCALE), None)
    return found


def stated(documents: list[Data]) -> Lines:
    """Every line of a month's statements."""
    return no_line_twice(
        _stated(document["member"]["siret"], line) for document in documents for line in document["lines"]
    )


def _stated(siret: str, line: Data) -> tuple[tuple[str, ...], Line]:
    amount = Decimal(line["amount"])
    if line["kind"] == "share":
        return (siret, line["label"], f"v{line['key_version']}"), (amount, Fraction(line["share"]), None)
    place = (siret, line["service"], line["label"], line["book"], line.get("corrects", ""))
    return place, (amount, Fraction(line["unit_seconds"]) / 3600, Fraction(line["hourly"]))


def no_line_twice(pairs: Iterable[tuple[tuple[str, ...], Line]]) -> Lines:
    listed = list(pairs)
    assert len(dict(listed)) == len(listed)
    return dict(listed)


def corrections_name_their_line(month: Month, months: dict[str, Month]) -> None:
    """The place that an adjustment names is that of the line of the same service, meter and price; or there is none."""
    told = ("service_ref", "meter", "price_from")
    for document in month.documents:
        for line in (line for line in document["lines"] if line["kind"] == "adjustment"):
            before = [one for one in months[line["corrects"]].documents if one["member"] == document["member"]]
            same = [
                one["position"] for closed in before for one in closed["lines"]
                if one["kind"] == "usage" and [one[name] for name in told] == [line[name] for name in told]
            ]  # fmt: skip
            assert same == ([] if line["corrects_position"] is None else [line["corrects_position"]])


def files_say(label: str, month: Month, expected: Lines, totals: dict[str, Decimal]) -> None:
    """Each file, read by another program than ours, has the same lines, which add up to the same totals."""
    written = json.loads(month.files["json"])
    assert stated(written) == expected
    assert {one["member"]["siret"]: Decimal(one["total"]) for one in written} == totals
    for lines, summed in (of_csv(month.files["csv"]), of_workbook(month.files["xlsx"]), of_focus(month, label)):
        assert {place: value[0] for place, value in lines.items()} == {
            place: value[0] for place, value in expected.items()
        }
        for place, (_, quantity, price) in lines.items():
            assert abs(quantity - expected[place][1]) <= Fraction(1, 10**6)
            assert price is None or abs(price - (expected[place][2] or 0)) < Fraction(1, 10**9)
        assert summed == totals


def of_csv(content: bytes) -> tuple[Lines, dict[str, Decimal]]:
    listed = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""), delimiter=";"))
    amounts = {row["SIRET"]: _number(row["Montant (EUR)"]) for row in listed if row["Nature"] == "total"}
    return no_line_twice(_csv_line(row) for row in listed if row["Ligne"]), amounts


def _csv_line(row: dict[str, str]) -> tuple[tuple[str, ...], Line]:
    amount = _number(row["Montant (EUR)"])
    if row["Nature"] == "quote-part":
        version = row["Clé de répartition"].split()[1]
        return (row["SIRET"], row["Libellé"], version), (
            amount,
            Fraction(_number(row["Quote-part exacte (EUR)"])),
            None,
        )
    place = (row["SIRET"], row["Service"], row["Libellé"], row["Tarif"], row["Mois rectifié"])
    held, price = _number(row["Quantité (unité × heure)"]), _number(row["Prix unitaire horaire (EUR)"])
    return place, (amount, Fraction(held), Fraction(price))


def _number(text: str) -> Decimal:
    return Decimal(text.replace(",", "."))


def of_workbook(content: bytes) -> tuple[Lines, dict[str, Decimal]]:
    """Cells are doubles: cents, and six decimals, are held exactly enough."""
    book = opened(content)
    used = [row for name in ("Consommations", "Rectifications") if name in book.sheetnames for row in rows(book, name)]
    lines = [_cells(row, row["Service"], row["Libellé"], row["Tarif"], row.get("Mois rectifié") or "") for row in used]
    lines += [_cells(row, row["Coût"], f"v{row['Version']}") for row in rows(book, "Coûts communs")]
    return no_line_twice(lines), {row["SIRET"]: cents(row["Total (EUR)"]) for row in rows(book, "Synthèse")}


def _cells(row: Data, *place: str) -> tuple[tuple[str, ...], Line]:
    price, quantity = row.get("Prix unitaire horaire (EUR)"), "Quantité (unité × heure)"
    held = Fraction(str(row[quantity] if quantity in row else row["Quote-part exacte (EUR)"]))
    return (row["SIRET"], *place), (cents(row["Montant (EUR)"]), held, None if price is None else Fraction(str(price)))


def of_focus(month: Month, label: str) -> tuple[Lines, dict[str, Decimal]]:
    """With no rule of the specification broken."""
    file = focus_checker.of_csv(month.files["focus"], "1.2")
    assert focus_checker.faults(file, "1.2", {name: Decimal(asked) for name, asked in month.asked.items()}) == []
    summed: Counter[str] = Counter()
    charges = [row for row in file.rows if row["ChargeCategory"] != "Tax"]
    for row in charges:
        summed[row["SubAccountId"].removeprefix("siret:")] += row["BilledCost"]
    assert {row["InvoiceId"][:7] for row in file.rows} == {label}
    return no_line_twice(map(_focus_line, charges)), dict(summed)


def _focus_line(row: Data) -> tuple[tuple[str, ...], Line]:
    siret, amount = row["SubAccountId"].removeprefix("siret:"), row["BilledCost"]
    if row["ResourceId"] is None:
        title = json.loads(row["Tags"])["clocher/pool"].title()
        return (siret, title, row["x_AllocationKey"].split()[1]), (amount, Fraction(row["x_ExactShare"]), None)
    month = row["ChargePeriodStart"].astimezone(ZoneInfo(story.ZONE)).strftime("%Y-%m")
    corrects = month if row["ChargeClass"] == "Correction" else ""
    place = (siret, row["ResourceName"], row["SkuMeter"], row["x_PriceBook"], corrects)
    return place, (amount, Fraction(row["PricingQuantity"]), Fraction(row["ListUnitPrice"]))


@pytest.mark.parametrize("module", [plain, story])
def test_the_other_program_knows_nothing_of_ours(module: Any) -> None:
    tree = ast.parse(Path(module.__file__).read_text())
    named = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    named |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in named} <= sys.stdlib_module_names
