"""The members as the DSI reads them: the list, one with all that belongs to it, a file."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator.tables import Member, Place, Service
from tenants import members, members_form, members_record, quotas
from tenants.exports import safe
from tenants.tables import Budget, Quota
from tenants.tables_administration import CloudUsage

COLUMNS = ("slug", "name", "kind", "siren", "siret", "insee_code", "population", "state", "origin", "subnet_cidr",
           "services")  # fmt: skip


@dataclass(frozen=True)
class Filters:
    """Narrow the list; empty: all. q: a part of the name, the slug or the SIRET."""

    q: str = ""
    kind: str = ""
    state: str = ""
    origin: str = ""

    @classmethod
    def read(cls, given: Mapping[str, str]) -> Filters:
        """From an address."""
        return cls(*(given.get(name, "").strip() for name in ("q", "kind", "state", "origin")))

    @property
    def given(self) -> dict[str, str]:
        """Those that narrow."""
        return {name: value for name, value in asdict(self).items() if value}


def listed(session: Session, filters: Filters) -> list[dict[str, Any]]:
    """The members by name, the agglomeration first; with `services` (how many live) and `placed` (in the cloud)."""
    living = (
        sa.select(sa.func.count(Service.id))
        .where(Service.member_id == Member.id, Service.state.not_in(("deleted", "failed")))
        .scalar_subquery()
    )
    placed = sa.exists().where(Place.member_id == Member.id)
    query = sa.select(*Member.__table__.columns, living.label("services"), placed.label("placed"))
    query = query.order_by(Member.kind != "epci", sa.func.lower(Member.name))
    if filters.q:
        sought = (Member.name, Member.slug, Member.siret)
        query = query.where(sa.or_(*(column.icontains(filters.q, autoescape=True) for column in sought)))
    for name in ("kind", "state", "origin"):
        if value := getattr(filters, name):
            query = query.where(getattr(Member, name) == value)
    return [dict(row) for row in session.execute(query).mappings()]


def as_csv(rows: list[dict[str, Any]]) -> bytes:
    """The list for a spreadsheet: UTF-8 with BOM, `;`."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=";", lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow(["" if row[name] is None else safe(str(row[name])) for name in COLUMNS])
    return text.getvalue().encode("utf-8-sig")


def document(session: Session, slug: str) -> dict[str, Any]:
    """One member as a form or file holds it; NotFound unknown_member."""
    members.find(session, slug)
    return members_form.document(members_record.read(session)[slug])


def one(session: Session, slug: str, at: datetime) -> dict[str, Any]:
    """One member: `row`, `place`, `budgets`, `counts` by quota (limit, held, used), `committed` and `budget` a year."""
    row = members.find(session, slug)
    held, monthly = quotas.held(session, row.id)
    most, budget = quotas.limits(session, row.id, at)
    usage = session.get(CloudUsage, row.id)
    counts = {
        name: {"limit": most[name], "held": held[name], "used": getattr(usage, name) if usage else None}
        for name in quotas.LABELS
    }
    living = sa.select(Service).where(Service.member_id == row.id, Service.state.not_in(("deleted", "failed")))
    years = sa.select(Budget).where(Budget.member_id == row.id).order_by(Budget.year)
    return {
        "row": row,
        "place": session.get(Place, row.id),
        "quota": session.get(Quota, row.id),
        "budgets": list(session.scalars(years)),
        "counts": counts,
        "read_at": usage.read_at if usage else None,
        "monthly": monthly,
        "budget": budget,
        "services": list(session.scalars(living.order_by(Service.name))),
    }
