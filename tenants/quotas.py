"""Quota and budget. What a member holds is derived from its orders, never stored: nothing can drift.

Each order says the whole that its service is made of once it is carried out. A service holds what its last order that
was carried out says; while another waits or runs, whichever of the two is greater, count by count: an increase is held
from the beginning, a decrease is free only at its end, what failed or was refused holds nothing. An order that creates
holds while it waits, and once approved until its service is deleted or has failed.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator.days import day_of
from orchestrator.errors import Conflict, Number, Text
from tenants.tables import MAKING, Budget, Quota

LOCK = 0x4F524445  # first half of the advisory lock that orders of one member wait for
LABELS: dict[str, Text] = {
    "servers": Text("machines"),
    "vcpus": Text("processeurs"),
    "ram_mib": Text("Mio de mémoire"),
    "volumes": Text("volumes"),
    "disk_gib": Text("Gio de disque"),
    "public_addresses": Text("adresses publiques"),
}
COLUMNS = (*LABELS, "monthly")
# By order: `settled` when its service is as it says. Those without effect are left out: refused, failed, undone, over.
LIVING = f"""
SELECT o.*, CASE WHEN o.kind IN {MAKING} THEN o.state = 'approved'
    ELSE o.state = 'approved' AND coalesce(f.state = 'done', false) END AS settled
FROM orders o LEFT JOIN services s ON s.id = o.service_id LEFT JOIN flows f ON f.id = o.flow_id
WHERE o.member_id = :member AND o.state IN ('waiting', 'approved')
    AND (s.id IS NULL OR s.state NOT IN ('deleted', 'failed'))
    AND (o.kind IN {MAKING} OR o.state = 'waiting' OR f.state NOT IN ('failed', 'cancelled'))
"""  # noqa: S608  (no input in it)
# By service; a service that does not exist yet is its order. greatest() passes over what is null.
GREATER = (
    "greatest((array_agg({0} ORDER BY id DESC) FILTER (WHERE settled))[1], max({0}) FILTER (WHERE NOT settled)) {0}"
)
HOLDINGS = f"""
SELECT {", ".join(map(GREATER.format, COLUMNS))} FROM ({LIVING}) living GROUP BY coalesce(service_id, -id)
"""  # noqa: S608  (no input in it)
HELD = f"SELECT {', '.join(f'coalesce(sum({n}), 0) AS {n}' for n in COLUMNS)} FROM ({HOLDINGS}) held"  # noqa: S608


def lock(session: Session, member_id: int) -> None:
    """Until the transaction ends, no other order of this member is placed or decided."""
    session.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK, sa.cast(member_id, sa.Integer))))


def held(session: Session, member_id: int) -> tuple[dict[str, int], Decimal]:
    """What the member's orders hold now: (count by quota, euros a month)."""
    totals = session.execute(sa.text(HELD), {"member": member_id}).one()
    return {name: int(getattr(totals, name)) for name in LABELS}, Decimal(totals.monthly)


def limits(session: Session, member_id: int, at: datetime) -> tuple[dict[str, int], Decimal]:
    """What the member may hold at `at`: (count by quota, euros a year). What was never declared is zero."""
    quota = session.get(Quota, member_id)
    budget = session.get(Budget, (member_id, day_of(at).year))
    return {name: getattr(quota, name, 0) for name in LABELS}, budget.amount if budget else Decimal(0)


def check(session: Session, member_id: int, asked: Mapping[str, int], monthly: Decimal, at: datetime) -> None:
    """Refuse what does not fit beside what is held; what takes nothing more always fits.

    Needs `lock` first, or two orders could both fit.
    Raises Conflict `quota_exceeded` (facts: quota, asked, held, limit), or `budget_exceeded` (facts in euros a month)
    when the monthly commitments would pass a twelfth of the year's budget.
    """
    counts, committed = held(session, member_id)
    most, budget = limits(session, member_id, at)
    for name, label in LABELS.items():
        if asked.get(name, 0) and counts[name] + asked[name] > most[name]:
            raise Conflict(
                "quota_exceeded",
                Text(
                    "Le quota de {label} est dépassé : {asked} demandé, {held} déjà tenu sur {limit}.",
                    label=label, asked=Number(asked[name]), held=Number(counts[name]), limit=Number(most[name]),
                ),
                "Supprimez un service, ou demandez à la DSI de relever le quota.",
                facts={"quota": name, "asked": asked[name], "held": counts[name], "limit": most[name]},
            )  # fmt: skip
    # Compared over a year: a twelfth of a budget is rarely a whole number of cents.
    if monthly > 0 and (committed + monthly) * 12 > budget:
        raise _over_budget(monthly, committed, budget)


def _over_budget(monthly: Decimal, committed: Decimal, budget: Decimal) -> Conflict:
    limit = (budget / 12).quantize(Decimal("0.01"))
    return Conflict(
        "budget_exceeded",
        Text(
            "Le budget est dépassé : {asked} par mois demandés, {held} déjà engagés sur {limit} par mois"
            " ({budget} par an).",
            asked=monthly, held=committed, limit=limit, budget=budget,
        ),
        "Choisissez une offre plus petite, ou demandez à la DSI de relever le budget.",
        facts={"asked": str(monthly), "held": str(committed), "limit": str(limit), "budget": str(budget)},
    )  # fmt: skip
