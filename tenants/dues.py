"""Dues: what a member is asked for in the yearly cycle, a document each, sealed on the member's chain as it is written.

The first link of a chain is the SHA-256 of `clocher:dues:<SIRET>`. Same documents, same bytes, for ever.
"""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import date
from decimal import Decimal

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator import audit
from orchestrator.tables import Member
from tenants.statements import Document, canonical, digest
from tenants.tables_cycle import Due

ACTS = {"call": "billing.call", "settlement": "billing.settle"}


def add(
    session: Session, member: Member, year: int, kind: str, number: int, dated: date, amount: Decimal, body: Document
) -> Due:
    """Seal a due: what `body` says, and whose and when it is. amount: euros, below zero: they go back."""
    session.execute(sa.select(sa.func.pg_advisory_xact_lock(5211, 0)))
    before = session.scalar(
        sa.select(Due.hash).where(Due.member_id == member.id).order_by(Due.id.desc()).limit(1)
    ) or digest(f"clocher:dues:{member.siret}")  # fmt: skip
    text = canonical({
        **body, **head(member, year, kind, number, dated), "amount": str(amount), "state": "closed",
        "previous_hash": before,
    })  # fmt: skip
    due = Due(member_id=member.id, year=year, kind=kind, number=number, dated=dated, amount=amount, document=text,
              previous_hash=before, hash=digest(text), made_by=session.info["actor"])  # fmt: skip
    session.add(due)
    session.flush()
    detail = {"year": year, "number": number, "amount": str(amount), "hash": due.hash}
    audit.record(session, ACTS[kind], f"due {due.id}", member_id=member.id, detail=detail)
    return due


def head(member: Member, year: int, kind: str, number: int, dated: date) -> Document:
    """What every due begins with. reference: at most 20 signs."""
    named = "REG" if kind == "settlement" else f"A{number:02}"
    return {
        "kind": kind, "year": year, "number": number, "dated": str(dated), "currency": "EUR", "sample": False,
        "reference": f"{year}-{named}-{member.siren}",
        "member": {"slug": member.slug, "name": member.name, "siren": member.siren, "siret": member.siret},
    }  # fmt: skip


def read(due: Due) -> Document:
    """The document with its hash."""
    found: Document = json.loads(due.document)
    return {**found, "id": due.id, "hash": due.hash}


def listed(session: Session, year: int, kind: str, member_id: int | None = None) -> dict[int, list[Due]]:
    """By member, its dues of a year and kind, by number."""
    query = sa.select(Due).where(Due.year == year, Due.kind == kind).order_by(Due.number)
    if member_id is not None:
        query = query.where(Due.member_id == member_id)
    found: dict[int, list[Due]] = defaultdict(list)
    for due in session.scalars(query):
        found[due.member_id].append(due)
    return found


def years(session: Session, member_id: int | None = None) -> list[int]:
    """Years with a due, newest first."""
    query = sa.select(Due.year).distinct().order_by(Due.year.desc())
    return list(session.scalars(query if member_id is None else query.where(Due.member_id == member_id)))


def first_break(session: Session, member: Member) -> int | None:
    """The id of the first due that does not follow the one before it in a member's chain; None: all do."""
    before = digest(f"clocher:dues:{member.siret}")
    for due in session.scalars(sa.select(Due).where(Due.member_id == member.id).order_by(Due.id)):
        if (due.previous_hash, due.hash) != (before, digest(due.document)) or read(due)["previous_hash"] != before:
            return due.id
        before = due.hash
    return None
