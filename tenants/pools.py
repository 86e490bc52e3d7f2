"""Cost pools of a period and the voted keys that share them, as finance declares them."""

from __future__ import annotations

from collections import defaultdict
from datetime import date
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.orm import Session

from orchestrator import audit
from orchestrator.errors import Conflict, Text
from tenants import cost_entries
from tenants.finance import Key, Sharing
from tenants.tables import AllocationKey, CostPool, Period
from tenants.tables_finance import CostPart


def apply_keys(session: Session, declared: Sharing) -> list[Key]:
    """Add the declared key versions that are new, ending those before; raises Conflict key_rewritten."""
    session.execute(sa.text("LOCK TABLE allocation_keys IN SHARE ROW EXCLUSIVE MODE"))
    kept = {(key.code, key.version): key for key in session.scalars(sa.select(AllocationKey))}
    new: list[Key] = []
    for key in sorted(declared.keys, key=lambda key: (key.start, key.code)):
        found = kept.get((key.code, key.version))
        if found is None:
            _refuse_in_closed_periods(session, key)
            _add_key(session, key)
            new.append(key)
        elif (found.weights, found.during.lower) != (_texts(key), key.start):
            raise Conflict(
                "key_rewritten",
                Text(
                    "La clé « {code} » version {version} est déjà adoptée avec une autre règle.",
                    code=key.code,
                    version=key.version,
                ),
                "Remettez-la comme elle était et déclarez une version nouvelle.",
            )
    return new


def listed_keys(session: Session) -> list[dict[str, Any]]:
    """Every version of every key: code, version, weights, deliberation, from, until (None: in force until another)."""
    rows = session.scalars(sa.select(AllocationKey).order_by(AllocationKey.code, AllocationKey.version))
    return [
        {
            "code": row.code,
            "version": row.version,
            "weights": row.weights,
            "deliberation": row.deliberation,
            "from": row.during.lower,
            "until": row.during.upper,
        }
        for row in rows
    ]


def _texts(key: Key) -> dict[str, Any]:
    return {criterion: str(weight) for criterion, weight in sorted(key.weights.items())}


def _add_key(session: Session, key: Key) -> None:
    # The version before ends, and the new one ends where a later one begins (declared out of order).
    same = AllocationKey.code == key.code
    session.execute(
        sa.update(AllocationKey)
        .where(same, AllocationKey.during.contains(key.start))
        .values(during=sa.func.daterange(sa.func.lower(AllocationKey.during), key.start))
    )
    later = session.scalar(
        sa.select(sa.func.min(sa.func.lower(AllocationKey.during)))
        .where(same, sa.func.lower(AllocationKey.during) > key.start)
    )  # fmt: skip
    session.execute(
        sa.insert(AllocationKey).values(
            code=key.code, version=key.version, weights=_texts(key), deliberation=key.deliberation,
            during=Range(key.start, later),
        )
    )  # fmt: skip
    audit.record(session, "key.add", f"key {key.code} v{key.version}", detail={"deliberation": key.deliberation})


def _refuse_in_closed_periods(session: Session, key: Key) -> None:
    label = session.scalar(
        sa.select(Period.label)
        .join(CostPool, CostPool.period_id == Period.id)
        .join(AllocationKey, AllocationKey.id == CostPool.key_id)
        .where(Period.state == "closed", AllocationKey.code == key.code, Period.label >= f"{key.start:%Y-%m}")
        .limit(1)
    )
    if label:
        raise Conflict(
            "period_closed",
            Text("La clé « {code} » changerait {month}, qui est clos.", code=key.code, month=label),
            "Faites-la débuter après.",
        )


def load(session: Session, period: Period, declared: Sharing) -> None:
    """Write the pools of a period that is not closed anew, what is declared and what entries add; raises Conflict
    missing_key or unknown_pool.
    """
    session.execute(sa.delete(CostPart).where(CostPart.period_id == period.id))
    session.execute(sa.delete(CostPool).where(CostPool.period_id == period.id))
    parts = cost_entries.parts(session, period.label, {pool.code for pool in declared.pools})
    added: dict[str | None, Decimal] = defaultdict(Decimal)
    for entry, part in parts:
        added[entry.pool] += part
    ids: dict[str | None, int] = {}
    for pool in sorted(declared.pools, key=lambda pool: pool.code):
        amount = pool.amount(period.label)
        if amount is None and pool.code not in added:
            continue
        row = CostPool(
            period_id=period.id, code=pool.code, label=pool.label, section=pool.section, declared=amount or Decimal(0),
            amount=(amount or Decimal(0)) + added[pool.code], key_id=_key_of(session, pool.key, period.label),
        )  # fmt: skip
        session.add(row)
        session.flush()
        ids[pool.code] = row.id
    rows = [{"period_id": period.id, "entry_id": entry.id, "pool_id": ids.get(entry.pool), "amount": part}
            for entry, part in parts]  # fmt: skip
    if rows:
        session.execute(sa.insert(CostPart), rows)


def _key_of(session: Session, code: str, label: str) -> int:
    # The version in force on the month's first day shares the whole month.
    first = date.fromisoformat(f"{label}-01")
    found = session.scalar(
        sa.select(AllocationKey.id).where(AllocationKey.code == code, AllocationKey.during.contains(first))
    )
    if found is None:
        raise Conflict(
            "missing_key",
            Text("La clé « {code} » n’a pas de version en vigueur le {day}.", code=code, day=first),
            "Déclarez-la dans pools.yaml puis lancez « clocher prices apply ».",
        )
    return found
