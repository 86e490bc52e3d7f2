"""How answers look on a terminal: a table for people, JSON for programs; dates and amounts in French form."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import click
from rich.console import Console
from rich.table import Table

from api import words
from api.formats import amount, cell
from orchestrator.errors import InvalidInput, Text

json_option = click.option("--json", "as_json", is_flag=True, help="JSON instead of a table.")


def plain(value: Any) -> Any:
    """A value as JSON holds it: instants in ISO 8601, decimals as strings (never a float)."""
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, date | datetime):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def print_json(value: Any) -> None:
    """Print one JSON document."""
    click.echo(json.dumps(value, default=plain, ensure_ascii=False, indent=2))


def keep(folder: Path, name: str, content: bytes) -> Path:
    """Write a file into a folder, which is made; raises InvalidInput unwritable."""
    path = folder / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        sentence = Text("{path} ne s’écrit pas ({error}).", path=str(path), error=error.strerror)
        raise InvalidInput("unwritable", sentence, "Choisissez --to.") from error
    return path


def euros(value: Decimal) -> str:
    """1 234,56 €"""
    return amount(value)


def print_rows(
    rows: Iterable[dict[str, Any]],
    columns: Sequence[tuple[str, ...]],
    *,
    as_json: bool,
    empty: str,
    title: str = "",
) -> None:
    """Print rows as a table with `columns`, or as JSON; `empty` says what to do when there are none.

    columns: key, heading and, of a code, the table of its words (`api.words`). JSON holds the code.
    """
    rows = list(rows)
    if as_json:
        print_json(rows)
        return
    if not rows:
        click.echo(empty)
        return
    table = Table(title=title or None, title_justify="left")
    for name, heading, *_table in columns:
        right = all(isinstance(row.get(name), int | Decimal) and not isinstance(row.get(name), bool) for row in rows)
        table.add_column(heading, justify="right" if right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_cell(row.get(name), *kind) for name, _heading, *kind in columns))
    Console().print(table)


def _cell(value: Any, table: str | None = None) -> str:
    return words.french(value, table) if table and isinstance(value, str) else cell(value)
