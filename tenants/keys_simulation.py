"""What a key that is not voted yet would have given: the last twelve months shared again by it, beside what they were
shared by. To the cent, by the same `sharing.split`; nothing is written.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from itertools import groupby
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.orm import Session

from orchestrator.errors import Conflict, Text
from orchestrator.tables import Member
from tenants import periods, sharing
from tenants.keys_proposal import Proposal, fault, invalid_key
from tenants.tables import AllocationKey, CostPool, Period, Statement, StatementLine

MONTHS = 12
ZERO = Decimal("0.00")


@dataclass(frozen=True)
class Pool:
    """A cost of those months: what it was in all, in how many of them, and the key versions that shared it."""

    code: str
    label: dict[str, Any]
    keys: tuple[str, ...]
    months: int
    amount: Decimal


@dataclass(frozen=True)
class Base:
    """What there is to share again. months: oldest first; missing: those between them that nothing was shared in."""

    months: list[Period]
    missing: list[str]
    pools: list[Pool]


@dataclass(frozen=True)
class Payer:
    """A member: months in which it has a statement, what it paid in them, and what it would have."""

    slug: str
    name: str
    siren: str
    state: str
    months: tuple[str, ...]
    before: Decimal
    after: Decimal

    @property
    def difference(self) -> Decimal:
        return self.after - self.before

    @property
    def percent(self) -> Decimal | None:
        """The difference in hundredths of what it paid, to two decimals; None where it paid nothing."""
        if not self.before:
            return None
        return (self.difference * 100 / abs(self.before)).quantize(Decimal("0.01"), ROUND_HALF_UP)


@dataclass(frozen=True)
class Simulation:
    """base: the months and pools that were shared again; members: by name; before, after: the same sum twice."""

    proposal: Proposal
    base: Base
    members: list[Payer]

    @property
    def before(self) -> Decimal:
        return sum((one.before for one in self.members), ZERO)

    @property
    def after(self) -> Decimal:
        return sum((one.after for one in self.members), ZERO)


def base(session: Session, codes: Collection[str] = ()) -> Base:
    """The twelve months up to the last one in which costs were shared, with their costs: those of `codes`, or all."""
    window = _window(session)
    costs = [(pool, key) for pool, key in _costs(session, window) if not codes or pool.code in codes]
    shared = {pool.period_id for pool, _ in costs}
    months = [period for period in window if period.id in shared]
    if not months:
        return Base([], [], [])
    labels = periods.labels_until(months[-1].label, MONTHS)[::-1]
    missing = set(labels) - {period.label for period in months}
    return Base(months, [label for label in labels if label in missing and label > months[0].label], _pools(costs))


def _window(session: Session) -> list[Period]:
    # Samples only where there is nothing real.
    query = sa.select(Period).where(sa.exists().where(CostPool.period_id == Period.id)).order_by(Period.label)
    found = list(session.scalars(query))
    found = [period for period in found if not period.sample] or found
    oldest = periods.labels_until(found[-1].label, MONTHS)[-1] if found else ""
    return [period for period in found if period.label >= oldest]


def _costs(session: Session, months: list[Period]) -> list[tuple[CostPool, AllocationKey]]:
    query = (
        sa.select(CostPool, AllocationKey)
        .join(AllocationKey, AllocationKey.id == CostPool.key_id)
        .join(Period, Period.id == CostPool.period_id)
        .where(CostPool.period_id.in_([period.id for period in months]))
        .order_by(CostPool.code.collate("C"), Period.label)
    )
    return [(pool, key) for pool, key in session.execute(query)]


def _pools(costs: list[tuple[CostPool, AllocationKey]]) -> list[Pool]:
    found = []
    for code, rows in groupby(costs, key=lambda cost: cost[0].code):
        pools, keys = zip(*rows, strict=True)
        versions = dict.fromkeys(f"{key.code} v{key.version}" for key in keys)
        whole = sum((pool.amount for pool in pools), ZERO)
        found.append(Pool(code, pools[-1].label, tuple(versions), len(pools), whole))
    return found


def simulate(session: Session, proposal: Proposal) -> Simulation:
    """Share the costs of those months again.

    Raises Conflict nothing_to_simulate, nothing_to_share_by (with the month), InvalidInput invalid_key.
    """
    known = {pool.code for pool in base(session).pools}
    if not known:
        raise Conflict(
            "nothing_to_simulate", "Aucun coût commun n’a encore été réparti.", "Établissez d’abord un mois."
        )
    if unknown := set(proposal.pools) - known:
        raise invalid_key([fault("pools", Text("aucun de ces mois n’a de coût « {code} »", code=min(unknown)))])
    chosen = base(session, proposal.pools)
    codes = [pool.code for pool in chosen.pools]
    after: dict[str, Decimal] = defaultdict(lambda: ZERO)
    for period in chosen.months:
        for siret, amount in _shared_again(session, period, proposal, codes):
            after[siret] += amount
    return Simulation(proposal, chosen, _payers(session, chosen.months, codes, after))


def _shared_again(
    session: Session, period: Period, proposal: Proposal, codes: list[str]
) -> Iterator[tuple[str, Decimal]]:
    criteria = {criterion: weight for criterion, weight in proposal.weights.items() if weight}
    try:
        weights = sharing.weigh(criteria, sharing.measure(session, period, criteria), period.label)
    except Conflict as error:
        raise _nothing_to_share_by(period.label, str(error.facts["criterion"])) from error
    query = sa.select(CostPool.amount).where(CostPool.period_id == period.id, CostPool.code.in_(codes))
    for amount in session.scalars(query):
        for siret, share in sharing.split(amount, weights, period.label).items():
            yield siret, share.amount


def _nothing_to_share_by(month: str, criterion: str) -> Conflict:
    told = Text("ce critère est nul pour tous en {month} : rien ne s’y répartirait", month=month)
    return Conflict(
        "nothing_to_share_by",
        Text("Le critère « {criterion} » est nul pour tous en {month}.", criterion=criterion, month=month),
        "Donnez son poids à un autre critère.",
        facts={"month": month, "criterion": criterion, "errors": [fault(f"weights.{criterion}", told)]},
    )


def _payers(session: Session, months: list[Period], codes: list[str], after: Mapping[str, Decimal]) -> list[Payer]:
    ids = [period.id for period in months]
    paid = (
        sa.select(StatementLine.member_id, sa.func.sum(StatementLine.amount).label("amount"))
        .join(CostPool, CostPool.id == StatementLine.pool_id)
        .where(StatementLine.period_id.in_(ids), CostPool.code.in_(codes))
        .group_by(StatementLine.member_id)
        .subquery()
    )
    stated = sa.func.array_agg(aggregate_order_by(Period.label, Period.label))
    query = (
        sa.select(Member, stated, sa.func.coalesce(paid.c.amount, ZERO))
        .join(Statement, Statement.member_id == Member.id)
        .join(Period, Period.id == Statement.period_id)
        .outerjoin(paid, paid.c.member_id == Member.id)
        .where(Period.id.in_(ids))
        .group_by(Member.id, paid.c.amount)
        .order_by(Member.name, Member.siret.collate("C"))
    )
    return [
        Payer(member.slug, member.name, member.siren, member.state, tuple(labels), before, after[member.siret])
        for member, labels, before in session.execute(query)
    ]
