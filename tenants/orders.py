"""Orders: place, approve, reject, cancel. Each is one transaction, under the member's lock, with its audit entry."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator import audit
from orchestrator.errors import Conflict, Forbidden, InvalidInput
from orchestrator.tables import Flow, Member, Service
from tenants import catalogue, policy, prices, quotas, reading
from tenants.tables import Offer, Order

ADMIN = "admin"  # the account that the member's SSH keys open in the guest


def place(
    session: Session, member_id: int, offer_slug: str, parameters: Mapping[str, Any], request_key: str, at: datetime
) -> Order:
    """Order `offer_slug` for a member; the same `request_key` again gives the same order.

    The price is frozen, quota and budget are held, and what the policy lets through is queued: all or nothing.
    Raises InvalidInput (unknown_offer, unknown_parameter, invalid_parameter, invalid_ssh_key, invalid_request_key) or
    Conflict (request_key_reused, member_closed, name_taken, missing_price, quota_exceeded, budget_exceeded).
    """
    _check_key(request_key)
    quotas.lock(session, member_id)
    earlier = session.scalar(sa.select(Order).where(Order.member_id == member_id, Order.request_key == request_key))
    if earlier is not None:
        return _same(session, earlier, offer_slug, parameters)
    _check_member(session, member_id)
    offer = catalogue.find(session, offer_slug)
    chosen = catalogue.validate(offer, parameters)
    _check_name(session, member_id, chosen["name"])
    order = _draft(session, member_id, offer, chosen, at)
    quotas.check(session, member_id, _sizes(order), order.monthly, at)
    order.request_key = request_key
    if policy.approves(offer, order.monthly):
        _start(session, order, offer)
        order.decided_by, order.decided_at = "policy", at
    session.add(order)
    session.flush()
    detail = {"offer": offer.slug, "name": chosen["name"], "monthly": str(order.monthly), "state": order.state}
    audit.record(session, "order.place", f"order {order.id}", member_id=member_id, detail=detail)
    return order


def _check_key(request_key: str) -> None:
    if not 0 < len(request_key) <= 200 or not request_key.isprintable():
        raise InvalidInput(
            "invalid_request_key",
            "La clé de requête doit avoir de 1 à 200 caractères imprimables.",
            "Donnez une clé nouvelle à chaque commande, et la même à chaque nouvel essai.",
        )


def _same(session: Session, earlier: Order, offer_slug: str, given: Mapping[str, Any]) -> Order:
    offer = session.get_one(Offer, earlier.offer_id)
    try:
        same = offer.slug == offer_slug and catalogue.validate(offer, given) == earlier.parameters
    except InvalidInput:
        same = False
    if not same:
        raise Conflict(
            "request_key_reused",
            f"Cette clé de requête a déjà servi à la commande {earlier.id}, qui était différente.",
            "Prenez une clé nouvelle.",
            facts={"order": earlier.id},
        )
    return earlier


def _check_member(session: Session, member_id: int) -> None:
    if session.scalar(sa.select(Member.state).where(Member.id == member_id)) != "active":
        raise Conflict("member_closed", "Ce membre n’est plus actif.", "Adressez-vous à la DSI.")


def _check_name(session: Session, member_id: int, name: str, order_id: int = 0) -> None:
    living = sa.select(Service.id).where(
        Service.member_id == member_id, Service.name == name, Service.state.not_in(("deleted", "failed"))
    )
    waiting = sa.select(Order.id).where(
        Order.member_id == member_id,
        Order.state == "waiting",
        Order.parameters["name"].as_string() == name,
        Order.id != order_id,
    )
    if session.scalar(sa.select(living.exists() | waiting.exists())):
        raise Conflict("name_taken", f"Le nom « {name} » est déjà pris.", "Choisissez un autre nom.")


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
    estimate = prices.monthly(session, components, at)
    order.estimate, order.monthly = estimate.document(), estimate.monthly
    return order


def _sizes(order: Order) -> dict[str, int]:
    return {name: getattr(order, name) for name in quotas.LABELS}


def _start(session: Session, order: Order, offer: Offer) -> None:
    """Make the service and queue its flow; the order then says which."""
    service = Service(
        member_id=order.member_id, name=order.parameters["name"], specification=_specification(order, offer)
    )
    session.add(service)
    session.flush()
    flow = Flow(member_id=order.member_id, service_id=service.id, kind="create_server", requested_by=order.placed_by)
    session.add(flow)
    session.flush()
    order.state, order.service_id, order.flow_id = "approved", service.id, flow.id


def _specification(order: Order, offer: Offer) -> dict[str, Any]:
    chosen = order.parameters
    return {
        "offer": offer.slug,
        "offer_version": offer.version,
        "flavor": offer.flavor,
        "vcpus": offer.vcpus,
        "ram_mib": offer.ram_mib,
        "image": chosen["image"],
        "disk_gib": chosen["disk_gib"],
        "public_address": chosen["public_address"],
        "admin": ADMIN,
        "ssh_keys": chosen["ssh_keys"],
        "play": "vm",
    }


def approve(session: Session, order_id: int, at: datetime) -> Order:
    """Start a waiting order; only the territory may. Raises Conflict order_decided, member_closed or name_taken."""
    order = _decide(session, order_id, "approve", at)
    _check_member(session, order.member_id)
    _check_name(session, order.member_id, order.parameters["name"], order.id)
    _start(session, order, session.get_one(Offer, order.offer_id))
    session.flush()
    return order


def reject(session: Session, order_id: int, reason: str, at: datetime) -> Order:
    """Refuse a waiting order, saying why; only the territory may. What it held is free again."""
    if not reason.strip() or len(reason) > 2000:
        raise InvalidInput("invalid_reason", "Un refus se motive, en 2 000 caractères au plus.", "Dites pourquoi.")
    order = _decide(session, order_id, "reject", at, {"reason": reason})
    order.state, order.reason = "rejected", reason
    session.flush()
    return order


def cancel(session: Session, order_id: int, at: datetime) -> Order:
    """Take back a waiting order. What it held is free again."""
    order = _decide(session, order_id, "cancel", at)
    order.state = "cancelled"
    session.flush()
    return order


def _decide(session: Session, order_id: int, verb: str, at: datetime, detail: dict[str, Any] | None = None) -> Order:
    """The waiting order, locked, with who decides and the audit entry; the caller sets the state."""
    order = reading.find(session, Order, order_id)
    if verb != "cancel" and session.info["scope"] != "territory":
        raise Forbidden("territory_only", "Seule la DSI décide d’une commande.", "Attendez sa décision.")
    quotas.lock(session, order.member_id)
    session.refresh(order, with_for_update=True)
    if order.state != "waiting":
        raise Conflict(
            "order_decided",
            f"La commande {order.id} n’attend plus de décision ({order.state}).",
            "Relisez-la.",
            facts={"state": order.state},
        )
    order.decided_by, order.decided_at = session.info["actor"], at
    audit.record(session, f"order.{verb}", f"order {order.id}", member_id=order.member_id, detail=detail)
    return order
