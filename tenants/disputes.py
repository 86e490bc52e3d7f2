"""A member objects to a line of its closed statement; finance answers, then settles it or turns it down.

What settles it is a line of the next month that is open: the closed one never changes. Every step is in the audit
trail, from which both sides are told by mail.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from orchestrator import audit
from orchestrator.errors import Conflict, InvalidInput
from orchestrator.tables import Member
from tenants import reading, statements
from tenants.tables import Period, Statement
from tenants.tables_disputes import Dispute

CENT = Decimal("0.01")
MOST = Decimal("999999999999.99")
LONGEST = 2000  # letters of a reason
ALLOWED: Mapping[str, tuple[str, ...]] = {
    "open": ("answered", "settled", "rejected", "withdrawn"),
    "answered": ("answered", "settled", "rejected", "withdrawn"),
    "settled": (),
    "rejected": (),
    "withdrawn": (),
}
# A settlement comes in the first month after the disputed one that is open, as late facts do.
DUE = """
SELECT d.id, d.member_id, d.amount, d.position, d.period_id FROM disputes d
JOIN periods p ON p.id = :period AND NOT p.sample JOIN periods c ON c.id = d.period_id AND NOT c.sample
WHERE d.state = 'settled' AND c.during << p.during
AND NOT EXISTS (SELECT FROM periods o
    WHERE o.state <> 'closed' AND NOT o.sample AND o.during >> c.during AND o.during << p.during)
AND NOT EXISTS (SELECT FROM statement_lines l JOIN periods q ON q.id = l.period_id
    WHERE l.dispute_id = d.id AND q.state = 'closed' AND q.id <> :period)
"""
CARRY = f"""
INSERT INTO statement_lines
    (statement_id, period_id, member_id, position, kind, amount, corrects_id, corrects_position, dispute_id)
SELECT t.id, :period, d.member_id,
    coalesce((SELECT max(l.position) FROM statement_lines l WHERE l.statement_id = t.id), 0)
        + row_number() OVER (PARTITION BY d.member_id ORDER BY d.id),
    'settlement', d.amount, d.period_id, d.position, d.id
FROM ({DUE}) d JOIN statements t ON t.period_id = :period AND t.member_id = d.member_id
"""  # noqa: S608  (no input in it)
# What must be in the period and what is.
DIFFERENT = f"""
SELECT concat('contestation ', coalesce(d.id, l.dispute_id)), d.amount, l.amount FROM ({DUE}) d
FULL JOIN (SELECT * FROM statement_lines WHERE period_id = :period AND kind = 'settlement') l ON l.dispute_id = d.id
WHERE (d.amount, d.member_id, d.period_id, d.position) IS DISTINCT FROM
    (l.amount, l.member_id, l.corrects_id, l.corrects_position)
"""  # noqa: S608


def open_(session: Session, statement_id: int, position: int, reason: str, at: datetime) -> Dispute:
    """Object to a line of a closed statement. Raises NotFound not_found, Conflict statement_not_closed or disputed,
    InvalidInput reason_missing.
    """
    statement, period, member = reading.statement_row(session, statement_id)
    if statement.document is None:
        raise Conflict(
            "statement_not_closed", "Ce relevé est un projet : il peut encore changer.", "Attendez sa clôture."
        )
    line_of(statements.document(session, statement, period, member), position)
    made = Dispute(member_id=member.id, statement_id=statement.id, period_id=period.id, position=position,
                   reason=_words(reason), opened_by=str(session.info["actor"]), opened_at=at, state="open")  # fmt: skip
    try:
        with session.begin_nested():
            session.add(made)
    except IntegrityError:
        raise Conflict(
            "disputed", "Cette ligne est déjà contestée.", "Attendez la réponse, ou retirez cette contestation."
        ) from None
    _record(session, "open", made)
    return made


def line_of(document: Mapping[str, Any], position: int) -> dict[str, Any]:
    """A statement's line by its place. Raises NotFound not_found."""
    found: list[dict[str, Any]] = [line for line in document["lines"] if line["position"] == position]
    if not found:
        raise reading.unknown()
    return found[0]


def answer(session: Session, dispute_id: int, words: str, at: datetime) -> Dispute:
    """Finance answers; it stays open.

    Raises NotFound not_found, Conflict dispute_state, InvalidInput reason_missing.
    """
    found = _locked(session, dispute_id, "answered")
    found.answer, found.answered_by, found.answered_at = _words(words), str(session.info["actor"]), at
    _move(session, found, "answered")
    return found


def settle(
    session: Session, dispute_id: int, decision: str, at: datetime, *, amount: Decimal | None = None,
    quantity: Decimal | None = None,
) -> Dispute:  # fmt: skip
    """Settle by an amount in euros (two decimals, below zero in favour of the member), or by unit-hours at the price
    of the line, rounded half up. Raises as `answer` does, InvalidInput invalid_amount.
    """
    found = _locked(session, dispute_id, "settled")
    if (amount is None) == (quantity is None):
        raise _invalid_amount()
    if quantity is not None:
        if not quantity.is_finite() or abs(quantity) > MOST:
            raise _invalid_amount()
        amount = (quantity * _hourly(session, found)).quantize(CENT, ROUND_HALF_UP)
    found.amount = _euros(amount)
    found.quantity = quantity
    _decide(found, decision, str(session.info["actor"]), at)
    _move(session, found, "settled", amount=str(found.amount))
    return found


def reject(session: Session, dispute_id: int, decision: str, at: datetime) -> Dispute:
    """Turn it down, and say why. Raises as `answer` does."""
    found = _locked(session, dispute_id, "rejected")
    _decide(found, decision, str(session.info["actor"]), at)
    _move(session, found, "rejected")
    return found


def withdraw(session: Session, dispute_id: int, at: datetime) -> Dispute:
    """The member no longer objects. Raises NotFound not_found, Conflict dispute_state."""
    found = _locked(session, dispute_id, "withdrawn")
    found.decided_by, found.decided_at = str(session.info["actor"]), at
    _move(session, found, "withdrawn")
    return found


def listed(session: Session, *, state: str | None = None, member: str | None = None,
           statement_id: int | None = None) -> list[dict[str, Any]]:  # fmt: skip
    """Disputes, the newest first, with the month and who carries what settled it; a member's session sees its own."""
    query = sa.text("""
        SELECT d.*, m.slug AS member, m.name, p.label AS period, carried.label AS carried
        FROM disputes d JOIN members m ON m.id = d.member_id JOIN periods p ON p.id = d.period_id
        LEFT JOIN LATERAL (SELECT q.label FROM statement_lines l JOIN periods q ON q.id = l.period_id
            WHERE l.dispute_id = d.id ORDER BY q.state = 'closed' DESC LIMIT 1) carried ON true
        WHERE (CAST(:state AS text) IS NULL OR d.state = :state)
        AND (CAST(:member AS text) IS NULL OR m.slug = :member)
        AND (CAST(:statement AS bigint) IS NULL OR d.statement_id = :statement)
        ORDER BY d.id DESC""")
    chosen = {"state": state, "member": member, "statement": statement_id}
    return [dict(row) for row in session.execute(query, chosen).mappings()]


def one(session: Session, dispute_id: int) -> dict[str, Any]:
    """One of them, with its statement's line. Raises NotFound not_found."""
    found = session.get(Dispute, min(dispute_id, reading.BEYOND))
    rows = [row for row in listed(session, statement_id=found.statement_id) if row["id"] == found.id] if found else []
    if found is None or not rows:
        raise reading.unknown()
    statement, period = session.get_one(Statement, found.statement_id), session.get_one(Period, found.period_id)
    document = statements.document(session, statement, period, session.get_one(Member, found.member_id))
    return {**rows[0], "line": line_of(document, found.position)}


def carry(session: Session, period: Period) -> None:
    """Write what settled disputes as lines of the period, after its adjustments."""
    session.execute(sa.text(CARRY), {"period": period.id})


def different(session: Session, period: Period) -> list[tuple[str, Decimal | None, Decimal | None]]:
    """(dispute, what settles it, what the period has) where they differ."""
    return [(subject, due, kept) for subject, due, kept in session.execute(sa.text(DIFFERENT), {"period": period.id})]


def _locked(session: Session, dispute_id: int, to: str) -> Dispute:
    found = session.get(Dispute, min(dispute_id, reading.BEYOND), with_for_update=True, populate_existing=True)
    if found is None:
        raise reading.unknown()
    if to not in ALLOWED[found.state]:
        raise Conflict("dispute_state", "Cette contestation est déjà tranchée.", "Ouvrez-en une autre s’il le faut.")
    return found


def _decide(found: Dispute, decision: str, actor: str, at: datetime) -> None:
    found.decision, found.decided_by, found.decided_at = _words(decision), actor, at


def _move(session: Session, found: Dispute, to: str, **detail: Any) -> None:
    """The one writer of a state."""
    found.state = to
    session.flush()
    _record(session, {"answered": "answer", "settled": "settle", "rejected": "reject", "withdrawn": "withdraw"}[to],
            found, **detail)  # fmt: skip


def _record(session: Session, verb: str, found: Dispute, **detail: Any) -> None:
    told = {"statement": found.statement_id, "position": found.position, **detail}
    audit.record(session, f"dispute.{verb}", f"dispute {found.id}", member_id=found.member_id, detail=told)


def _hourly(session: Session, found: Dispute) -> Decimal:
    line = one(session, found.id)["line"]
    if "hourly" not in line:
        raise InvalidInput("invalid_amount", "Cette ligne n’a pas de prix par heure.", "Donnez un montant en euros.")
    return Decimal(line["hourly"])


def _euros(value: Decimal | None) -> Decimal:
    if not value or not value.is_finite() or abs(value) > MOST or value != value.quantize(CENT):
        raise _invalid_amount()
    return value.quantize(CENT)


def _invalid_amount() -> InvalidInput:
    return InvalidInput(
        "invalid_amount", "Ce montant ne règle rien.", "Donnez des euros et centimes autres que zéro, ou une quantité."
    )


def _words(text: str) -> str:
    words = text.strip()
    if not words or len(words) > LONGEST:
        raise InvalidInput("reason_missing", "Il faut dire pourquoi, en 2000 signes au plus.", "Écrivez la raison.")
    return words
