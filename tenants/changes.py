"""Changing what a service is made of: looked at first, then ordered, with the same guarantees as an order that creates.

One change at a time: a service with one that waits for a decision, or that runs, takes no other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator import audit
from orchestrator.errors import Conflict, Text
from orchestrator.tables import Service
from tenants import answering, approvals, deadlines, orders, policy, prices, quotas, reading, starting, wholes
from tenants.prices import Estimate
from tenants.tables import MAKING, Order
from tenants.wholes import Wanted, WantedAddress, WantedAnswers, WantedOffer, Whole


@dataclass(frozen=True)
class Limit:
    """A quota or the budget (`monthly`, euros): held now, held once ordered, and the most that may be held."""

    name: str
    label: str
    held: Decimal
    after: Decimal
    limit: Decimal


@dataclass(frozen=True)
class Preview:
    """What a change would be. now, after: a month at the prices of the day; difference: after - now, in euros.

    effects: what it does to the service, in sentences; harmful: something is lost or smaller; steps: who must agree
    first (approver, finance, dsi); refused: why it can't be ordered now, else None.
    """

    kind: str
    now: Estimate
    after: Estimate
    difference: Decimal
    limits: tuple[Limit, ...]
    effects: tuple[Text, ...]
    harmful: bool
    steps: tuple[str, ...]
    refused: Conflict | None


@dataclass(frozen=True)
class _Change:
    """What is wanted of a service, worked out: from which order's whole to which."""

    wanted: Wanted
    base: Order
    before: Whole
    after: Whole
    now: Estimate
    then: Estimate

    @property
    def difference(self) -> Decimal:
        return self.then.monthly - self.now.monthly

    @property
    def asked(self) -> dict[str, int]:
        """By quota, what is held more."""
        return {name: max(0, size - self.before.sizes[name]) for name, size in self.after.sizes.items()}

    @property
    def committed(self) -> Decimal:
        """Euros a month that are held more: nothing for what gets cheaper, whatever became of the prices."""
        return max(Decimal(0), self.then.monthly - self.base.monthly) if self.difference > 0 else Decimal(0)

    @property
    def harmful(self) -> bool:
        return wholes.takes_away(self.before, self.after)

    @property
    def modest(self) -> bool:
        """Whether it takes nothing more; then nobody is asked, but for answers: those may be what was agreed to."""
        more = self.difference > 0 or any(self.asked.values())
        return not more and not isinstance(self.wanted, WantedAnswers)


def _work_out(session: Session, service: Service, wanted: Wanted, at: datetime) -> _Change:
    base = wholes.settled(session, service)
    before = replace(wholes.of(session, base), answers=service.specification.get("answers", {}))
    after = wholes.change(session, service, before, wanted)
    if isinstance(wanted, WantedAnswers):
        deadlines.check(answering.rules(session, service), {name: after.answers[name] for name in wanted.answers}, at)
    book = prices.in_force(session, at, service.member_id)
    now, then = (replace(book.service(whole.components), once=Decimal(0)) for whole in (before, after))
    return _Change(wanted, base, before, after, now, then)


def preview(session: Session, service_id: int, wanted: Mapping[str, Any], at: datetime) -> Preview:
    """What the change would cost, take and do; nothing is held. `wanted` as in `wholes.read`.

    Raises not_found, InvalidInput invalid_change, unknown_offer, nothing_changes, volume_shrinks or too_many_volumes,
    Conflict missing_price or not_ordered; what else stands in the way is `refused`.
    """
    service = reading.find(session, Service, service_id)
    change = _work_out(session, service, wholes.read(wanted), at)
    limits, refused = _limits(session, service.member_id, change, at), None
    try:
        _check_possible(session, service, change)
        quotas.check(session, service.member_id, change.asked, change.committed, at)
    except Conflict as conflict:
        refused = conflict
    return Preview(
        kind=wholes.KINDS[type(change.wanted)],
        now=change.now,
        after=change.then,
        difference=change.difference,
        limits=limits,
        effects=tuple(_effects(session, service, change)),
        harmful=change.harmful,
        steps=() if change.modest else policy.asks(session, change.after.offer, "change", change.difference),
        refused=refused,
    )


def _effects(session: Session, service: Service, change: _Change) -> list[Text]:
    if isinstance(change.wanted, WantedAnswers):
        return answering.effects(change.before.answers, change.after.answers, answering.rules(session, service))
    return wholes.effects(change.before, change.after, stopped=service.state == "stopped")


def _limits(session: Session, member_id: int, change: _Change, at: datetime) -> tuple[Limit, ...]:
    """The quotas that the change touches, and the budget."""
    counts, committed = quotas.held(session, member_id)
    most, budget = quotas.limits(session, member_id, at)
    before, after = change.before.sizes, change.after.sizes
    touched = [
        Limit(name, label, *map(Decimal, (counts[name], counts[name] + after[name] - before[name], most[name])))
        for name, label in quotas.LABELS.items()
        if after[name] != before[name]
    ]
    then = committed + change.then.monthly - change.base.monthly
    month = (budget / 12).quantize(Decimal("0.01"))
    return (*touched, Limit("monthly", Text("budget mensuel"), committed, then, month))


def _check_possible(session: Session, service: Service, change: _Change) -> None:
    starting.check_free(session, service, harmful=change.harmful)
    if isinstance(change.wanted, WantedAnswers) and service.state != "active":
        raise starting.not_allowed_now(service)
    waiting = session.scalar(
        sa.select(Order.id).where(Order.service_id == service.id, Order.state == "waiting", Order.kind.not_in(MAKING))
    )
    if waiting is not None:
        raise Conflict(
            "change_waiting",
            Text("La commande {order} sur ce service attend déjà une décision.", order=waiting),
            "Attendez cette décision, ou annulez la commande.",
            facts={"order": waiting},
        )


def place(session: Session, service_id: int, wanted: Mapping[str, Any], request_key: str, at: datetime) -> Order:
    """Order a change of a service; the same `request_key` again gives the same order.

    Quota and budget are held for what comes in addition, and what the policy lets through is queued: all or nothing.
    Raises what `preview` raises or tells, what `orders.place` raises of keys and members, and request_key_reused.
    """
    orders.check_key(request_key)
    member_id = reading.find(session, Service, service_id).member_id
    quotas.lock(session, member_id)
    chosen = wholes.read(wanted)
    earlier = orders.placed_before(session, member_id, request_key)
    if earlier is not None:
        return _same(earlier, service_id, chosen)
    orders.check_member(session, member_id)
    service = reading.find(session, Service, service_id, lock=True)
    change = _work_out(session, service, chosen, at)
    _check_possible(session, service, change)
    quotas.check(session, member_id, change.asked, change.committed, at)
    order = _draft(session, service, change, request_key, at)
    session.add(order)
    session.flush()
    if change.modest or approvals.open(session, order, change.after.offer, at):
        starting.start(session, order)
        order.decided_by, order.decided_at = "policy", at
        session.flush()
    detail = {
        "kind": order.kind, "name": service.name, "service": service.id, "wanted": chosen.model_dump(),
        "monthly": str(order.monthly), "difference": str(order.difference), "state": order.state,
    }  # fmt: skip
    audit.record(session, "order.place", f"order {order.id}", member_id=member_id, detail=detail)
    return order


def _same(earlier: Order, service_id: int, wanted: Wanted) -> Order:
    if (earlier.service_id, earlier.parameters.get("wanted")) != (service_id, wanted.model_dump()):
        raise orders.key_reused(earlier)
    return earlier


def _draft(session: Session, service: Service, change: _Change, request_key: str, at: datetime) -> Order:
    return Order(
        member_id=service.member_id,
        kind=wholes.KINDS[type(change.wanted)],
        request_key=request_key,
        offer_id=change.after.offer.id,
        service_id=service.id,
        parameters=_parameters(service, change),
        state="waiting",
        estimate=change.then.document(),
        monthly=change.then.monthly,
        difference=change.difference,
        placed_by=session.info["actor"],
        placed_at=at,
        **change.after.sizes,
    )


def _parameters(service: Service, change: _Change) -> dict[str, Any]:
    """What was wanted and from what; `volumes` and `public_address` are of the whole."""
    wanted = change.wanted
    told: dict[str, Any] = {
        "name": service.name,
        "wanted": wanted.model_dump(),
        "volumes": dict(change.after.volumes),
        "public_address": change.after.public_address,
        "harmful": change.harmful,
    }
    if isinstance(wanted, WantedOffer):
        return told | {"offer": change.after.offer.slug, "before": change.before.offer.slug}
    if isinstance(wanted, WantedAddress):
        return told
    if isinstance(wanted, WantedAnswers):
        return told | {"answers": dict(change.after.answers), "before": dict(change.before.answers)}
    return told | {
        "volume": wanted.volume,
        "disk_gib": wanted.disk_gib,
        "before_gib": change.before.volumes.get(wanted.volume, 0),
    }
