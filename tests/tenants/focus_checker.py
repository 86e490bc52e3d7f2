"""Is this a FOCUS Cost and Usage file? Written from the text of the specification 1.2 (and, for the columns of shared
costs and of invoices' lines, of 1.3 and 1.4), with nothing of what writes our files.

`faults` gives one word for each rule that is broken, with the row and the column: `NotNull 3 BilledCost`.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Context, Decimal
from io import BytesIO
from typing import Any

import pyarrow
import pyarrow.parquet

from tests.tenants.focus_spec import (
    CAME,
    CATEGORIES,
    COLUMNS,
    DETAILS,
    FREQUENCIES,
    GONE,
    PRICINGS,
    SERVICES,
    D,
    T,
)  # fmt: skip

Row = dict[str, Any]
EXACT = Context(prec=120)
NUMBER = re.compile(r"-?\d+(\.\d+)?(E-?\d+)?")
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
SIZE = "[KMGTPE]i?[bB]|[bB]"
TIME = "(?:Year|Month|Day|Hour|Minute|Second)s"
UNIT = re.compile(rf"(?:{SIZE}|[A-Z][a-z]+s)|(?:{SIZE}|[A-Z][a-z]+)-{TIME}|(?:{SIZE}|[A-Z][a-z]+s)/{TIME[:-1]}")
PLACEHOLDERS = {"", "null", "none", "n/a", "na", "not applicable", "-", "unknown"}


@dataclass
class File:
    """What a reader makes of it: the names in order, and rows of text, Decimal, datetime or None."""

    columns: list[str]
    rows: list[Row]
    broken: list[str] = field(default_factory=list)


def of_csv(content: bytes, version: str) -> File:
    """RFC 4180: a header, CRLF, quotes doubled inside quotes; UTF-8; nothing between two commas is null."""
    table = list(_records(content.decode("utf-8")))
    head = [name for name, _ in table[0]]
    types, found = _types(version), File(head, [])
    if content.startswith(b"\xef\xbb\xbf"):
        found.broken.append("Bom")
    for number, record in enumerate(table[1:], 1):
        if len(record) != len(head):
            found.broken.append(f"FieldCount {number}")
        row: Row = {}
        for name, (text, quoted) in zip(head, record, strict=False):
            row[name], fault = _value(text, quoted, types.get(name, (None,))[0])
            if fault:
                found.broken.append(f"{fault} {number} {name}")
        found.rows.append(row)
    return found


def _records(text: str) -> Iterator[list[tuple[str, bool]]]:
    """Records of (field, was it in quotes), by the grammar of RFC 4180; anything else is an error."""
    cell = re.compile(r'(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n)')
    at, record = 0, []
    while at < len(text):
        match = cell.match(text, at)
        assert match, f"not RFC 4180 at {text[at : at + 40]!r}"
        inside, plain, end = match.groups()
        record.append((plain, False) if inside is None else (inside.replace('""', '"'), True))
        at = match.end()
        if end == "\r\n":
            yield record
            record = []
    assert not record, "the last line has no end"


def _value(text: str, quoted: bool, kind: str | None) -> tuple[Any, str]:
    if not text:
        return None, "EmptyString" if quoted else ""
    if kind == D:
        return (Decimal(text), "") if NUMBER.fullmatch(text) else (None, "NumericFormat")
    if kind == T:
        return (datetime.fromisoformat(text), "") if INSTANT.fullmatch(text) else (None, "DateTimeFormat")
    return text, ""


def of_parquet(content: bytes, version: str) -> File:
    """With the types that it has: decimal128, timestamp in UTC, string."""
    table = pyarrow.parquet.read_table(BytesIO(content))
    found = File(table.column_names, table.to_pylist())
    for name, (kind, _, _) in _types(version).items():
        if name in found.columns:
            stored = table.schema.field(name).type
            right = {
                D: pyarrow.types.is_decimal128(stored),
                T: pyarrow.types.is_timestamp(stored) and stored.tz == "UTC",
            }
            if not right.get(kind, pyarrow.types.is_string(stored)):
                found.broken.append(f"Type 0 {name}")
    if table.schema.metadata.get(b"FocusVersion") != version.encode():
        found.broken.append("FocusVersion")
    return found


def _types(version: str) -> dict[str, tuple[str, bool, bool]]:
    if version == "1.2":
        return COLUMNS
    return {name: said for name, said in COLUMNS.items() if name not in GONE} | CAME


def faults(file: File, version: str, invoices: Mapping[str, Decimal]) -> list[str]:
    """Every rule that is broken; `invoices`: what each invoice asks to be paid."""
    found = [*file.broken, *_columns(file.columns, version)]
    for number, row in enumerate(file.rows, 1):
        whole = {name: row.get(name) for name in (*COLUMNS, *CAME)}
        rules = [*_nulls(row, version), *_strings(row), *_words(whole), *_times(whole), *_charge(whole)]
        rules += [*_prices(whole), *_pairs(whole), *_texts(whole)]
        if version != "1.2":
            rules += _allocated(whole)
        found += [f"{rule.partition(' ')[0]} {number} {rule.partition(' ')[2]}".strip() for rule in rules]
    found += _across(file.rows)
    found += _invoices(file.rows, invoices)
    return found if version == "1.2" else [*found, *_details(file.rows), *_splits(file.rows)]


def _columns(names: Sequence[str], version: str) -> Iterator[str]:
    known = _types(version)
    yield from (f"Missing 0 {name}" for name, (_, present, _) in known.items() if present and name not in names)
    yield from (f"Unknown 0 {name}" for name in names if name not in known and not name.startswith("x_"))
    yield from (f"Twice 0 {name}" for name in set(names) if names.count(name) > 1)
    custom = [name.startswith("x_") for name in names]
    if custom != sorted(custom):
        yield "CustomLast"


def _nulls(row: Row, version: str) -> Iterator[str]:
    for name, (_, _, nullable) in _types(version).items():
        if name in row and row[name] is None and not nullable:
            yield f"NotNull {name}"


def _strings(row: Row) -> Iterator[str]:
    for name, value in row.items():
        if isinstance(value, str) and (value.strip().lower() in PLACEHOLDERS or not value.strip()):
            yield f"Placeholder {name}"


def _words(row: Row) -> Iterator[str]:
    allowed = {
        "ChargeCategory": CATEGORIES,
        "ChargeClass": ("Correction",),
        "ChargeFrequency": FREQUENCIES,
        "PricingCategory": PRICINGS,
        "ServiceCategory": SERVICES,
    }
    for name, words in allowed.items():
        if row[name] is not None and row[name] not in words:
            yield f"AllowedValue {name}"
    category = row["ServiceCategory"]
    if row["ServiceSubcategory"] not in (*SERVICES.get(category, "").split("|"), f"Other ({category})"):
        yield "AllowedValue ServiceSubcategory"
    if not re.fullmatch("[A-Z]{3}", row["BillingCurrency"] or ""):
        yield "CurrencyFormat BillingCurrency"
    for name in ("PricingUnit", "ConsumedUnit"):
        if row[name] is not None and not UNIT.fullmatch(row[name]):
            yield f"UnitFormat {name}"


def _times(row: Row) -> Iterator[str]:
    bounds = [row[name] for name in ("BillingPeriodStart", "ChargePeriodStart", "ChargePeriodEnd", "BillingPeriodEnd")]
    if None in bounds:
        return
    if not bounds[1] < bounds[2]:
        yield "Order ChargePeriodEnd"
    if not bounds[0] < bounds[3]:
        yield "Order BillingPeriodEnd"
    if row["ChargeClass"] is None and not (bounds[0] <= bounds[1] and bounds[2] <= bounds[3]):
        yield "Outside ChargePeriodStart"


def _charge(row: Row) -> Iterator[str]:
    category, corrects = row["ChargeCategory"], row["ChargeClass"] == "Correction"
    if category == "Purchase" and row["ChargeFrequency"] == "Usage-Based":
        yield "PurchaseIsNotUsageBased ChargeFrequency"
    priced = (
        "ContractedUnitPrice", "ListUnitPrice", "PricingCategory", "PricingQuantity", "SkuId", "SkuPriceId",
    )  # fmt: skip
    for name in priced:
        if category == "Tax" and row[name] is not None:
            yield f"NullOfTax {name}"
        if category in ("Usage", "Purchase") and not corrects and row[name] is None:
            yield f"Priced {name}"
    if category != "Usage" and row["ConsumedQuantity"] is not None:
        yield "OfUsageOnly ConsumedQuantity"
    if category == "Usage" and not corrects and row["ConsumedQuantity"] is None:
        yield "OfUsage ConsumedQuantity"
    if category in ("Credit", "Adjustment") and row["EffectiveCost"] != row["BilledCost"]:
        yield "AsBilled EffectiveCost"


def _prices(row: Row) -> Iterator[str]:
    for kind in ("List", "Contracted"):
        price, cost, quantity = row[f"{kind}UnitPrice"], row[f"{kind}Cost"], row["PricingQuantity"]
        if price is None:
            if row["ChargeCategory"] != "Tax" and cost != row["BilledCost"]:
                yield f"AsBilled {kind}Cost"
        elif price < 0:
            yield f"Negative {kind}UnitPrice"
        elif quantity is not None and row["ChargeClass"] is None and EXACT.multiply(price, quantity) != cost:
            yield f"Product {kind}Cost"


def _pairs(row: Row) -> Iterator[str]:
    both = (
        ("PricingQuantity", "PricingUnit"), ("ConsumedQuantity", "ConsumedUnit"), ("RegionId", "RegionName"),
        ("SubAccountId", "SubAccountName"), ("SubAccountId", "SubAccountType"), ("ResourceId", "ResourceType"),
        ("BillingAccountId", "BillingAccountName"), ("BillingAccountId", "BillingAccountType"),
    )  # fmt: skip
    for one, other in both:
        if (row[one] is None) != (row[other] is None):
            yield f"Together {other}"
    for one, other in (("ResourceId", "ResourceName"), ("SkuId", "SkuMeter"), ("SkuPriceId", "SkuPriceDetails")):
        if row[one] is None and row[other] is not None:
            yield f"Together {other}"
    if row["ResourceName"] is not None and row["ResourceName"] == row["ResourceId"]:
        yield "Duplicate ResourceName"


def _texts(row: Row) -> Iterator[str]:
    for name in ("Tags", "AllocatedTags", "SkuPriceDetails"):
        if row[name] is None:
            continue
        pairs = flat(row[name])
        if pairs is None:
            yield f"KeyValueFormat {name}"
        elif name == "SkuPriceDetails":
            for key, value in pairs.items():
                if not key.startswith("x_") and not isinstance(value, DETAILS.get(key, type(None))):
                    yield f"Property {name}"
        elif any("/" not in key for key in pairs):  # all of ours are the provider's: with its prefix
            yield f"TagPrefix {name}"


def flat(text: str) -> dict[str, Any] | None:
    """A JSON object of values, no key twice; else None."""
    twice = False

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal twice
        twice |= len({key for key, _ in found}) < len(found)
        return dict(found)

    try:
        value = json.loads(text, object_pairs_hook=pairs)
    except ValueError:
        return None
    good = isinstance(value, dict) and not any(isinstance(one, dict | list) for one in value.values())
    return value if good and not twice else None


def _across(rows: list[Row]) -> Iterator[str]:
    one_each = (("ServiceName", "ServiceCategory"), ("ServiceName", "ServiceSubcategory"), ("SkuPriceId", "SkuId"),
                ("BillingAccountId", "BillingAccountName"), ("SubAccountId", "BillingAccountId"))  # fmt: skip
    for one, parent in one_each:
        parents: dict[Any, set[Any]] = defaultdict(set)
        for row in rows:
            if row.get(one) is not None:
                parents[row[one]].add(row.get(parent))
        yield from (f"OneParent 0 {one}" for found in parents.values() if len(found) > 1)


def _invoices(rows: list[Row], asked: Mapping[str, Decimal]) -> Iterator[str]:
    billed: dict[str, Decimal] = defaultdict(Decimal)
    for row in rows:
        if row.get("InvoiceId") is not None and row.get("BilledCost") is not None:
            billed[row["InvoiceId"]] += row["BilledCost"]
    for invoice in {*billed, *asked}:
        if billed.get(invoice, Decimal(0)) != asked.get(invoice, Decimal(0)):
            yield f"InvoiceSum 0 {invoice}"


def _allocated(row: Row) -> Iterator[str]:
    shared = row["AllocatedMethodId"] is not None
    for name in ("AllocatedResourceId", "AllocatedResourceName"):
        if (row[name] is not None) != shared:
            yield f"Together {name}"
    for name in ("AllocatedMethodDetails", "AllocatedTags"):
        if row[name] is not None and not shared:
            yield f"Together {name}"
    if row["AllocatedMethodDetails"] is not None and ratio(row["AllocatedMethodDetails"]) is None:
        yield "ObjectSchema AllocatedMethodDetails"
    if row["AllocatedTags"] and set(flat(row["AllocatedTags"]) or {}) & set(flat(row["Tags"] or "{}") or {}):
        yield "InTagsAlready AllocatedTags"
    if (row["InvoiceDetailId"] is None) != (row["InvoiceId"] is None):
        yield "Together InvoiceDetailId"


def ratio(text: str) -> Decimal | None:
    """The one AllocatedRatio of an Elements array, between 0 and 1, exactly as written; else None."""
    value = json.loads(text, parse_float=Decimal, parse_int=Decimal)
    elements = value.get("Elements") if isinstance(value, dict) else None
    if not isinstance(elements, list) or len(elements) != 1:
        return None
    found = elements[0].get("AllocatedRatio")
    return found if isinstance(found, Decimal) and 0 <= found <= 1 else None


def _details(rows: list[Row]) -> Iterator[str]:
    seen = [(row.get("InvoiceId"), row.get("InvoiceDetailId")) for row in rows if row.get("InvoiceDetailId")]
    if len(set(seen)) < len(seen):
        yield "Unique 0 InvoiceDetailId"


def _splits(rows: list[Row]) -> Iterator[str]:
    """The parts of one shared cost make the whole; a file of one payer has only its own."""
    whole: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for row in rows:
        if row.get("AllocatedMethodDetails") is not None:
            part = ratio(row["AllocatedMethodDetails"]) or Decimal(0)
            whole[row["AllocatedMethodId"], row["Tags"]] += part
    if len({row.get("SubAccountId") for row in rows}) > 1:
        yield from (f"Ratios 0 {key}" for key, total in whole.items() if abs(total - 1) > Decimal("1e-15"))
