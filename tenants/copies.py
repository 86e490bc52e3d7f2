"""Test copies of applications: a service of its own with another one's data, ordered, refreshed, told apart."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from orchestrator import audit
from orchestrator.errors import Conflict
from orchestrator.tables import Flow, Service
from tenants import (
    approvals,
    carried,
    estimates,
    operations,
    orders,
    parameters,
    prices,
    quotas,
    reading,
    starting,
    wholes,
)
from tenants.estimates import Estimated
from tenants.tables import Order
from tenants.wholes import MAIN, Whole

LONGEST = 40  # characters of a name


def default_name(service: Service) -> str:
    """The name of a copy when none is given: its original's, with the ending."""
    return service.name[: LONGEST - len(carried.SUFFIX)].rstrip("-") + carried.SUFFIX


def preview(session: Session, service_id: int, name: str | None, backup_id: int | None, at: datetime) -> Estimated:
    """What ordering a copy would give; nothing is held. name, backup_id: None for the default and the newest.

    Raises not_found, backup_not_found, InvalidInput invalid_name, Conflict backup_state, no_backup, not_backed_up,
    not_an_application, no_vault, not_allowed_now, not_ordered or missing_price; what else stands in the way is
    `refused`.
    """
    source = reading.find(session, Service, service_id)
    whole, chosen = _worked_out(session, source, name, backup_id)
    return estimates.weigh(session, source.member_id, whole, chosen, at)


def _worked_out(
    session: Session, source: Service, name: str | None, backup_id: int | None
) -> tuple[Whole, dict[str, Any]]:
    """What the copy is made of, and its order's parameters."""
    starting.check_source(source)
    backup = carried.backup_of(session, source, backup_id)
    base = wholes.of(session, wholes.settled(session, source))
    whole = Whole(base.offer, {MAIN: base.volumes[MAIN]}, public_address=False)
    return whole, {
        "name": _named(name or default_name(source)),
        "source": source.id,
        "source_name": source.name,
        "backup_id": backup_id and backup.id,  # None: the newest on the day on which it begins
        "image": source.specification["image"],
        "ssh_keys": source.specification["ssh_keys"],
        "disk_gib": whole.volumes[MAIN],
        "public_address": False,
        **source.specification["answers"],
    }


def _named(name: str) -> str:
    if not parameters.NAME.fullmatch(name) or not name.endswith(carried.SUFFIX):
        raise carried.invalid_name()
    return name


def place(
    session: Session, service_id: int, name: str | None, backup_id: int | None, request_key: str, at: datetime
) -> Order:
    """Order a test copy; the same `request_key` again gives the same order. The original is not touched.

    Price, quota, budget and policy are those of an order of its offer. Raises what `preview` raises or tells, and
    what `orders.place` raises of keys and members.
    """
    orders.check_key(request_key)
    member_id = reading.find(session, Service, service_id).member_id
    quotas.lock(session, member_id)
    asked = {"name": name, "backup_id": backup_id}
    if (earlier := orders.placed_before(session, member_id, request_key)) is not None:
        return _same(earlier, service_id, asked)
    orders.check_member(session, member_id)
    source = reading.find(session, Service, service_id, lock=True)
    whole, chosen = _worked_out(session, source, name, backup_id)
    orders.check_name(session, member_id, chosen["name"])
    order = draft(session, "clone", member_id, whole, chosen | {"asked": asked}, request_key, at)
    if approvals.open(session, order, whole.offer, at):
        begin(session, order, "policy", at)
    told = {"kind": "clone", "source": source.id, "name": chosen["name"], "monthly": str(order.monthly)}
    told["state"] = order.state
    audit.record(session, "order.place", f"order {order.id}", member_id=member_id, detail=told)
    return order


def _same(earlier: Order, service_id: int, asked: dict[str, Any]) -> Order:
    if (earlier.kind, earlier.parameters.get("source"), earlier.parameters.get("asked")) != (
        "clone", service_id, asked,
    ):  # fmt: skip
        raise orders.key_reused(earlier)
    return earlier


def draft(
    session: Session, kind: str, member_id: int, whole: Whole, chosen: dict[str, Any], request_key: str, at: datetime
) -> Order:
    """The order of a service that is made from another one, written; price, quota and budget of the day are held.

    Raises what `quotas.check` raises, and missing_price.
    """
    estimate = prices.in_force(session, at, member_id).service(whole.components, application=True)
    quotas.check(session, member_id, whole.sizes, estimate.monthly, at)
    order = Order(
        member_id=member_id, kind=kind, request_key=request_key, offer_id=whole.offer.id, parameters=chosen,
        state="waiting", estimate=estimate.document(), monthly=estimate.monthly, difference=estimate.monthly,
        placed_by=session.info["actor"], placed_at=at, **whole.sizes,
    )  # fmt: skip
    session.add(order)
    session.flush()
    return order


def begin(session: Session, order: Order, by: str, at: datetime) -> None:
    """Start what an order asks for, as decided by somebody."""
    starting.start(session, order)
    order.decided_by, order.decided_at = by, at
    session.flush()


def refresh(session: Session, copy_id: int) -> Flow:
    """Give a running copy the data of its original's newest backup; what was written in the copy is lost.

    Raises not_found, Conflict not_a_copy, original_gone, not_allowed_now, service_protected and what
    `carried.backup_of` and `operations.ask_for` raise.
    """
    copy = reading.find(session, Service, copy_id, lock=True)
    mark = carried.copied_from(copy)
    if mark is None:
        raise carried.no_copy()
    source = session.get(Service, mark["service"], with_for_update=True, populate_existing=True)
    if source is None or source.state in carried.GONE or source.member_id != copy.member_id:
        raise Conflict("original_gone", "Le service d’origine n’existe plus.", "Gardez la copie, ou supprimez-la.")
    starting.check_source(source)
    backup = carried.backup_of(session, source, None)
    given = {"copies": source.id, "backup_id": backup.id}
    return operations.ask_for(session, copy.id, "restore_service", "copy.refresh", harmful=True, **given)
