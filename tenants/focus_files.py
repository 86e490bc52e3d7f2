"""FOCUS files: CSV (RFC 4180, UTF-8) for whoever reads texts, Parquet with its types; the same rows, the same bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from tenants import focus, focus_identity
from tenants.focus import Row
from tenants.focus_columns import CENTS, Column, profile
from tenants.statements import Document
from tenants.tables import Period

KINDS = ("csv", "parquet")
BATCH = 20_000  # rows that are in memory as Parquet wants them
# Of the schema, which every file carries: FOCUS wants to know what made it. A change of columns is a new version.
GENERATOR = {"DataGenerator": "Clocher", "DataGeneratorVersion": "2", "CreationDate": "2026-11-29T00:00:00Z"}


def make(
    session: Session, period: Period, documents: Iterable[Document], territory: Path, *, version: str, kind: str,
    member: str | None = None,
) -> tuple[str, bytes]:  # fmt: skip
    """The name and the content of the file of these statements of the period; `member` when they are one member's.

    Raises InvalidInput as `focus_identity.in_force` does.
    """
    rows = focus.rows(session, period, documents, focus_identity.in_force(territory, period.label))
    content = as_csv(rows, version) if kind == "csv" else as_parquet(rows, version)
    return file_name(period.label, period.sample, member, version, kind), content


def file_name(label: str, sample: bool, member: str | None, version: str, kind: str) -> str:
    """`focus-1.2-2026-10-member.parquet`; a sample says so in its name."""
    return f"{'exemple-' if sample else ''}focus-{version}-{label}{f'-{member}' if member else ''}.{kind}"


def as_csv(rows: Iterable[Row], version: str) -> bytes:
    """Texts stand in quotes, numbers and instants don't; nothing between two commas is null."""
    columns = profile(version)
    content = BytesIO()
    content.write(",".join(column.name for column in columns).encode() + b"\r\n")
    for row in rows:
        content.write(",".join(_cell(column, row.get(column.name)) for column in columns).encode() + b"\r\n")
    return content.getvalue()


def _cell(column: Column, value: Any) -> str:
    if value is None or value == "":
        return ""
    if column.kind == "text":
        return '"' + str(value).replace('"', '""') + '"'
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%dT%H:%M:%SZ}"
    if isinstance(value, Decimal):
        return f"{value:f}" if column.scale == CENTS else focus.plain(value)
    return str(value)


def as_parquet(rows: Iterable[Row], version: str) -> bytes:
    """Decimals of 38 digits, instants in UTC, texts; the schema says which FOCUS it is."""
    # Half a second and 60 MiB that most commands and pages never need.
    import pyarrow
    import pyarrow.parquet

    columns = profile(version)
    types = {
        "text": pyarrow.string(),
        "instant": pyarrow.timestamp("us", tz="UTC"),
        "number": pyarrow.int64(),
    }
    fields = [(c.name, pyarrow.decimal128(38, c.scale) if c.kind == "decimal" else types[c.kind]) for c in columns]
    said = {"FocusVersion": version, "SchemaId": f"clocher-focus-{version}-2", **GENERATOR}
    schema = pyarrow.schema(fields, metadata=said)
    sink = BytesIO()
    with pyarrow.parquet.ParquetWriter(sink, schema, compression="snappy", write_statistics=True) as writer:
        for batch in _batches(iter(rows)):
            lists = {c.name: [_value(c, row.get(c.name)) for row in batch] for c in columns}
            writer.write_table(pyarrow.table(lists, schema=schema))
    return sink.getvalue()


def _batches(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while batch := list(islice(rows, BATCH)):
        yield batch


def _value(column: Column, value: Any) -> Any:
    if isinstance(value, Decimal):
        return value.quantize(Decimal(1).scaleb(-column.scale), context=focus.WIDE)
    return None if value == "" else value
