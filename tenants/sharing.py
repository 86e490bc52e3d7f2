"""Sharing an amount to the cent: largest remainder in whole cents, with exact fractions.

What is left after everybody's floor goes, a cent each, to the largest fractional parts; ties go by SIREN.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Context, Decimal
from fractions import Fraction
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator.errors import Conflict, Text
from orchestrator.tables import Member
from tenants.finance import CRITERIA
from tenants.tables import AllocationKey, CostPool, Meter, Period, Statement, StatementLine, UsageInterval

CENTS = 100
SCALE = 10**20  # of the exact share that a line keeps: a fraction has no end, a column has
WIDE = Context(prec=60)  # the usual one has 28 digits, of which hundreds of millions would take nine
# Criterion → weight by SIRET, which begins with the SIREN and is unique.
Measures = Mapping[str, Mapping[str, Fraction]]


@dataclass(frozen=True)
class Share:
    """`exact` euros before rounding, `amount` in euros and cents."""

    exact: Fraction
    amount: Decimal


def split(total: Decimal, weights: Mapping[str, Fraction], subject: str = "") -> dict[str, Share]:
    """Share `total` euros (two decimals, may be negative) by `weights` (none negative), by SIRET.

    The amounts sum to `total` exactly; a zero weight gets zero. Raises Conflict nothing_to_share_by.
    """
    whole = sum(weights.values(), Fraction(0))
    if whole == 0:
        raise nothing_to_share_by(subject)
    cents = int(total * CENTS)
    assert cents == total * CENTS, "an amount has two decimals"
    sign = -1 if cents < 0 else 1
    exact = {who: abs(cents) * Fraction(weight) / whole for who, weight in weights.items()}
    floors = {who: int(share) for who, share in exact.items()}
    left = abs(cents) - sum(floors.values())
    # Fewer cents are left than there are fractional parts above zero: a zero weight never gets one.
    for who in sorted(exact, key=lambda who: (floors[who] - exact[who], who))[:left]:
        floors[who] += 1
    return {who: Share(sign * exact[who] / CENTS, Decimal(sign * floors[who]).scaleb(-2)) for who in sorted(weights)}


def weigh(criteria: Mapping[str, Decimal], measures: Measures, subject: str = "") -> dict[str, Fraction]:
    """Everybody's weight under a key: each criterion brought to a sum of 1, then weighted. Sums to 1 exactly.

    Raises Conflict nothing_to_share_by when a criterion that counts measures nothing.
    """
    weights = dict.fromkeys(sorted({who for measure in measures.values() for who in measure}), Fraction(0))
    for criterion, part in criteria.items():
        if part == 0:
            continue
        whole = sum(measures[criterion].values(), Fraction(0))
        if whole == 0:
            raise nothing_to_share_by(subject, criterion)
        for who, measure in measures[criterion].items():
            weights[who] += Fraction(part) * measure / whole
    return weights


def nothing_to_share_by(subject: str, criterion: str = "") -> Conflict:
    """The error of a sum of weights that is zero."""
    return Conflict(
        "nothing_to_share_by",
        Text(
            "Rien ne permet de répartir « {subject} » : le critère « {criterion} » est nul pour tous.",
            subject=subject,
            criterion=criterion or "poids",
        ),
        "Choisissez une autre clé dans pools.yaml pour cette période.",
        facts={"pool": subject, "criterion": criterion},
    )


def share_pools(session: Session, period: Period) -> None:
    """Write the shares of the period's pools as the statements' last lines, pool by pool."""
    pools = session.execute(
        sa.select(CostPool, AllocationKey)
        .join(AllocationKey, AllocationKey.id == CostPool.key_id)
        .where(CostPool.period_id == period.id)
        .order_by(CostPool.code.collate("C"))
    ).all()
    if not pools:
        return
    statements = _statements(session, period)
    measures = measure(session, period)
    weights: dict[int, dict[str, Fraction]] = {}  # by key: several pools have the same
    lines: list[dict[str, object]] = []
    for order, (pool, key) in enumerate(pools):
        criteria = {criterion: Decimal(weight) for criterion, weight in key.weights.items()}
        if key.id not in weights:
            weights[key.id] = weigh(criteria, measures, pool.code)
        shares = split(pool.amount, weights[key.id], pool.code)
        lines += [_line(period, pool, statements[siret], share, order) for siret, share in shares.items()]
    session.execute(sa.insert(StatementLine), lines)


def measure(session: Session, period: Period, criteria: Collection[str] = CRITERIA) -> Measures:
    """What the period's statements weigh by each criterion, by SIRET.

    population: inhabitants; usage: euros of usage lines; vcpu: vCPU-seconds served; equal: one each. Whoever left, and
    is only corrected something of a closed month, weighs nothing.
    """
    chosen = Statement.period_id == period.id
    amounts = (
        sa.select(StatementLine.member_id, sa.func.sum(StatementLine.amount).label("held"))
        .where(StatementLine.period_id == period.id, StatementLine.kind == "usage")
        .group_by(StatementLine.member_id)
        .subquery()
    )
    lasted = sa.extract("epoch", sa.func.upper(UsageInterval.during) - sa.func.lower(UsageInterval.during))
    served = (
        sa.select(UsageInterval.member_id, sa.func.sum(UsageInterval.quantity * lasted).label("held"))
        .join(Meter, Meter.id == UsageInterval.meter_id)
        .where(UsageInterval.period_id == period.id, Meter.code == "vcpu")
        .group_by(UsageInterval.member_id)
        .subquery()
    )
    queries: dict[str, sa.Executable] = {
        "population": sa.select(Member.siret, Statement.population).join(Statement).where(chosen),
        "usage": _held(amounts).where(chosen),
        "vcpu": _held(served).where(chosen),
        "equal": sa.select(Member.siret, Statement.weighs.cast(sa.Integer)).join(Statement).where(chosen),
    }
    return {
        criterion: {siret: Fraction(held or 0) for siret, held in session.execute(queries[criterion])}
        for criterion in criteria
    }


def _held(measured: sa.Subquery) -> sa.Select[Any]:
    query = sa.select(Member.siret, measured.c.held).join(Statement, Statement.member_id == Member.id)
    return query.outerjoin(measured, measured.c.member_id == Member.id)


def explain(line: Mapping[str, Any]) -> dict[str, Decimal | None]:
    """What made a statement's line of a shared cost: its weight (None where there was nothing to share), the exact
    share, and what rounding to the cent added to it. For the reader, to millionths; the line has more.
    """
    whole, exact = Decimal(line["pool_amount"]), Decimal(line["share"])
    found = {"weight": exact / whole if whole else None, "exact": exact, "rounding": Decimal(line["amount"]) - exact}
    return {name: value and value.quantize(Decimal("0.000001")) for name, value in found.items()}


def _statements(session: Session, period: Period) -> dict[str, tuple[int, int, int]]:
    """By SIRET: statement, member, and the last position that is taken."""
    last = sa.func.coalesce(sa.func.max(StatementLine.position), 0)
    query = (
        sa.select(Member.siret, Statement.id, Statement.member_id, last)
        .join(Member, Member.id == Statement.member_id)
        .outerjoin(StatementLine, StatementLine.statement_id == Statement.id)
        .where(Statement.period_id == period.id)
        .group_by(Member.siret, Statement.id)
    )
    return {siret: (statement, member, position) for siret, statement, member, position in session.execute(query)}


def _line(
    period: Period, pool: CostPool, statement: tuple[int, int, int], share: Share, order: int
) -> dict[str, object]:
    statement_id, member_id, last = statement
    return {
        "statement_id": statement_id,
        "period_id": period.id,
        "member_id": member_id,
        "position": last + 1 + order,
        "kind": "share",
        "pool_id": pool.id,
        "share": Decimal(f"{round(share.exact * SCALE)}e-20").normalize(WIDE),
        "amount": share.amount,
    }
