"""A year of an invented agglomeration, from events to every export, against the same year worked out by `year.plain`.

Equal line by line: what was used to the microsecond, prices and their steps, fees, minimums, euros to the cent,
corrections, shares; and each statement's total, VAT, sum to pay, energy. The file `year/story.py` tells what happens.
"""

from __future__ import annotations

import ast
import csv
import io
import json
import sys
from collections import Counter, defaultdict
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
    "snapshot": "Instantané", "activation": "Mise en service d’une machine",
    "activation_application": "Mise en service d’une application", "minimum_service": "Minimum par service",
    "minimum_member": "Minimum par membre",
}  # fmt: skip
SCALE = 10**20
# By what it is of (SIRET; service, label of the meter and book of prices, or the cost; the month that is corrected):
# euros, the quantity in unit × hours (None of a fee or minimum) or the exact share, and euros an hour, or once.
Line = tuple[Decimal, Fraction | None, Fraction | None]
Owed = tuple[Decimal, Decimal, Decimal]  # without VAT, VAT, to pay
Lines = dict[tuple[str, ...], Line]


@pytest.mark.slow
def test_a_year_is_what_was_worked_out_apart(staff: sa.Engine) -> None:
    year, months = plain.year(STORY), playing.play(staff)
    kinds: Counter[str] = Counter()
    for label, month in months.items():
        expected = worked_out(year[label])
        owed = {siret: due(year[label], siret) for siret in year[label]["totals"]}
        assert stated(month.documents) == expected
        assert summed(month.documents) == owed
        assert regimes(month.documents) == {siret: regime for siret, (regime, _) in year[label]["vat"].items()}
        assert taken(month.documents) == year[label]["energy"]
        corrections_name_their_line(month, months)
        files_say(label, month, expected, owed)
        kinds.update(line["kind"] for document in month.documents for line in document["lines"])
    # That much is in the story; what a careless change of it would lose.
    assert kinds == {"usage": 1483, "fee": 6, "minimum": 63, "adjustment": 98, "share": 1136}
    assert sum(sum(month["totals"].values()) for month in year.values()) == 10_152_197


def euros(amount: int) -> Decimal:
    return Decimal(amount).scaleb(-2)


def due(month: Data, siret: str) -> Owed:
    without, vat = month["totals"][siret], month["vat"][siret][1]
    return euros(without), euros(vat), euros(without + vat)


def summed(documents: list[Data]) -> dict[str, Owed]:
    """What the statements ask for; their parts add up to it."""
    for one in documents:
        parts = [Decimal(one[name]) for name in ("usage", "shares", "adjustments") if name in one]
        assert sum(parts) == sum(Decimal(line["amount"]) for line in one["lines"]) == Decimal(one["total"])
    return {
        one["member"]["siret"]: (Decimal(one["total"]), Decimal(one["vat"]["amount"]), Decimal(one["payable"]))
        for one in documents
    }


def regimes(documents: list[Data]) -> dict[str, str]:
    return {one["member"]["siret"]: one["vat"]["regime"] for one in documents}


def taken(documents: list[Data]) -> dict[str, dict[str, tuple[int | None, ...]]]:
    """Watt-hours and grams of each service, which sum to what the statement says."""
    found: dict[str, dict[str, tuple[int | None, ...]]] = {}
    for one in (one for one in documents if "energy" in one):
        rows = {row["service"]: whole(row) for row in one["energy"]["services"]}
        sums = [None if None in column else sum(column) for column in zip(*rows.values(), strict=True)]
        assert whole(one["energy"]) == tuple(sums)
        found[one["member"]["siret"]] = rows
    return found


def whole(told: Data) -> tuple[int | None, ...]:
    kwh, *grams = (told[name] and Decimal(told[name]) for name in ("kwh", "grams", "embodied"))
    return tuple(None if one is None else int(one) for one in (kwh and kwh * 1000, *grams))


def worked_out(month: Data) -> Lines:
    """What the plain program gives, by the names that people read; an exact share to the 20 decimals of a line."""
    used = [((*key, ""), value) for key, value in month["usage"].items()] + list(month["adjustments"].items())
    found: Lines = {}
    for (siret, service, meter, day, step, corrects), (seconds, amount, price) in used:
        place = (siret, service or "Ensemble des services", named(meter, day, step), f"Tarif {day}", corrects)
        found[place] = (euros(amount), None if seconds is None else seconds / 3600, price)
    for (siret, pool), (exact, amount, version) in month["shares"].items():
        found[siret, pool.title(), f"v{version}"] = (euros(amount), Fraction(round(exact * SCALE), SCALE), None)
    return found


def named(meter: str, day: str, step: int) -> str:
    """A meter, and which part of what a member has of it."""
    if not step:
        return LABELS[meter]
    [terms] = [one["hourly"][meter] for one in STORY["prices"] if one["from"] == day]
    bounds = [*([terms["free"]] if "free" in terms else []), *(one["above"] for one in terms.get("steps", ()))]
    first = "franchise de" if "free" in terms else "jusqu’à"
    told = f"{first} {bounds[0]}" if step == 1 else f"au-delà de {bounds[step - 2]}"
    return f"{LABELS[meter]} ({told})".replace(".", ",")


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
    if "price" in line:
        return place, (amount, None, Fraction(line["price"]))
    return place, (amount, Fraction(line["unit_seconds"]) / 3600, Fraction(line["hourly"]))


def no_line_twice(pairs: Iterable[tuple[tuple[str, ...], Line]]) -> Lines:
    listed = list(pairs)
    assert len(dict(listed)) == len(listed)
    return dict(listed)


def corrections_name_their_line(month: Month, months: dict[str, Month]) -> None:
    """The place that an adjustment names is that of the line of the same service, meter and price; or there is none."""
    told = ("service_ref", "meter", "price_from", "above")
    for document in month.documents:
        for line in (line for line in document["lines"] if line["kind"] == "adjustment"):
            before = [one for one in months[line["corrects"]].documents if one["member"] == document["member"]]
            same = [
                one["position"] for closed in before for one in closed["lines"]
                if "corrects" not in one and [one.get(name) for name in told] == [line.get(name) for name in told]
            ]  # fmt: skip
            assert same == ([] if line["corrects_position"] is None else [line["corrects_position"]])


def files_say(label: str, month: Month, expected: Lines, owed: dict[str, Owed]) -> None:
    """Each file, read by another program than ours, has the same lines, which add up to the same sums."""
    written = json.loads(month.files["json"])
    assert (stated(written), summed(written), taken(written)) == (expected, owed, taken(month.documents))
    watts = sum(one[0] or 0 for services in taken(written).values() for one in services.values())
    workbook = of_workbook(month.files["xlsx"], watts)
    for lines, sums in (of_csv(month.files["csv"]), workbook, of_focus(month, label, owed)):
        assert {place: value[0] for place, value in lines.items()} == {
            place: value[0] for place, value in expected.items()
        }
        for place, (_, quantity, price) in lines.items():
            _, held, hourly = expected[place]
            assert held is None or (quantity is not None and abs(quantity - held) <= Fraction(1, 10**6))
            assert price is None or held is None or abs(price - (hourly or 0)) < Fraction(1, 10**9)
        assert sums == owed


def of_csv(content: bytes) -> tuple[Lines, dict[str, Owed]]:
    listed = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""), delimiter=";"))
    sums: dict[str, dict[str, Decimal]] = defaultdict(dict)
    for row in (row for row in listed if not row["Ligne"]):
        sums[row["SIRET"]][row["Nature"]] = _number(row["Montant (EUR)"])
    lines = no_line_twice(_csv_line(row) for row in listed if row["Ligne"])
    return lines, {siret: (one["total"], one["TVA"], one["net à payer"]) for siret, one in sums.items()}


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
    told = (row["Quantité (unité × heure)"], row["Prix unitaire horaire (EUR)"])
    held, price = (Fraction(_number(one)) if one else None for one in told)
    return place, (amount, held, price)


def _number(text: str) -> Decimal:
    return Decimal(text.replace(",", "."))


def of_workbook(content: bytes, watt_hours: int) -> tuple[Lines, dict[str, Owed]]:
    """Cells are doubles: cents, and six decimals, are held exactly enough."""
    book = opened(content)
    assert round(sum(row["Énergie (kWh)"] or 0 for row in rows(book, "Énergie et carbone")) * 1000) == watt_hours
    used = [row for name in ("Consommations", "Rectifications") if name in book.sheetnames for row in rows(book, name)]
    lines = [_cells(row, row["Service"], row["Libellé"], row["Tarif"], row.get("Mois rectifié") or "") for row in used]
    lines += [_cells(row, row["Coût"], f"v{row['Version']}") for row in rows(book, "Coûts communs")]
    sums = ("Total (EUR)", "TVA (EUR)", "Net à payer (EUR)")
    found = [(row["SIRET"], [cents(row[name]) for name in sums]) for row in rows(book, "Synthèse")]
    return no_line_twice(lines), {siret: (total, vat, payable) for siret, (total, vat, payable) in found}


def _cells(row: Data, *place: str) -> tuple[tuple[str, ...], Line]:
    price, quantity = row.get("Prix unitaire horaire (EUR)"), "Quantité (unité × heure)"
    told = (row[quantity] if quantity in row else row["Quote-part exacte (EUR)"], price)
    held, price = (None if one is None else Fraction(str(one)) for one in told)
    return (row["SIRET"], *place), (cents(row["Montant (EUR)"]), held, price)


def of_focus(month: Month, label: str, owed: dict[str, Owed]) -> tuple[Lines, dict[str, Owed]]:
    """With no rule of the specification broken: the rows of an invoice sum to what is to be paid, too."""
    file = focus_checker.of_csv(month.files["focus"], "1.2")
    asked = {f"{label}-{siret}": payable for siret, (*_, payable) in owed.items()}
    assert focus_checker.faults(file, "1.2", asked) == []
    sums: Counter[tuple[str, bool]] = Counter()
    for row in file.rows:
        sums[row["SubAccountId"].removeprefix("siret:"), row["ChargeCategory"] == "Tax"] += row["BilledCost"]
    parts = {siret: (Decimal(sums[siret, False]), Decimal(sums[siret, True])) for siret in owed}
    lines = no_line_twice(_focus_line(row) for row in file.rows if row["ChargeCategory"] != "Tax")
    return lines, {siret: (*both, sum(both, Decimal(0))) for siret, both in parts.items()}


def _focus_line(row: Data) -> tuple[tuple[str, ...], Line]:
    siret, amount = row["SubAccountId"].removeprefix("siret:"), row["BilledCost"]
    if row["x_AllocationKey"] is not None:
        title = json.loads(row["Tags"])["clocher/pool"].title()
        return (siret, title, row["x_AllocationKey"].split()[1]), (amount, Fraction(row["x_ExactShare"]), None)
    month = row["ChargePeriodStart"].astimezone(ZoneInfo(story.ZONE)).strftime("%Y-%m")
    corrects = month if row["ChargeClass"] == "Correction" else ""
    place = (siret, row["ResourceName"] or "Ensemble des services", row["SkuMeter"], row["x_PriceBook"], corrects)
    return place, (amount, Fraction(row["PricingQuantity"]), Fraction(row["ListUnitPrice"]))


@pytest.mark.parametrize("module", [plain, story])
def test_the_other_program_knows_nothing_of_ours(module: Any) -> None:
    tree = ast.parse(Path(module.__file__).read_text())
    named = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    named |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in named} <= sys.stdlib_module_names
