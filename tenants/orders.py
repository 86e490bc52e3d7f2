"""Orders: place, approve, reject, cancel. Each is one transaction, under the member's lock, with its audit entry."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator import audit
from orchestrator.errors import Conflict, Forbidden, InvalidInput, Text
from orchestrator.tables import Member, Service
from tenants import approvals, catalogue, prices, quotas, stacks_sources, starting
from tenants.approvers import Caller, Desk
from tenants.tables import MAKING, Offer, Order


def place(
    session: Session, member_id: int, offer_slug: str, parameters: Mapping[str, Any], request_key: str, at: datetime
) -> Order:
    """Order `offer_slug` for a member; the same `request_key` again gives the same order.

    The price is frozen, quota and budget are held, and what the policy lets through is queued: all or nothing.
    Raises InvalidInput (unknown_offer, for_territory, unknown_parameter, invalid_parameter, invalid_ssh_key, day_over,
    invalid_request_key) or Conflict (request_key_reused, member_closed, source_missing, name_taken, missing_price,
    quota_exceeded, budget_exceeded).
    """
    check_key(request_key)
    quotas.lock(session, member_id)
    earlier = placed_before(session, member_id, request_key)
    if earlier is not None:
        return _same(session, earlier, offer_slug, parameters)
    check_member(session, member_id)
    offer = catalogue.find(session, offer_slug)
    _check_house(session, member_id, offer)
    stacks_sources.check(offer)
    chosen = catalogue.validate(offer, parameters, at)
    check_name(session, member_id, chosen["name"])
    order = _draft(session, member_id, offer, chosen, at)
    quotas.check(session, member_id, _sizes(order), order.monthly, at)
    order.request_key = request_key
    session.add(order)
    session.flush()
    if approvals.open(session, order, offer, at):
        starting.start(session, order)
        order.decided_by, order.decided_at = "policy", at
        session.flush()
    detail = {"offer": offer.slug, "name": chosen["name"], "monthly": str(order.monthly), "state": order.state}
    audit.record(session, "order.place", f"order {order.id}", member_id=member_id, detail=detail)
    return order


def _check_house(session: Session, member_id: int, offer: Offer) -> None:
    """What serves the services of all members is the agglomeration's own, so that no member gets into it."""
    if not (offer.stack or {}).get("provides"):
        return
    if session.scalar(sa.select(Member.kind).where(Member.id == member_id)) != "epci":
        raise InvalidInput(
            "for_territory",
            Text("« {offer} » sert tous les membres : seule l’agglomération le commande.", offer=offer.title),
            "Commandez-le pour elle.",
        )


def check_key(request_key: str) -> None:
    """Raise InvalidInput invalid_request_key."""
    if not 0 < len(request_key) <= 200 or not request_key.isprintable():
        raise InvalidInput(
            "invalid_request_key",
            "La clé de requête doit avoir de 1 à 200 caractères imprimables.",
            "Donnez une clé nouvelle à chaque commande, et la même à chaque nouvel essai.",
        )


def placed_before(session: Session, member_id: int, request_key: str) -> Order | None:
    """The order that the member placed with this key. Needs `quotas.lock` first."""
    return session.scalar(sa.select(Order).where(Order.member_id == member_id, Order.request_key == request_key))


def _same(session: Session, earlier: Order, offer_slug: str, given: Mapping[str, Any]) -> Order:
    offer = session.get_one(Offer, earlier.offer_id)
    try:
        same = (earlier.kind, offer.slug) == ("create", offer_slug) and catalogue.validate(
            offer, given
        ) == earlier.parameters
    except InvalidInput:
        same = False
    if not same:
        raise key_reused(earlier)
    return earlier


def key_reused(earlier: Order) -> Conflict:
    """The error that says to which order a request key belongs."""
    return Conflict(
        "request_key_reused",
        Text("Cette clé de requête a déjà servi à la commande {order}, qui était différente.", order=earlier.id),
        "Prenez une clé nouvelle.",
        facts={"order": earlier.id},
    )


def check_member(session: Session, member_id: int) -> None:
    """Raise Conflict member_closed."""
    if session.scalar(sa.select(Member.state).where(Member.id == member_id)) != "active":
        raise Conflict("member_closed", "Ce membre n’est plus actif.", "Adressez-vous à la DSI.")


def check_name(session: Session, member_id: int, name: str, order_id: int = 0) -> None:
    """Raise Conflict name_taken when a living service has the name, or another order waits to give it to one."""
    living = sa.select(Service.id).where(
        Service.member_id == member_id, Service.name == name, Service.state.not_in(("deleted", "failed"))
    )
    waiting = sa.select(Order.id).where(
        Order.member_id == member_id,
        Order.state == "waiting",
        Order.kind.in_(MAKING),
        Order.parameters["name"].as_string() == name,
        Order.id != order_id,
    )
    if session.scalar(sa.select(living.exists() | waiting.exists())):
        raise Conflict("name_taken", Text("Le nom « {name} » est déjà pris.", name=name), "Choisissez un autre nom.")


def _draft(session: Session, member_id: int, offer: Offer, chosen: dict[str, Any], at: datetime) -> Order:
    order = Order(
        member_id=member_id,
        kind="create",
        offer_id=offer.id,
        parameters=chosen,
        state="waiting",
        servers=1,
        vcpus=offer.vcpus,
        ram_mib=offer.ram_mib,
        volumes=int(chosen["disk_gib"] > 0),
        disk_gib=chosen["disk_gib"],
        public_addresses=int(chosen["public_address"]),
        placed_by=session.info["actor"],
        placed_at=at,
    )
    components = catalogue.components(offer, chosen["disk_gib"], chosen["public_address"])
    book = prices.in_force(session, at, order.member_id)
    estimate = book.service(components, application=offer.kind == "stack")
    order.estimate, order.monthly, order.difference = estimate.document(), estimate.monthly, estimate.monthly
    return order


def _sizes(order: Order) -> dict[str, int]:
    return {name: getattr(order, name) for name in quotas.LABELS}


def approve(
    session: Session,
    order_id: int,
    at: datetime,
    who: Caller | None = None,
    *,
    reason: str | None = None,
    engagement_number: str | None = None,
    budget_line: str | None = None,
) -> Order:
    """Say yes to the present step of a waiting order; the last yes starts it. who None: the DSI at its own desk.

    Raises what `approvals.decide` raises, Conflict order_decided, member_closed, name_taken, and for a change what
    `starting.check_free` raises.
    """
    given = {"reason": reason, "engagement_number": engagement_number, "budget_line": budget_line}
    who = who or _desk(session)
    order = approvals.lock(session, order_id)
    if not approvals.decide(session, order, who, "granted", at, **given):
        return order
    check_member(session, order.member_id)
    if order.kind in MAKING:
        check_name(session, order.member_id, order.parameters["name"], order.id)
    starting.start(session, order)
    order.decided_by, order.decided_at = who.actor, at
    session.flush()
    return order


def reject(session: Session, order_id: int, reason: str, at: datetime, who: Caller | None = None) -> Order:
    """Refuse a waiting order at its present step, saying why. What it held is free again. Errors as `approve`."""
    who = who or _desk(session)
    order = approvals.lock(session, order_id)
    approvals.decide(session, order, who, "refused", at, reason=reason)
    return _end(session, order, "rejected", who.actor, at, reason)


def cancel(session: Session, order_id: int, at: datetime) -> Order:
    """Take back a waiting order. What it held is free again."""
    order = approvals.lock(session, order_id)
    audit.record(session, "order.cancel", f"order {order.id}", member_id=order.member_id)
    return _end(session, order, "cancelled", session.info["actor"], at)


def _end(session: Session, order: Order, state: str, by: str, at: datetime, reason: str | None = None) -> Order:
    approvals.close(session, order, at)
    order.state, order.decided_by, order.decided_at, order.reason = state, by, at, reason
    session.flush()
    return order


def _desk(session: Session) -> Desk:
    if session.info["scope"] != "territory":
        raise Forbidden("territory_only", "Seule la DSI décide d’une commande.", "Attendez sa décision.")
    return Desk(session.info["actor"])
