"""Costs from a spreadsheet: a CSV is read whole, each line's faults are told, nothing is kept unless all is right."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy.orm import Session

from orchestrator.errors import Conflict, InvalidInput, Number, Text
from tenants import cost_entries
from tenants.accounting import Accounting
from tenants.cost_entries import FIELDS, NewEntry

# What the columns are called → the field; a field's own code is understood too.
COLUMNS = {
    "nature": "kind", "cout commun": "pool", "libelle": "label", "compte": "account", "date": "date", "mois": "months",
    "montant": "amount", "fournisseur": "supplier", "reference": "reference", "modele": "service_model",
    "prorata": "prorata", "kwh": "kwh", "prix du kwh": "kwh_price", "pue": "pue", "cout annuel": "annual",
    "quotite": "percent",
}  # fmt: skip
NATURES = {"fournisseur": "supplier", "amortissement": "depreciation", "energie": "energy", "personnel": "staff"}
PLAIN = str.maketrans("àâçéèêëîïôùûü", "aaceeeeiiouuu")
MOST = 1000  # lines
EXAMPLE = (
    "nature;coût commun;libellé;compte;date;mois;montant;fournisseur;référence;modèle;prorata;kWh;prix du kWh;PUE;"
    "coût annuel;quotité\r\n"
)


@dataclass(frozen=True)
class Line:
    """number: in the file, from 1 (the heading); entry: what it says, or None and what is wrong with it."""

    number: int
    entry: NewEntry | None
    faults: tuple[dict[str, str], ...] = ()


def read(text: str, accounts: Accounting, pools: Mapping[str, str]) -> list[Line]:
    """Every line of a CSV (`;` or `,`). Raises InvalidInput invalid_file (no heading, an unknown column, too long)."""
    return [
        _read(number, given, accounts, pools)
        for number, given in records(text, lambda plain: COLUMNS.get(plain) or (plain if plain in FIELDS else None))
    ]


def records(text: str, column: Callable[[str], str | None]) -> list[tuple[int, dict[str, str] | None]]:
    """The lines of a CSV under its heading by number (the heading is 1), each by field; None: it has too many cells.

    column: the field of a heading in small letters without accents, None: not known. Raises InvalidInput invalid_file.
    """
    plain = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    try:
        rows = list(csv.reader(io.StringIO(plain), delimiter=_delimiter(plain)))
    except csv.Error as error:
        raise _unreadable(Text("ce n’est pas un CSV")) from error
    if not rows or not any(cell.strip() for cell in rows[0]):
        raise _unreadable(Text("il est vide"))
    heading = [column(cell.strip().lower().translate(PLAIN)) for cell in rows[0]]
    wrong = [cell for cell, field in zip(rows[0], heading, strict=True) if field is None]
    if wrong:
        raise _unreadable(Text("la colonne « {column} » n’est pas connue", column=wrong[0][:60]))
    if len(set(heading)) < len(heading):
        raise _unreadable(Text("une colonne y est deux fois"))
    if len(rows) > MOST + 1:
        raise _unreadable(Text("il a plus de {most} lignes", most=Number(MOST)))
    numbered = [(number, row) for number, row in enumerate(rows[1:], 2) if any(cell.strip() for cell in row)]
    if not numbered:
        raise _unreadable(Text("il n’a pas de ligne sous les titres"))
    names = [name or "" for name in heading]
    return [(number, None if len(row) > len(names) else dict(zip(names, row, strict=False)))
            for number, row in numbered]  # fmt: skip


def _delimiter(text: str) -> str:
    return ";" if ";" in text.partition("\n")[0] else ","


def _read(number: int, given: dict[str, str] | None, accounts: Accounting, pools: Mapping[str, str]) -> Line:
    if given is None:
        fault = {"parameter": "line", "code": "invalid_cost", "sentence": Text("cette ligne a trop de colonnes")}
        return Line(number, None, (fault,))
    kind = given.get("kind", "").strip().lower().translate(PLAIN)
    given["kind"] = NATURES.get(kind, kind)
    try:
        return Line(number, cost_entries.read(given, accounts, pools))
    except InvalidInput as error:
        return Line(number, None, tuple(error.facts["errors"]))


def _unreadable(why: str) -> InvalidInput:
    return InvalidInput(
        "invalid_file", Text("Ce fichier est refusé : {why}.", why=why), "Voyez le modèle, puis recommencez."
    )


def keep(session: Session, lines: list[Line]) -> int:
    """Book every line, or none: how many. Raises InvalidInput invalid_costs (faults with their line's number)."""
    faults = [{**fault, "line": line.number} for line in lines for fault in line.faults]
    if not faults:
        for line in lines:
            assert line.entry is not None
            try:
                cost_entries.add(session, line.entry)
            except Conflict as error:
                told = Text("{why} {action}", why=error.sentence, action=error.action)
                faults.append({"parameter": "line", "code": error.code, "line": line.number, "sentence": told})
    if faults:
        raise InvalidInput(
            "invalid_costs",
            Text("{count} point(s) à corriger : rien n’a été enregistré.", count=Number(len(faults))),
            "Corrigez ces lignes du fichier, puis recommencez.",
            facts={"errors": faults},
        )
    return len(lines)


def total(lines: list[Line]) -> Decimal:
    """The sum of what is right."""
    return sum((line.entry.amount for line in lines if line.entry), Decimal("0.00"))


def document(lines: list[Line]) -> list[dict[str, Any]]:
    """Each line for programs: what it says (None where it can't be read) and its faults."""
    names = ("label", "account", "amount", "starts", "months")
    return [
        {"number": line.number, **{name: getattr(line.entry, name, None) for name in names},
         "faults": [dict(fault) for fault in line.faults]}
        for line in lines
    ]  # fmt: skip
