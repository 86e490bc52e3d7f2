"""What an order of the catalogue would be, looked at before it is placed; nothing is held."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy.orm import Session

from orchestrator.errors import Conflict, Text
from tenants import catalogue, orders, parameters, policy, prices, quotas, stacks_sources
from tenants.changes import Limit
from tenants.prices import Estimate, InForce
from tenants.tables import Offer
from tenants.wholes import MAIN, Whole


@dataclass(frozen=True)
class Estimated:
    """An order that could be placed. parameters: complete; limits: every quota it takes of, and the budget (`monthly`);
    steps: who must agree first (approver, finance, dsi); refused: why it can't be ordered now, else None.
    """

    offer: Offer
    parameters: dict[str, Any]
    estimate: Estimate
    limits: tuple[Limit, ...]
    steps: tuple[str, ...]
    refused: Conflict | None


def preview(session: Session, member_id: int, offer_slug: str, given: Mapping[str, Any], at: datetime) -> Estimated:
    """What placing the order would give. Raises what `catalogue.find` and `validate` raise, and missing_price."""
    offer = catalogue.find(session, offer_slug)
    chosen = catalogue.validate(offer, given, at)
    return _estimated(session, member_id, offer, chosen, at)


def rough(session: Session, member_id: int, offer_slug: str, given: Mapping[str, Any], at: datetime) -> Estimated:
    """The same while it is being typed: what can't be read yet counts as its default, and no name is asked for."""
    offer = catalogue.find(session, offer_slug)
    chosen = parameters.legible(offer.parameters["rules"], given)
    return _estimated(session, member_id, offer, chosen, at)


def _estimated(session: Session, member_id: int, offer: Offer, chosen: dict[str, Any], at: datetime) -> Estimated:
    disk_gib = int(chosen.get("disk_gib", 0))
    whole = Whole(offer, {MAIN: disk_gib} if disk_gib else {}, bool(chosen.get("public_address")))
    return weigh(session, member_id, whole, chosen, at)


def weigh(session: Session, member_id: int, whole: Whole, chosen: dict[str, Any], at: datetime) -> Estimated:
    """What a new service of a member's would cost and take. Raises missing_price."""
    offer = whole.offer
    book, refused = prices.in_force(session, at, member_id), None
    estimate = book.service(whole.components, application=offer.kind == "stack")
    try:
        orders.check_member(session, member_id)
        stacks_sources.check(offer)
        if "name" in chosen:
            orders.check_name(session, member_id, chosen["name"])
        quotas.check(session, member_id, whole.sizes, estimate.monthly, at)
    except Conflict as conflict:
        refused = conflict
    limits = _limits(session, member_id, whole.sizes, estimate.monthly, at)
    steps = policy.asks(session, offer, "create", estimate.monthly)
    return Estimated(offer, chosen, estimate, limits, steps, refused)


def _limits(
    session: Session, member_id: int, asked: Mapping[str, int], monthly: Decimal, at: datetime
) -> tuple[Limit, ...]:
    counts, committed = quotas.held(session, member_id)
    most, budget = quotas.limits(session, member_id, at)
    taken = [
        Limit(name, label, Decimal(counts[name]), Decimal(counts[name] + asked[name]), Decimal(most[name]))
        for name, label in quotas.LABELS.items()
        if asked[name]
    ]
    month = (budget / 12).quantize(Decimal("0.01"))
    return (*taken, Limit("monthly", Text("budget mensuel"), committed, committed + monthly, month))


def of_whole(book: InForce, whole: Whole | None) -> Estimate | None:
    """What a service made of `whole` costs a month while it serves; None when that is not known or has no price."""
    if whole is None:
        return None
    try:
        return book.service(whole.components)
    except Conflict:  # missing_price: the rest of the page is still worth reading
        return None
