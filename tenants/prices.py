"""The price book: euros for one unit of a meter during one hour, from a day on; and what a month at those prices costs.

A price is a fact: it is ended by the next one, never rewritten (the database refuses).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from itertools import zip_longest
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import Range, distinct_on
from sqlalchemy.orm import Session

from orchestrator import audit
from orchestrator.errors import Conflict, InvalidInput, Text
from orchestrator.tables import Member
from tenants.finance import PriceBook, Tariff, Terms
from tenants.tables import Meter, Period, Price

HOURS = 730  # of a month in an estimate: a year's 8,760 hours over twelve
CENT = Decimal("0.01")
BASES = {"hour": "heure", "month": "mois", "once": "une fois"}


@dataclass(frozen=True)
class EstimateLine:
    """`quantity` units of a meter at `hourly` euros during a month; `amount` in euros and cents.

    A price with steps counts as its dearest one: which are reached, the member's other services decide. Of what lacks
    to a service's minimum, `hourly` is the minimum.
    """

    meter: str
    label: str
    unit: str
    quantity: Decimal
    hourly: Decimal
    price_id: int
    amount: Decimal


@dataclass(frozen=True)
class Estimate:
    """What some components cost in a month of 730 hours; `monthly` is the exact sum of the lines, at the most where
    prices have steps (`at_most`). once: euros when the service begins, beside it.
    """

    lines: tuple[EstimateLine, ...]
    monthly: Decimal
    once: Decimal = Decimal("0.00")
    at_most: bool = False

    def document(self) -> dict[str, Any]:
        """As JSON keeps it: decimals as texts."""
        lines = [{k: str(v) if isinstance(v, Decimal) else v for k, v in asdict(line).items()} for line in self.lines]
        told = {"once": str(self.once)} if self.once else {}
        return {"hours": HOURS, "monthly": str(self.monthly), "lines": lines} | told


@dataclass(frozen=True)
class NewPrice:
    """A price that the database has not yet. end: None while no later one is known; kind: of members, None for all;
    told: when members were told.
    """

    meter: str
    start: datetime
    end: datetime | None
    terms: Terms
    book: str
    kind: str | None = None
    told: date | None = None

    @property
    def hourly(self) -> Decimal:
        return self.terms.price


@dataclass(frozen=True)
class InForce:
    """The prices of an instant, read once. rows, by meter's code: id, label, unit, basis, and (or None) price_id,
    hourly, steps.
    """

    at: datetime
    rows: Mapping[str, sa.Row[Any]]

    def monthly(self, components: Mapping[str, Decimal]) -> Estimate:
        """The cost of holding `components` (quantity by meter code) for a month.

        Each line is rounded half-up to the cent once. Raises Conflict missing_price, InvalidInput unknown_meter.
        """
        for code in components:
            if code not in self.rows:
                raise _unknown_meter(code)
        lines = tuple(self._line(code, components[code]) for code in sorted(components, key=lambda c: self.rows[c].id))
        total = sum((line.amount for line in lines), Decimal("0.00"))
        return Estimate(lines, total, at_most=any(self.rows[code].steps for code in components))

    def service(self, components: Mapping[str, Decimal], *, application: bool = False) -> Estimate:
        """The same of a whole service: at least its minimum; and what its beginning costs, once."""
        found, least = self.monthly(components), self._once("minimum_service")
        if found.monthly < least:
            row, lacks = self.rows["minimum_service"], least - found.monthly
            line = EstimateLine(row.code, row.label["fr"], row.unit, Decimal(1), row.hourly, row.price_id, lacks)
            found = replace(found, lines=(*found.lines, line), monthly=least)
        return replace(found, once=self._once("activation_application" if application else "activation"))

    def _once(self, code: str) -> Decimal:
        row = self.rows[code]
        return (row.hourly or Decimal(0)).quantize(CENT, ROUND_HALF_UP)

    def _line(self, code: str, quantity: Decimal) -> EstimateLine:
        row = self.rows[code]
        if row.price_id is None:
            raise missing_price(code, self.at)
        hourly = max((Decimal(step["hourly"]) for step in row.steps or ()), default=row.hourly)
        amount = (quantity * hourly * HOURS).quantize(CENT, ROUND_HALF_UP)
        return EstimateLine(code, row.label["fr"], row.unit, quantity, hourly, row.price_id, amount)


PAYER = sa.select(Member.kind).where(Member.id == sa.bindparam("member", type_=sa.BigInteger)).scalar_subquery()
# Built once: pages ask often. A price for the kind of the member stands before the general one.
IN_FORCE = (
    sa.select(
        Meter.id,
        Meter.code,
        Meter.label,
        Meter.unit,
        Meter.basis,
        Price.id.label("price_id"),
        Price.hourly,
        Price.steps,
    )
    .ext(distinct_on(Meter.id))
    .outerjoin(
        Price,
        (Price.meter_id == Meter.id)
        & Price.during.contains(sa.bindparam("at", type_=sa.TIMESTAMP(timezone=True)))
        & (Price.member_kind.is_(None) | (Price.member_kind == PAYER)),
    )
    .where(Meter.sku.is_not(None))
    .order_by(Meter.id, Price.member_kind.nulls_last())
)


def in_force(session: Session, at: datetime, member_id: int | None = None) -> InForce:
    """The prices at `at`, of every meter that is billed: a member's (by default the session's), or in general."""
    chosen = {"at": at, "member": member_id or session.info.get("member_id")}
    return InForce(at, {row.code: row for row in session.execute(IN_FORCE, chosen)})


def monthly(
    session: Session, components: Mapping[str, Decimal], at: datetime, member_id: int | None = None
) -> Estimate:
    """`InForce.monthly` at the prices of `at`."""
    return in_force(session, at, member_id).monthly(components)


def missing_price(meter: str, at: datetime) -> Conflict:
    """The error that says which meter has no price, and when first."""
    return Conflict(
        "missing_price",
        Text("Le compteur « {meter} » n’a pas de prix le {day}.", meter=meter, day=at),
        "Complétez prices.yaml puis lancez « clocher prices apply ».",
        facts={"meter": meter, "at": at.isoformat()},
    )


def _unknown_meter(code: str) -> InvalidInput:
    return InvalidInput(
        "unknown_meter",
        Text("Le compteur « {code} » n’existe pas ou ne se facture pas.", code=code),
        "Corrigez son nom, ou publiez d’abord l’application qui le compte.",
    )


def midnight(day: date, timezone: str) -> datetime:
    """The instant when `day` begins there."""
    return datetime.combine(day, time(), ZoneInfo(timezone))


def plan(session: Session, book: PriceBook, timezone: str) -> list[NewPrice]:
    """What `apply` would add. Raises Conflict price_rewritten or period_closed, InvalidInput unknown_meter."""
    meters = {m.code: m.id for m in session.scalars(sa.select(Meter).where(Meter.sku.is_not(None)))}
    for tariff in book.tariffs:
        for code in tariff.hourly.keys() - meters.keys():
            raise _unknown_meter(code)
    new: list[NewPrice] = []
    for code, meter_id in meters.items():
        found = session.scalars(sa.select(Price).where(Price.meter_id == meter_id)).all()
        kinds = {price.member_kind for price in found} | {t.kind for t in book.tariffs if code in t.hourly}
        for kind in sorted(kinds, key=str):
            kept = {p.during.lower: p for p in found if p.during.lower and p.member_kind == kind}
            declared = {midnight(t.start, timezone): t for t in book.tariffs if code in t.hourly and t.kind == kind}
            new += _added(code, kind, kept, declared)
    refuse_in_closed_periods(session, new)
    return sorted(new, key=lambda price: (price.start, meters[price.meter], str(price.kind)))


def _added(
    code: str, kind: str | None, kept: Mapping[datetime, Price], declared: Mapping[datetime, Tariff]
) -> list[NewPrice]:
    """What is declared of one meter and kind of members and not kept yet."""
    for start, price in kept.items():
        # What the pages adopted is in no file.
        if price.origin == "declared" if start not in declared else not _same(price, declared[start].hourly[code]):
            raise _rewritten(code, start)
    starts = sorted({*declared, *kept})
    return [
        NewPrice(code, start, end, declared[start].hourly[code], declared[start].book, kind, declared[start].told)
        for start, end in zip_longest(starts, starts[1:])
        if start not in kept
    ]


def _same(price: Price, terms: Terms) -> bool:
    return (price.hourly, price.steps) == (terms.price, terms.ladder)


def apply(session: Session, book: PriceBook, timezone: str) -> list[NewPrice]:
    """Add the declared prices that are new, ending those before them; again adds nothing. Returns what was added."""
    lock(session)
    new = plan(session, book, timezone)
    add(session, new)
    return new


def lock(session: Session) -> None:
    """One at a time: two that change the book at once would both see the same price missing."""
    session.execute(sa.text("LOCK TABLE prices IN SHARE ROW EXCLUSIVE MODE"))


def add(session: Session, new: list[NewPrice], origin: str = "declared") -> None:
    """Add prices, each ending the one that was in force when it starts. Needs `lock` first."""
    meters = {meter.code: meter.id for meter in session.scalars(sa.select(Meter))}
    for price in new:
        of_meter = Price.meter_id == meters[price.meter]
        for_whom = Price.member_kind.is_not_distinct_from(price.kind)
        session.execute(
            sa.update(Price)
            .where(of_meter, for_whom, Price.during.contains(price.start))
            .values(during=sa.func.tstzrange(sa.func.lower(Price.during), price.start))
        )
        row = {
            "meter_id": meters[price.meter], "during": Range(price.start, price.end), "hourly": price.hourly,
            "book": price.book, "origin": origin, "member_kind": price.kind, "steps": price.terms.ladder,
            "told_on": price.told,
        }  # fmt: skip
        session.execute(sa.insert(Price).values(**row))
        more = {"for": price.kind, "steps": price.terms.ladder, "told_on": price.told and str(price.told)}
        detail = {"hourly": str(price.hourly), "book": price.book} | {name: one for name, one in more.items() if one}
        audit.record(session, "price.add", f"price {price.meter} {price.start.date()}", detail=detail)


def listed(session: Session) -> list[dict[str, Any]]:
    """Every price, newest book first."""
    query = (
        sa.select(Meter.code, Meter.label, Meter.unit, Meter.basis, Price)
        .join(Price, Price.meter_id == Meter.id)
        .order_by(sa.func.lower(Price.during).desc(), Meter.id, Price.member_kind.nulls_first())
    )
    return [
        {"meter": code, "label": label["fr"], "unit": unit, "hourly": price.hourly, "book": price.book,
         "from": price.during.lower, "until": price.during.upper, "origin": price.origin, "labels": label,
         "basis": basis, "for": price.member_kind, "steps": price.steps, "told_on": price.told_on}
        for code, label, unit, basis, price in session.execute(query)
    ]  # fmt: skip


def as_csv(rows: list[dict[str, Any]], timezone: str) -> bytes:
    """The book for a spreadsheet: UTF-8 with BOM, `;`, decimal comma, local days: the last one of each."""
    lines = ["Compteur;Libellé;Unité;Euros par heure;Depuis le;Jusqu’au;Tarif;Base;Pour;Paliers;Annoncé le"]
    for row in rows:
        until = row["until"] and row["until"].astimezone(ZoneInfo(timezone)).date() - timedelta(days=1)
        cells = (row["meter"], row["label"], row["unit"], f"{row['hourly']:f}".replace(".", ","),
                 f"{row['from'].astimezone(ZoneInfo(timezone)):%d/%m/%Y}", f"{until:%d/%m/%Y}" if until else "",
                 row["book"].replace(";", ","), BASES[row["basis"]], row["for"] or "", _steps(row["steps"]),
                 f"{row['told_on']:%d/%m/%Y}" if row["told_on"] else "")  # fmt: skip
        lines.append(";".join(cells))
    return "\r\n".join([*lines, ""]).encode("utf-8-sig")


def _steps(ladder: list[dict[str, str]] | None) -> str:
    return ", ".join(f"{step['above']} : {step['hourly']}" for step in ladder or ()).replace(".", ",")


def _rewritten(code: str, start: datetime | None) -> Conflict:
    return Conflict(
        "price_rewritten",
        Text(
            "Le prix de « {code} » depuis {since} est déjà publié ; prices.yaml en déclare un autre ou aucun.",
            code=code,
            since=Text("le {day}", day=start) if start else {"fr": "l’origine", "en": "the beginning"},
        ),
        "Remettez-le comme il était et déclarez un nouveau tarif à une date ultérieure.",
        facts={"meter": code, "from": start and start.isoformat()},
    )


def refuse_in_closed_periods(session: Session, new: list[NewPrice]) -> None:
    """Raise Conflict period_closed when one of the prices would replace another in a closed period.

    A meter that had no price there had no use there either, or the period could not have been closed: its first price
    changes nothing. But the first fee or minimum would, when something is told late of that period.
    """
    for price in new:
        before = sa.exists().where(
            Price.meter_id == Meter.id,
            Price.during.overlaps(Period.during),
            # One that is for a kind of members takes the place of the general one.
            Price.member_kind.is_(None) | Price.member_kind.is_not_distinct_from(price.kind),
        )
        label = session.scalar(
            sa.select(Period.label)
            .join(Meter, Meter.code == price.meter)
            .where(
                Period.state == "closed",
                Period.during.overlaps(Range(price.start, price.end)),
                before | ((Meter.basis != "hour") & ~Period.sample),
            )
            .order_by(Period.label)
            .limit(1)
        )
        if label:
            raise Conflict(
                "period_closed",
                Text(
                    "Le prix de « {meter} » du {day} changerait {month}, qui est clos.",
                    meter=price.meter,
                    day=price.start.date(),
                    month=label,
                ),
                "Faites débuter ce tarif après la dernière période close.",
                facts={"period": label, "meter": price.meter},
            )
