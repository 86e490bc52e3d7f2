"""How each member pays: by title (titre de recette) of each month, by calls on account that a year's end settles, by
deduction from the attribution de compensation, or not at all.

A mode holds from a month on. Without one a member pays by title, and the agglomeration's own share is for information.
"""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.orm import Session

from orchestrator import audit
from orchestrator.errors import Conflict, InvalidInput, NotFound, Text, example
from orchestrator.tables import Member
from tenants.tables import BILLING, Period
from tenants.tables_finance import BillingMode

IN_FORCE = """
SELECT m.id, m.slug, coalesce(b.mode, CASE m.kind WHEN 'epci' THEN 'information' ELSE 'title' END) AS mode, b.withheld
FROM members m LEFT JOIN billing_modes b ON b.member_id = m.id AND b.during @> CAST(:day AS date)
"""
WRITE = f"""
UPDATE statements t SET billing = f.mode, withheld = f.withheld FROM ({IN_FORCE}) f
WHERE f.id = t.member_id AND t.period_id = :period
"""  # noqa: S608  (no input in it)


def write(session: Session, period: Period) -> None:
    """Write how each statement of a drafted period is paid: by the mode on the month's first day."""
    session.execute(sa.text(WRITE), {"period": period.id, "day": date.fromisoformat(f"{period.label}-01")})


def listed(session: Session, day: date) -> list[dict[str, Any]]:
    """Every member that is active, by name: its mode on a day (withheld: euros a month), what follows, and since when.

    next: the month from which another mode holds, with that mode.
    """
    modes: dict[int, list[BillingMode]] = {}
    for mode in session.scalars(sa.select(BillingMode).order_by(sa.func.lower(BillingMode.during))):
        modes.setdefault(mode.member_id, []).append(mode)
    members = session.scalars(sa.select(Member).where(Member.state == "active").order_by(Member.name))
    return [_row(member, modes.get(member.id, []), day) for member in members]


def _row(member: Member, modes: list[BillingMode], day: date) -> dict[str, Any]:
    held = next((mode for mode in modes if day in _Days(mode.during)), None)
    later = next((mode for mode in modes if mode.during.lower and mode.during.lower > day), None)
    return {
        "slug": member.slug, "name": member.name, "kind": member.kind,
        "mode": held.mode if held else "information" if member.kind == "epci" else "title",
        "withheld": held.withheld if held else None, "since": held.during.lower if held else None,
        "reference": held.reference if held else None, "next": later.during.lower if later else None,
        "next_mode": later.mode if later else None,
    }  # fmt: skip


class _Days:
    def __init__(self, during: Range[date]) -> None:
        self.during = during

    def __contains__(self, day: date) -> bool:
        assert self.during.lower
        return self.during.lower <= day and (self.during.upper is None or day < self.during.upper)


def months(session: Session, year: int) -> dict[int, list[str]]:
    """By member, its mode on the first day of each month of a year."""
    found: dict[int, list[str]] = {}
    for month in range(1, 13):
        for row in session.execute(sa.text(IN_FORCE), {"day": date(year, month, 1)}):
            found.setdefault(row.id, []).append(row.mode)
    return found


def history(session: Session, member_id: int) -> list[BillingMode]:
    """What was told of a member's modes, newest first."""
    begins = sa.func.lower(BillingMode.during)
    return list(
        session.scalars(sa.select(BillingMode).where(BillingMode.member_id == member_id).order_by(begins.desc()))
    )


def change(session: Session, slug: str, month: str, mode: str, withheld: str, reference: str) -> BillingMode:
    """A member pays by `mode` from `month` on; what was told for later months goes. withheld: as typed, of deductions.

    Raises InvalidInput invalid_mode (faults by field), NotFound unknown_member, Conflict period_closed.
    """
    member = session.scalar(sa.select(Member).where(Member.slug == slug))
    if member is None:
        raise NotFound(
            "unknown_member", Text("Le membre « {slug} » n’existe pas.", slug=slug), "Vérifiez son nom court."
        )
    amount = _checked(member, month, mode, withheld.strip(), reference.strip())
    first = date.fromisoformat(f"{month}-01")
    session.execute(sa.select(Period.id).where(Period.state != "closed").with_for_update(read=True))
    closed = session.scalar(
        sa.select(sa.func.max(Period.label)).where(Period.state == "closed", ~Period.sample, Period.label >= month)
    )
    if closed:
        raise Conflict(
            "period_closed",
            Text("Ce mode changerait {month}, qui est clos.", month=closed),
            "Faites-le débuter un mois suivant.",
        )
    begins = sa.func.lower(BillingMode.during)
    of_member = BillingMode.member_id == member.id
    session.execute(sa.delete(BillingMode).where(of_member, begins >= first))
    session.execute(
        sa.update(BillingMode).where(of_member, BillingMode.during.contains(first))
        .values(during=sa.func.daterange(begins, first))
    )  # fmt: skip
    made = BillingMode(member_id=member.id, during=Range(first, None), mode=mode, withheld=amount,
                       reference=reference.strip(), made_by=session.info["actor"])  # fmt: skip
    session.add(made)
    session.flush()
    detail = {"mode": mode, "from": month, "withheld": str(amount) if amount is not None else None,
              "reference": made.reference}  # fmt: skip
    audit.record(session, "billing.change", f"member {member.slug}", member_id=member.id, detail=detail)
    return made


def _checked(member: Member, month: str, mode: str, withheld: str, reference: str) -> Decimal | None:
    faults = []
    if not re.fullmatch(r"20[0-9]{2}-(0[1-9]|1[0-2])", month):
        faults.append(_fault("month", Text("un mois comme 2027-01 est attendu")))
    if mode not in BILLING:
        faults.append(_fault("mode", Text("un mode parmi {modes} est attendu", modes=", ".join(BILLING))))
    elif mode == "calls" and member.kind == "company":
        faults.append(_fault("mode", Text("une entreprise paie chaque mois, avec sa TVA")))
    elif mode == "deduction" and member.kind != "commune":
        faults.append(_fault("mode", Text("seule une commune reçoit une attribution de compensation")))
    text = withheld.replace("\u202f", "").replace(" ", "").replace(",", ".")
    if mode == "deduction" and not re.fullmatch(r"[0-9]{1,11}(\.[0-9]{1,2})?", text):
        faults.append(_fault("withheld", Text("un nombre comme {example} est attendu", example=example("1840,00"))))
    elif mode != "deduction" and text:
        faults.append(_fault("withheld", Text("seule une retenue a un montant mensuel")))
    if not 0 < len(reference) <= 200 or not reference.isprintable():
        faults.append(_fault("reference", Text("un texte est attendu, de 200 caractères au plus")))
    if faults:
        raise InvalidInput("invalid_mode", "Ce mode est à corriger.", "Voyez les champs.", facts={"errors": faults})
    return Decimal(text) if mode == "deduction" else None


def _fault(field: str, sentence: str) -> dict[str, str]:
    return {"parameter": field, "code": "invalid_mode", "sentence": sentence}
