"""Forecast units of a year, as each member's convention says them: by offer or meter, typed or from a spreadsheet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator import audit
from orchestrator.errors import InvalidInput, Text
from orchestrator.tables import Member
from tenants import cost_import, cycle_terms
from tenants.accounting import Accounting
from tenants.cycle_terms import Fault, fault
from tenants.tables import Offer
from tenants.tables_cycle import Forecast

FIELDS = ("member", "subject", "units", "first", "last", "reference")
COLUMNS = {"membre": "member", "objet": "subject", "unites": "units", "premier mois": "first",
           "dernier mois": "last", "convention": "reference"}  # fmt: skip
EXAMPLE = "membre;objet;unités;premier mois;dernier mois;convention\r\n"


@dataclass(frozen=True)
class Subjects:
    """What a forecast may be about in a year: meters that the unit weighs, offers by slug with their titles; members
    by slug.
    """

    meters: frozenset[str]
    offers: Mapping[str, Any]
    members: Mapping[str, Member]


@dataclass(frozen=True)
class Line:
    """number: in the file (the heading is 1); forecast: what it says, or None and what is wrong with it."""

    number: int
    forecast: Forecast | None
    member: str
    faults: tuple[Fault, ...] = ()


def subjects(session: Session, year: int, accounts: Accounting) -> Subjects:
    """Of a year."""
    titles = session.execute(sa.select(Offer.slug, Offer.title).order_by(Offer.slug, Offer.version))
    offers: dict[str, Any] = dict(titles.all())
    members = session.scalars(sa.select(Member).order_by(Member.name))
    return Subjects(frozenset(accounts.unit(f"{year}-12").meters), offers,
                    {one.slug: one for one in members})  # fmt: skip


def read(year: int, given: Mapping[str, str], known: Subjects, actor: str) -> Forecast:
    """A forecast as it was typed. first, last: months 1 to 12; nothing: the whole year.

    Raises InvalidInput invalid_forecast (faults by field).
    """
    texts = {name: str(given.get(name) or "").strip() for name in FIELDS}
    faults: list[Fault] = []
    member = known.members.get(texts["member"])
    if member is None:
        faults.append(fault("member", Text("le nom court d’un membre est attendu")))
    kind = "meter" if texts["subject"] in known.meters else "offer"
    if kind == "offer" and texts["subject"] not in known.offers:
        faults.append(fault("subject", Text("une offre, ou l’un de ces compteurs, est attendue : {meters}",
                                            meters=", ".join(sorted(known.meters)))))  # fmt: skip
    units = cycle_terms.number(texts["units"], 6, "units", faults)
    if units is not None and units < 0:
        faults.append(fault("units", Text("un nombre comme {example} est attendu", example="17520")))
    first, last = (_month(texts[name] or whole, name, faults) for name, whole in (("first", "1"), ("last", "12")))
    if first and last and first > last:
        faults.append(fault("last", Text("le dernier mois précède le premier")))
    if not 0 < len(texts["reference"]) <= 200 or not texts["reference"].isprintable():
        faults.append(fault("reference", Text("un texte est attendu, de 200 caractères au plus")))
    if faults:
        raise InvalidInput("invalid_forecast", "Cette prévision est à corriger.", "Voyez les champs.",
                           facts={"errors": faults})  # fmt: skip
    assert member is not None
    return Forecast(member_id=member.id, year=year, kind=kind, subject=texts["subject"], units=units, first=first,
                    last=last, reference=texts["reference"], made_by=actor)  # fmt: skip


def _month(text: str, name: str, faults: list[Fault]) -> int | None:
    if text.isdecimal() and len(text) <= 2 and 1 <= int(text) <= 12:
        return int(text)
    faults.append(fault(name, Text("un mois de 1 à 12 est attendu")))
    return None


def add(session: Session, forecast: Forecast) -> Forecast:
    """Keep a forecast: it replaces that of the same member, year and subject. Raises Conflict year_settled."""
    cycle_terms.refuse_settled(session, cycle_terms.checked_year(forecast.year))
    session.add(forecast)
    session.flush()
    detail = {"year": forecast.year, "subject": forecast.subject, "units": str(forecast.units),
              "months": f"{forecast.first}-{forecast.last}", "reference": forecast.reference}  # fmt: skip
    audit.record(session, "billing.forecast", f"forecast {forecast.id}", member_id=forecast.member_id, detail=detail)
    return forecast


def in_force(session: Session, year: int, member_id: int | None = None) -> dict[int, list[Forecast]]:
    """By member, what is foreseen of a year, by subject; what was taken back (zero units) is left out."""
    query = sa.select(Forecast).where(Forecast.year == year).order_by(Forecast.id)
    if member_id is not None:
        query = query.where(Forecast.member_id == member_id)
    newest = {(one.member_id, one.kind, one.subject): one for one in session.scalars(query)}
    found: dict[int, list[Forecast]] = {}
    for one in sorted(newest.values(), key=lambda one: (one.kind, one.subject)):
        if one.units:
            found.setdefault(one.member_id, []).append(one)
    return found


def told(forecast: Forecast, known: Subjects) -> dict[str, Any]:
    """A line of a convention, for programs."""
    names = ("year", "kind", "subject", "units", "first", "last", "reference")
    slugs = {one.id: slug for slug, one in known.members.items()}
    return {"member": slugs[forecast.member_id], **{name: getattr(forecast, name) for name in names}}


def read_file(year: int, text: str, known: Subjects, actor: str) -> list[Line]:
    """Every line of a CSV; a member's second one of a subject is at fault: it would replace the first without a word.

    Raises InvalidInput invalid_file.
    """
    found = cost_import.records(text, lambda plain: COLUMNS.get(plain) or (plain if plain in FIELDS else None))
    lines: list[Line] = []
    first: dict[tuple[str, str], int] = {}
    for number, given in found:
        line = _line(year, number, given, known, actor)
        earlier = first.setdefault((line.member, line.forecast.subject), number) if line.forecast else number
        lines.append(line if earlier == number else replace(line, faults=(_twice(earlier),)))
    return lines


def _twice(earlier: int) -> Fault:
    return fault("subject", Text("la ligne {line} le dit déjà de ce membre : il en faut une seule", line=earlier))


def _line(year: int, number: int, given: dict[str, str] | None, known: Subjects, actor: str) -> Line:
    if given is None:
        return Line(number, None, "", (fault("line", Text("cette ligne a trop de colonnes")),))
    member = given.get("member", "").strip()
    try:
        return Line(number, read(year, given, known, actor), member)
    except InvalidInput as error:
        return Line(number, None, member, tuple(error.facts["errors"]))


def keep(session: Session, lines: list[Line]) -> int:
    """Keep every line, or none: how many. Raises InvalidInput invalid_forecasts (faults with their line's number)."""
    faults = [{**one, "line": line.number} for line in lines for one in line.faults]
    if faults:
        raise InvalidInput(
            "invalid_forecasts",
            Text("{count} point(s) à corriger : rien n’a été enregistré.", count=len(faults)),
            "Corrigez ces lignes du fichier, puis recommencez.",
            facts={"errors": faults},
        )
    for line in lines:
        assert line.forecast is not None
        add(session, line.forecast)
    return len(lines)


def total(lines: list[Line]) -> Decimal:
    """The units of what is right."""
    return sum((line.forecast.units for line in lines if line.forecast and not line.faults), Decimal(0))


def document(lines: list[Line]) -> list[dict[str, Any]]:
    """Each line for programs: what it says (None where it can't be read) and its faults."""
    names = ("subject", "units", "first", "last", "reference")
    return [
        {"number": line.number, "member": line.member, **{name: getattr(line.forecast, name, None) for name in names},
         "faults": [dict(one) for one in line.faults]}
        for line in lines
    ]  # fmt: skip
