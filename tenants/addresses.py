"""The address by which the web knows an application, and how often the application answered there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_FLOOR, Decimal
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator import entry, entry_certificates
from orchestrator.entry_certificates import Certificate
from orchestrator.errors import NotFound
from orchestrator.tables import Member, Service
from orchestrator.tables_entry import Availability, Entry

MONTHS = 13  # that are told: the present one and a year before


@dataclass(frozen=True)
class Month:
    """label: 2026-11; asked, answered: how often. share: percent, rounded down so that 100 means always."""

    label: str
    asked: int
    answered: int

    @property
    def share(self) -> Decimal:
        return (Decimal(100 * self.answered) / self.asked).quantize(Decimal("0.01"), ROUND_FLOOR)


@dataclass(frozen=True)
class Address:
    """internal: browsers have to be told to trust its certificate; last: what was seen there last.

    months: newest first; this_month: None when nothing was asked in it yet.
    """

    url: str
    internal: bool
    last: Availability | None
    this_month: Month | None
    months: list[Month]


def of(session: Session, service: Service, at: datetime, timezone: str) -> Address | None:
    """The address of a service; None when it has none: no web face, no entry, or it is gone."""
    if not service.specification.get("stack", {}).get("web") or service.state in entry.GONE:
        return None
    made = session.execute(sa.select(Entry.domain, Entry.authority.is_not(None)).order_by(Entry.service_id)).first()
    if not made:
        return None
    domain, internal = made
    host = entry.host(service.name, session.get_one(Member, service.member_id).slug, domain)
    known = sa.select(Availability).where(Availability.service_id == service.id).order_by(Availability.day.desc())
    label, months = at.astimezone(ZoneInfo(timezone)).strftime("%Y-%m"), _months(session, service.id)
    return Address(
        f"https://{host}/", internal, session.scalar(known.limit(1)),
        next((month for month in months if month.label == label), None), months,
    )  # fmt: skip


def _months(session: Session, service_id: int) -> list[Month]:
    label = sa.func.to_char(Availability.day, "YYYY-MM").label("label")
    asked, answered = sa.func.sum(Availability.asked), sa.func.sum(Availability.answered)
    query = sa.select(label, asked, answered).where(Availability.service_id == service_id)
    rows = session.execute(query.group_by(label).order_by(label.desc()).limit(MONTHS))
    return [Month(month, int(count), int(good)) for month, count, good in rows]


def authority(session: Session) -> str:
    """The certificate (PEM) that browsers have to trust. Raises NotFound no_authority."""
    found = session.scalar(sa.select(Entry.authority).order_by(Entry.service_id).limit(1))
    if not found:
        raise NotFound(
            "no_authority",
            "Le territoire n’a pas d’autorité de certification propre.",
            "Les certificats de ses applications sont reconnus sans elle.",
        )
    return found


def certificates(session: Session, at: datetime) -> list[Certificate]:
    """The certificate of each host that the entry leads to, as it last told; for the territory. Empty: no entry."""
    told = session.scalar(sa.select(Entry.certificates).order_by(Entry.service_id).limit(1))
    return entry_certificates.read(told or [], at)
