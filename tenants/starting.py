"""Starting what was ordered: the flow that carries an approved order out, and the service that an order creates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator.errors import Conflict, Text
from orchestrator.tables import FLOW_LIVE, Flow, Service
from tenants import carried, reading, stacks
from tenants.tables import MAKING, Offer, Order

ADMIN = "admin"  # the account that the member's SSH keys open in the guest


def start(session: Session, order: Order) -> None:
    """Queue the flow of an order and approve it: the order then says which service and flow.

    That the name of what is created is free was checked before. Raises what `check_free` raises.
    """
    service = _create(session, order) if order.kind in MAKING else _free(session, order)
    made = carried.work if order.kind in ("clone", "move") else work
    flow = queue(session, service, *made(session, order), requested_by=order.placed_by)
    order.state, order.service_id, order.flow_id = "approved", service.id, flow.id


def _create(session: Session, order: Order) -> Service:
    offer = session.get_one(Offer, order.offer_id)
    if order.kind == "create":
        specification = _specification(order, offer)
    else:
        check_source(reading.find(session, Service, order.parameters["source"], lock=True))
        # Of the size that was priced and is held, whatever the original became since.
        specification = carried.specification(session, order) | _size(offer)
    service = Service(member_id=order.member_id, name=order.parameters["name"], specification=specification)
    session.add(service)
    session.flush()
    return service


def check_source(source: Service) -> None:
    """Raise Conflict not_allowed_now when the backups of a service would go before they were read for another one."""
    if source.state in (*carried.GONE, "moving"):
        raise not_allowed_now(source)


def _free(session: Session, order: Order) -> Service:
    assert order.service_id
    service = reading.find(session, Service, order.service_id, lock=True)
    check_free(session, service, harmful=order.parameters["harmful"])
    return service


def check_free(session: Session, service: Service, *, harmful: bool = False) -> None:
    """Raise Conflict when a service that is locked can't be changed now.

    not_allowed_now, deletion_planned, flow_running; service_protected when the change takes something away (`harmful`).
    """
    if service.state not in ("active", "stopped"):
        raise not_allowed_now(service)
    if service.delete_after is not None:
        raise deletion_planned(service)
    if harmful and service.protected:
        raise protected(service)
    check_idle(session, service)


def check_idle(session: Session, service: Service) -> None:
    """Raise Conflict flow_running when an operation on the service has not ended."""
    live = session.scalar(sa.select(Flow.id).where(Flow.service_id == service.id, Flow.state.in_(FLOW_LIVE)))
    if live is not None:
        raise flow_running(service, live)


def flow_running(service: Service, flow_id: int) -> Conflict:
    """The error that says which operation runs."""
    return Conflict(
        "flow_running",
        Text("Une opération est déjà en cours sur « {name} ».", name=service.name),
        "Attendez qu’elle finisse ; seule une création peut être annulée.",
        facts={"flow": flow_id},
    )


def snapshot_quota(service: Service, kept: int, most: int) -> Conflict:
    """The error that says how many snapshots a service has and may have."""
    return Conflict(
        "snapshot_quota",
        Text("« {name} » a déjà {kept} instantanés sur {most}.", name=service.name, kept=kept, most=most),
        "Supprimez-en un d’abord.",
        facts={"held": kept, "limit": most},
    )


def deletion_planned(service: Service) -> Conflict:
    """The error that says that a service waits to be deleted."""
    return Conflict(
        "deletion_planned",
        Text("« {name} » est en instance de suppression.", name=service.name),
        "Annulez d’abord sa suppression.",
        facts={"delete_after": service.delete_after.isoformat() if service.delete_after else None},
    )


def protected(service: Service) -> Conflict:
    """The error that says that a service is protected."""
    return Conflict(
        "service_protected",
        Text("« {name} » est protégé.", name=service.name),
        "Levez d’abord sa protection, si c’est bien ce que vous voulez.",
    )


def not_allowed_now(service: Service) -> Conflict:
    """The error that says in which state a service is."""
    return Conflict(
        "not_allowed_now",
        Text("« {name} » n’est pas dans un état qui permet cette action.", name=service.name),
        "Attendez que son état change, ou choisissez une autre action.",
        facts={"state": service.state},
    )


def queue(session: Session, service: Service, kind: str, parameters: dict[str, Any], *, requested_by: str) -> Flow:
    """Insert a flow, which queues it."""
    flow = Flow(
        member_id=service.member_id, service_id=service.id, kind=kind, parameters=parameters, requested_by=requested_by
    )
    session.add(flow)
    session.flush()
    return flow


def work(session: Session, order: Order) -> tuple[str, dict[str, Any]]:
    """The kind and the parameters of the flow that carries an order out."""
    chosen = order.parameters
    if order.kind == "resize":
        offer = session.get_one(Offer, order.offer_id)
        return "resize_server", _size(offer)
    if order.kind == "parameters":
        return "change_parameters", {"wanted": {"answers": chosen["answers"]}}
    if order.kind == "address":
        return ("add_address" if chosen["public_address"] else "remove_address"), {}
    if order.kind == "volume":
        return _volume_work(chosen["volume"], chosen["disk_gib"], chosen["before_gib"])
    return "create_server", {}


def _volume_work(role: str, disk_gib: int, before_gib: int) -> tuple[str, dict[str, Any]]:
    if disk_gib == 0:
        return "remove_volume", {"role": role}
    if before_gib == 0:
        return "add_volume", {"role": role, "name": role, "disk_gib": disk_gib}
    return "grow_volume", {"role": role, "disk_gib": disk_gib}


def _size(offer: Offer) -> dict[str, Any]:
    return {
        "offer": offer.slug,
        "offer_version": offer.version,
        "flavor": offer.flavor,
        "vcpus": offer.vcpus,
        "ram_mib": offer.ram_mib,
    }


def _specification(order: Order, offer: Offer) -> dict[str, Any]:
    chosen = order.parameters
    return {
        **_size(offer),
        "image": chosen["image"],
        "disk_gib": chosen["disk_gib"],
        "public_address": chosen["public_address"],
        "admin": ADMIN,
        "ssh_keys": chosen["ssh_keys"],
        **(stacks.specification(offer.stack, chosen) if offer.stack else {"play": "vm"}),
    }


def unless_busy(session: Session, act: Callable[[], object]) -> bool:
    """What a duty asks for of many services: `act`, or nothing while something stands against it (it comes again)."""
    try:
        with session.begin_nested():
            act()
    except Conflict:  # another operation runs, or the vault does not let it in
        return False
    return True
