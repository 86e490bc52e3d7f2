"""Quota and budget. What a member holds is derived from its orders, never stored: nothing can drift.

An order holds while it waits, and once approved until its service is deleted or has failed.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from babel.numbers import format_currency
from sqlalchemy.orm import Session

from orchestrator.errors import Conflict
from orchestrator.tables import Service
from tenants.tables import Budget, Order, Quota

LOCK = 0x4F524445  # first half of the advisory lock that orders of one member wait for
BUDGET_ZONE = ZoneInfo("Europe/Paris")  # a budget year is a civil year where the territory is
LABELS = {
    "servers": "machines",
    "vcpus": "processeurs",
    "ram_mib": "Mio de mémoire",
    "volumes": "volumes",
    "disk_gib": "Gio de disque",
    "public_addresses": "adresses publiques",
}


def lock(session: Session, member_id: int) -> None:
    """Until the transaction ends, no other order of this member is placed or decided."""
    session.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK, sa.cast(member_id, sa.Integer))))


def held(session: Session, member_id: int) -> tuple[dict[str, int], Decimal]:
    """What the member's orders hold now: (count by quota, euros a month)."""
    living = sa.select(Service.id).where(Service.state.not_in(("deleted", "failed")))
    totals = session.execute(
        sa.select(
            *(sa.func.coalesce(sa.func.sum(getattr(Order, name)), 0).label(name) for name in LABELS),
            sa.func.coalesce(sa.func.sum(Order.monthly), 0).label("monthly"),
        ).where(
            Order.member_id == member_id,
            Order.kind == "create",
            (Order.state == "waiting") | ((Order.state == "approved") & Order.service_id.in_(living)),
        )
    ).one()
    return {name: int(getattr(totals, name)) for name in LABELS}, Decimal(totals.monthly)


def limits(session: Session, member_id: int, at: datetime) -> tuple[dict[str, int], Decimal]:
    """What the member may hold at `at`: (count by quota, euros a year). What was never declared is zero."""
    quota = session.get(Quota, member_id)
    budget = session.get(Budget, (member_id, at.astimezone(BUDGET_ZONE).year))
    return {name: getattr(quota, name, 0) for name in LABELS}, budget.amount if budget else Decimal(0)


def check(session: Session, member_id: int, asked: Mapping[str, int], monthly: Decimal, at: datetime) -> None:
    """Refuse what does not fit beside what is held. Needs `lock` first, or two orders could both fit.

    Raises Conflict `quota_exceeded` (facts: quota, asked, held, limit), or `budget_exceeded` (facts in euros a month)
    when the monthly commitments would pass a twelfth of the year's budget.
    """
    counts, committed = held(session, member_id)
    most, budget = limits(session, member_id, at)
    for name, label in LABELS.items():
        if asked.get(name, 0) and counts[name] + asked[name] > most[name]:
            raise Conflict(
                "quota_exceeded",
                f"Le quota de {label} est dépassé : {asked[name]} demandé, {counts[name]} déjà tenu sur {most[name]}.",
                "Supprimez un service, ou demandez à la DSI de relever le quota.",
                facts={"quota": name, "asked": asked[name], "held": counts[name], "limit": most[name]},
            )
    # Compared over a year: a twelfth of a budget is rarely a whole number of cents.
    if (committed + monthly) * 12 > budget:
        raise _over_budget(monthly, committed, budget)


def _over_budget(monthly: Decimal, committed: Decimal, budget: Decimal) -> Conflict:
    limit = (budget / 12).quantize(Decimal("0.01"))
    return Conflict(
        "budget_exceeded",
        f"Le budget est dépassé : {_euros(monthly)} par mois demandés, {_euros(committed)} déjà engagés"
        f" sur {_euros(limit)} par mois ({_euros(budget)} par an).",
        "Choisissez une offre plus petite, ou demandez à la DSI de relever le budget.",
        facts={"asked": str(monthly), "held": str(committed), "limit": str(limit), "budget": str(budget)},
    )


def _euros(amount: Decimal) -> str:
    return str(format_currency(amount, "EUR", locale="fr_FR"))
