"""Statements: a member's account for a period as a document, and the chain of hashes that seals it.

The document is what people read, exports write and the hash covers. A draft's is built from its rows; a closed one is
kept as text, so that nothing that happens later (a member's new name) changes a byte of it. Each member has a chain of
its own, so a payer can prove its own statements from its own exports: the first link is the SHA-256 of
`clocher:<SIRET>`, every other one that of the member's statement closed before. Samples have chains apart.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from orchestrator import audit
from orchestrator.errors import N_, NotFound, Text
from orchestrator.tables import Member, Service
from tenants import energy, vat
from tenants import statements_availability as availability
from tenants.tables import (
    AllocationKey,
    CostPool,
    Meter,
    Period,
    Price,
    Statement,
    StatementLine,
)  # fmt: skip
from tenants.tables_disputes import Dispute

Document = dict[str, Any]
ALL_SERVICES = N_("Ensemble des services")  # of a line that is no single one's; services have no such names
AT_ONCE = 30  # statements whose lines are in memory while a period is sealed
# Of an adjustment that is of no use: by what its price is for, and whether more is due than was known.
WHY = {
    ("once", True): N_("Le service a commencé à servir ce mois-là, ce qui a été connu après : ses frais sont dus."),
    ("once", False): N_("Le service n’a pas commencé à servir ce mois-là, ou pas à ce prix : ses frais sont rendus."),
    ("month", True): N_("Ce qui a servi ce mois-là n’est plus le même : il manque davantage au minimum."),
    ("month", False): N_("Ce qui a servi ce mois-là n’est plus le même : il manque moins au minimum."),
}
Corrected = aliased(Period)


def documents(session: Session, period: Period, member: str | None = None) -> list[Document]:
    """The period's statements (of one member, by slug), by SIRET. Raises NotFound unknown_statement."""
    query = (
        sa.select(Statement, Member)
        .join(Member, Member.id == Statement.member_id)
        .where(Statement.period_id == period.id)
        .order_by(Member.siret.collate("C"))
    )
    if member is not None:
        query = query.where(Member.slug == member)
    found = session.execute(query).all()
    if not found and member is not None:
        raise unknown(period, member)
    open_ = period.state != "closed"
    lines = _lines(session, period, member) if open_ else {}
    taken = energy.of_members(session, period, [row.id for _, row in found]) if open_ else {}
    known, seen = vat.facts(session, period), availability.of_period(session, period, member) if open_ else {}
    return [
        json.loads(statement.document)
        if statement.document
        else _document(period, statement, member_row, lines.get(statement.id, []), known, seen.get(member_row.id, []))
        | _energy(taken.get(member_row.id))
        for statement, member_row in found
    ]


def _energy(taken: Document | None) -> Document:
    """What it took in energy; nothing of a member that used nothing, nor where no factor is declared."""
    return {} if taken is None else {"energy": taken}


def unknown(period: Period, member: str) -> NotFound:
    """The error of a member that has no statement for a period."""
    return NotFound(
        "unknown_statement",
        Text("« {member} » n’a pas de relevé pour {month}.", member=member, month=period.label),
        "Vérifiez le nom du membre.",
    )


def document(session: Session, statement: Statement, period: Period, member: Member) -> Document:
    """One statement: as it was closed, or as it is now."""
    if statement.document:
        closed: Document = json.loads(statement.document)
        return closed
    open_ = period.state != "closed"
    lines = _lines(session, period, member.slug) if open_ else {}
    taken = energy.of_members(session, period, [member.id]) if open_ else {}
    seen = availability.of_period(session, period, member.slug).get(member.id, []) if open_ else []
    said = _document(period, statement, member, lines.get(statement.id, []), vat.facts(session, period), seen)
    return said | _energy(taken.get(member.id))


def _document(
    period: Period,
    statement: Statement,
    member: Member,
    lines: list[Document],
    known: vat.Facts,
    seen: list[Document],
) -> Document:
    return {
        "period": period.label,
        "from": _instant(period.during.lower),
        "until": _instant(period.during.upper),
        "metered_until": _instant(period.metered_until),
        "state": "draft" if statement.document is None and period.state != "closed" else "closed",
        "sample": period.sample,
        "currency": "EUR",
        "member": {"slug": member.slug, "name": member.name, "siren": member.siren, "siret": member.siret},
        "lines": lines,
        "usage": str(_sum(lines, "usage", "fee", "minimum")),
        "shares": str(_sum(lines, "share")),
        **_adjusted(lines),
        "total": str(statement.total),
        **vat.told(statement, known),
        "previous_hash": statement.previous_hash,
        **_billed(statement),
        **({"availability": seen} if seen else {}),
    }


def _adjusted(lines: list[Document]) -> Document:
    """Their sum where there are any: documents that were sealed before there could be any have no such word."""
    if not any("corrects" in line for line in lines):
        return {}
    return {"adjustments": str(_sum(lines, "adjustment", "settlement"))}


def _billed(statement: Statement) -> Document:
    """How it is paid; nothing of a statement that was closed before modes were told."""
    if statement.billing is None:
        return {}
    withheld = {} if statement.withheld is None else {"withheld": str(statement.withheld)}
    return {"billing": {"mode": statement.billing, **withheld}}


def _sum(lines: list[Document], *kinds: str) -> Decimal:
    return sum((Decimal(line["amount"]) for line in lines if line["kind"] in kinds), Decimal("0.00"))


def _lines(
    session: Session, period: Period, member: str | None, statement_ids: Sequence[int] | None = None
) -> dict[int, list[Document]]:
    """By statement, each line with what it follows from: price and its book, or pool, key and its version; of an
    adjustment also the closed month, the place of the line there (null: it had none) and, of a fee or minimum, why; of
    a settlement that, the dispute and why it was settled so.
    """
    query = (
        sa.select(
            StatementLine.statement_id, StatementLine.position, StatementLine.kind, StatementLine.unit_seconds,
            StatementLine.share, StatementLine.amount, Service.name, Service.ref.cast(sa.Text), Meter.code,
            Meter.label["fr"].as_string(), Meter.unit, Meter.basis, Price.hourly, Price.book,
            sa.func.lower(Price.during), Price.steps, StatementLine.step, CostPool.code,
            CostPool.label["fr"].as_string(), CostPool.section,
            CostPool.amount, AllocationKey.code, AllocationKey.version, AllocationKey.deliberation, Corrected.label,
            Corrected.during, StatementLine.corrects_position, Dispute.id, Dispute.decision,
        )
        .outerjoin(Service, Service.id == StatementLine.service_id)
        .outerjoin(Meter, Meter.id == StatementLine.meter_id)
        .outerjoin(Price, Price.id == StatementLine.price_id)
        .outerjoin(CostPool, CostPool.id == StatementLine.pool_id)
        .outerjoin(AllocationKey, AllocationKey.id == CostPool.key_id)
        .outerjoin(Corrected, Corrected.id == StatementLine.corrects_id)
        .outerjoin(Dispute, Dispute.id == StatementLine.dispute_id)
        .where(StatementLine.period_id == period.id)
        .order_by(StatementLine.statement_id, StatementLine.position)
    )  # fmt: skip
    if statement_ids is not None:
        query = query.where(StatementLine.statement_id.in_(statement_ids))
    if member is not None:
        query = query.join(Member, Member.id == StatementLine.member_id).where(Member.slug == member)
    found: dict[int, list[Document]] = defaultdict(list)
    # Hundreds of thousands of rows: as they come, without the session's own reading of each.
    for statement_id, position, kind, unit_seconds, share, amount, *rest in session.connection().execute(query):
        service, ref, meter, label, unit, basis, hourly, book, since, steps, step, *more = rest
        *shared, month, during, place, dispute, decision = more
        line = {"position": position, "kind": kind, "amount": str(amount)}
        if month is not None:
            line |= {
                "corrects": month, "corrects_from": _instant(during.lower), "corrects_until": _instant(during.upper),
                "corrects_position": place,
            }  # fmt: skip
        if kind == "settlement":
            line |= {"dispute": dispute, "label": decision}
        elif kind != "share":
            line |= {
                "service": service or ALL_SERVICES, "service_ref": ref, "meter": meter, "label": label,
                "unit": unit, "book": book, "price_from": _instant(since),
            }  # fmt: skip
            line = with_price(line, unit_seconds, hourly, steps, step)
            if kind == "adjustment" and unit_seconds is None:
                line |= {"why": WHY[basis, amount > 0]}
        else:
            pool, title, section, whole, key, version, deliberation = shared
            line |= {
                "pool": pool, "label": title, "section": section, "pool_amount": str(whole), "key": key,
                "key_version": version, "deliberation": deliberation, "share": f"{share:f}",
            }  # fmt: skip
        found[statement_id].append(line)
    return found


def with_price(
    line: Document, unit_seconds: Decimal | None, hourly: Decimal, steps: list[dict[str, str]] | None, step: int | None
) -> Document:
    """A line with what it multiplies: quantity × price of an hour, at a step's price where there are some.

    A fee or a minimum has one price.
    """
    if unit_seconds is None:
        return line | {"price": f"{hourly:f}"}
    line |= {"unit_seconds": f"{unit_seconds:f}", "hourly": f"{hourly:f}"}
    if not steps or not step:
        return line
    here, after = steps[step - 1], steps[step : step + 1]
    line |= {
        "hourly": here["hourly"],
        "step": step,
        "above": here["above"],
        "upto": after[0]["above"] if after else None,
    }
    return line | {"label": f"{line['label']} ({step_label(line)})"}


def step_label(line: Document) -> str:
    """Which part of a member's quantity a line is of, in French."""
    if line["step"] == 1:
        return f"{'franchise de' if Decimal(line['hourly']) == 0 else 'jusqu’à'} {_comma(line['upto'])}"
    return f"au-delà de {_comma(line['above'])}"


def _comma(number: str) -> str:
    return number.replace(".", ",")


@lru_cache(maxsize=256)
def _instant(at: datetime | None) -> str | None:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z") if at else None


def canonical(document: Document) -> str:
    """The text that is hashed: sorted keys, no spaces, decimals as texts."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(text: str) -> str:
    """SHA-256 of the text in UTF-8, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def digest_of(document: Document) -> str:
    """The hash of a closed statement, found again from its document."""
    return digest(canonical({name: value for name, value in document.items() if name not in ("id", "hash")}))


def first_link(siret: str) -> str:
    """What the first statement of a member follows."""
    return digest(f"clocher:{siret}")


def seal(session: Session, period: Period) -> str:
    """Write each statement's document and hash onto its member's chain; returns the digest of all, in order of SIRET.

    The caller closes the period in the same transaction.
    """
    before = _last_hashes(session, period.sample)
    rows = session.execute(
        sa.select(Statement, Member)
        .join(Member, Member.id == Statement.member_id)
        .where(Statement.period_id == period.id)
        .order_by(Member.siret.collate("C"))
    ).all()
    links: list[str] = []
    known, seen = vat.facts(session, period), availability.of_period(session, period)
    added = {"state": "closed", **vat.sealed(session, known)}
    for start in range(0, len(rows), AT_ONCE):
        chosen = rows[start : start + AT_ONCE]
        lines = _lines(session, period, None, [statement.id for statement, _ in chosen])
        taken = energy.of_members(session, period, [member.id for _, member in chosen])
        for statement, member in chosen:
            with session.no_autoflush:  # what seals it is written at once
                statement.previous_hash = before.get(member.id, first_link(member.siret))
                document = _document(
                    period, statement, member, lines.pop(statement.id, []), known, seen.get(member.id, [])
                )
                document |= added | _energy(taken.get(member.id))
                links.append(_seal(session, period, statement, document))
        session.flush()
        for statement, _ in chosen:
            session.expire(statement, ["document"])
    return digest("".join(links))


def _seal(session: Session, period: Period, statement: Statement, document: Document) -> str:
    statement.document = canonical(document)
    statement.hash = digest(statement.document)
    detail = {"period": period.label, "total": str(statement.total), "hash": statement.hash}
    subject = f"statement {statement.id}"
    audit.record(session, "statement.close", subject, member_id=statement.member_id, detail=detail)
    return statement.hash


def _last_hashes(session: Session, sample: bool) -> dict[int, str]:
    query = (
        sa.select(Statement.member_id, Statement.hash)
        .join(Period, Period.id == Statement.period_id)
        .where(Period.state == "closed", Period.sample == sample)
        .order_by(Period.closed_at, Period.id)
    )
    # The later closed replaces the earlier.
    return {member_id: link for member_id, link in session.execute(query) if link}


def first_break(session: Session) -> int | None:
    """The id of the first closed statement that does not follow from the one before or from its own text; else None."""
    query = (
        sa.select(Statement, Member, Period.sample)
        .join(Member, Member.id == Statement.member_id)
        .join(Period, Period.id == Statement.period_id)
        .where(Period.state == "closed")
        .order_by(Period.closed_at, Period.id, Member.siret.collate("C"))
        .execution_options(yield_per=200)
    )
    last: dict[tuple[int, bool], str] = {}
    with session.execute(query) as found:
        for statement, member, sample in found:
            chain = (member.id, sample)
            document = json.loads(statement.document or "{}")
            expected = last.get(chain, first_link(member.siret))
            told = (document.get("previous_hash"), document.get("total"), digest(statement.document or ""))
            if statement.previous_hash != expected or told != (expected, str(statement.total), statement.hash):
                return int(statement.id)
            last[chain] = statement.hash or ""
    return None


def listed(
    session: Session, period: str | None = None, member: str | None = None, *, start: int = 0, most: int | None = None
) -> list[dict[str, Any]]:
    """Statements in brief, newest period first, then by SIRET; a member's session sees its own.

    start, most: only so many, after so many.
    """
    # Not the documents: those of a big member are a megabyte each.
    query = (
        sa.select(
            Statement.id, Period.label.label("period"), Period.state, Period.sample, Member.slug.label("member"),
            Member.name, Statement.total, Statement.hash,
        )
        .join(Period, Period.id == Statement.period_id)
        .join(Member, Member.id == Statement.member_id)
        .where(*_chosen(period, member))
        .order_by(Period.label.desc(), Member.siret.collate("C"))
        .offset(start)
        .limit(most)
    )  # fmt: skip
    return [dict(row) for row in session.execute(query).mappings()]


def count(session: Session, period: str | None = None, member: str | None = None) -> int:
    """How many `listed` gives."""
    query = (
        sa.select(sa.func.count())
        .select_from(Statement)
        .join(Period, Period.id == Statement.period_id)
        .join(Member, Member.id == Statement.member_id)
    )
    return session.execute(query.where(*_chosen(period, member))).scalar_one()


def _chosen(period: str | None, member: str | None) -> list[sa.ColumnElement[bool]]:
    wanted = ((Period.label, period), (Member.slug, member))
    return [column == value for column, value in wanted if value is not None]
