"""Who is mailed about an audit entry, with what.

Everybody reads what waits for his decision. Of the rest, a person chooses: all of its house, its own only, or nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator.tables import AuditEntry, Flow, Member, Service
from tenants import approvals, mails
from tenants.approvers import Directory, Person, account_of
from tenants.tables import MAKING, Offer, Order, Period
from tenants.tables_approvals import STEP_ROLES
from tenants.tables_disputes import Dispute
from tenants.tables_identity import Account
from tenants.tables_notices import NoticeChoice
from tenants.tables_upgrades import PlannedUpgrade

DECIDED = ("order.approve", "order.reject", "order.expire")


def queue(session: Session, entry: AuditEntry, member: Member | None, at: datetime) -> None:
    """Queue the mails about an entry, none for most."""
    tell = ABOUT.get(entry.action)
    if tell is not None:
        tell(session, entry, member, at)


def _order(session: Session, entry: AuditEntry) -> Order | None:
    return session.get(Order, int(entry.subject.removeprefix("order ")))


def _of_order(session: Session, order: Order, member: Member | None) -> dict[str, Any]:
    offer = session.get_one(Offer, order.offer_id)
    return {
        "path": f"/orders/{order.id}",
        "order": order.id,
        "kind": order.kind,
        "name": order.parameters["name"],
        "offer": offer.title,
        "member": member.name if member else "",
        "monthly": str(order.monthly),
        "difference": str(order.difference),
        "placed_by": _called(order.placed_by),
    }


def _called(actor: str) -> str:
    """A name of the audit trail as one says it: `account 3 (Camille Roy) by token 5` is Camille Roy."""
    return actor.partition(" (")[2].rpartition(")")[0] or actor


def _waits(session: Session, entry: AuditEntry, member: Member | None, at: datetime) -> None:
    """An order waits for a decision: those who can take it are told, whatever they chose."""
    order = _order(session, entry)
    if order is None or order.state != "waiting":
        return  # decided before anybody could be told
    present = approvals.present(approvals.chain(session, order.id))
    people = Directory.read(session, [order.member_id], at).deciders(present, order)
    template = "order_reminder" if entry.action == "approval.remind" else "order_waiting"
    due_at = present.due_at.isoformat() if present.due_at else None
    facts = _of_order(session, order, member) | {"step": present.step, "due_at": due_at}
    _queue(session, entry, people, template, facts)


def _is_decided(session: Session, entry: AuditEntry, member: Member | None, at: datetime) -> None:
    """An order was decided: the one who placed it is told, unless by himself."""
    order = _order(session, entry)
    if order is None or "step" not in entry.detail:
        return
    facts = _of_order(session, order, member)
    facts |= {"verdict": entry.action.partition(".")[2], "reason": entry.detail.get("reason")}
    facts["decided_by"] = _called(entry.actor) if entry.action != "order.expire" else None
    _concerned(session, entry, account_of(order.placed_by), "order_decided", facts, at)


def _service_is(session: Session, entry: AuditEntry, member: Member | None, at: datetime) -> None:
    """A new service is there, or it failed: the one who ordered it is told."""
    ended = (entry.detail.get("from"), entry.detail.get("to"))
    service = session.get(Service, int(entry.subject.removeprefix("service ")))
    if service is None or ended not in {("creating", "active"), ("creating", "failed")}:
        return
    placed_by = session.scalar(sa.select(Order.placed_by).where(Order.service_id == service.id, Order.kind.in_(MAKING)))
    facts = {
        "path": f"/services/{service.id}",
        "name": service.name,
        "member": member.name if member else "",
        "address": service.public_address or service.address,
    }
    template = "service_active" if ended[1] == "active" else "service_failed"
    _concerned(session, entry, account_of(placed_by or ""), template, facts, at)


def _flow_stopped(session: Session, entry: AuditEntry, member: Member | None, at: datetime) -> None:
    """An operation waits for the DSI or has failed: those who can mend it are told, and who asked for it."""
    flow = session.get(Flow, int(entry.subject.removeprefix("flow ")))
    service = session.get(Service, flow.service_id) if flow else None
    if flow is None or service is None or flow.error_code == "proof_failed":  # of this `backup.unproved` tells
        return
    facts = {
        "path": f"/flows/{flow.id}",
        "flow": flow.id,
        "kind": flow.kind,
        "name": service.name,
        "member": member.name if member else "",
        "held": entry.action == "flow.hold",
        "sentence": flow.error_sentence,
        "code": entry.detail.get("error") or flow.error_code,
    }
    _queue(session, entry, _wanting(session, _holders(session, None, STEP_ROLES["dsi"], at)), "flow_trouble", facts)
    if flow.kind != "create_server" and entry.action == "flow.failed":  # of a creation, the service tells
        _concerned(session, entry, account_of(flow.requested_by), "flow_failed", facts, at)


def _backup_trouble(session: Session, entry: AuditEntry, member: Member | None, at: datetime) -> None:
    """A service's last good backup is too old, or could not be restored for trial: its people and the DSI are told."""
    service = session.get(Service, int(entry.subject.removeprefix("service ")))
    if service is None:
        return
    people = [*_holders(session, entry.member_id, ("requester",), at), *_holders(session, None, STEP_ROLES["dsi"], at)]
    facts = {**entry.detail, "path": f"/services/{service.id}", "name": service.name}
    template = entry.action.replace(".", "_")
    _queue(session, entry, _wanting(session, people), template, facts | {"member": member.name if member else ""})


def _answer_ends(session: Session, entry: AuditEntry, member: Member | None, at: datetime) -> None:
    """A last day that an application was given is near or over: its people and the DSI are told."""
    service = session.get(Service, int(entry.subject.removeprefix("service ")))
    if service is None:
        return
    people = [*_holders(session, entry.member_id, ("requester",), at), *_holders(session, None, STEP_ROLES["dsi"], at)]
    facts = {**entry.detail, "path": f"/services/{service.id}", "name": service.name}
    _queue(session, entry, _wanting(session, people), "answer_ends", facts | {"member": member.name if member else ""})


def _drift(session: Session, entry: AuditEntry, member: Member | None, at: datetime) -> None:
    """A guest differs from its play where it did not before: the DSI is told."""
    service = session.get(Service, int(entry.subject.removeprefix("service ")))
    if service is None:
        return
    people = _wanting(session, _holders(session, None, STEP_ROLES["dsi"], at))
    facts = {"path": f"/services/{service.id}", "name": service.name, "member": member.name if member else ""}
    _queue(session, entry, people, "drift_found", facts | {"tasks": entry.detail["tasks"]})


def _certificates(session: Session, entry: AuditEntry, member: Member | None, at: datetime) -> None:
    """Hosts have no certificate, or one that ends soon: the DSI is told."""
    people = _wanting(session, _holders(session, None, STEP_ROLES["dsi"], at))
    service_id = entry.subject.removeprefix("service ")
    facts = {"path": f"/services/{service_id}", "hosts": entry.detail["hosts"]}
    _queue(session, entry, people, "certificate_late", facts)


def _outside(session: Session, entry: AuditEntry, member: Member | None, at: datetime) -> None:
    """Something was made or changed in the cloud without us: the DSI is told."""
    service = session.get(Service, int(entry.subject.removeprefix("service ")))
    if service is None:
        return
    people = _wanting(session, _holders(session, None, STEP_ROLES["dsi"], at))
    facts = {"path": f"/services/{service.id}", "name": service.name, "member": member.name if member else ""}
    made = entry.action == "cloud.found"
    told = {"made": made, "resource": entry.detail["kind" if made else "resource"], "facts": entry.detail.get("facts")}
    _queue(session, entry, people, "cloud_outside", facts | told)


def _upgrade(session: Session, entry: AuditEntry, member: Member | None, at: datetime) -> None:
    """A planned upgrade is announced, put off, missed or over: its people; of trouble, the DSI too."""
    row = session.get(PlannedUpgrade, entry.detail["upgrade"])
    service = session.get(Service, row.service_id) if row else None
    if row is None or service is None or row.told_at is None:  # what was given up before it was told is no news
        return
    step = entry.action.partition(".")[2]
    people = [] if step == "postpone" else _holders(session, entry.member_id, ("requester",), at)
    if step in ("postpone", "miss", "failed"):
        people += _holders(session, None, STEP_ROLES["dsi"], at)
    facts = {
        "path": f"/services/{service.id}",
        "step": step,
        "name": service.name,
        "member": member.name if member else "",
        "version": row.version,
        "brings": row.brings,
        "starts_at": entry.detail.get("starts_at") or row.starts_at.isoformat(),
        "ends_at": row.ends_at.isoformat(),
        "reason": entry.detail.get("reason"),
        "why": entry.detail.get("why"),
    }
    _queue(session, entry, _wanting(session, people), "upgrade", facts)


def _budget(session: Session, entry: AuditEntry, member: Member | None, at: datetime) -> None:
    """A member has committed most of its budget: its finances and approvers are told."""
    people = _wanting(session, _holders(session, entry.member_id, ("finance", "approver"), at))
    facts = {**entry.detail, "path": "/costs", "member": member.name if member else ""}
    _queue(session, entry, people, "budget_reached", facts)


def _webhook_off(session: Session, entry: AuditEntry, member: Member | None, at: datetime) -> None:
    """An endpoint is told nothing more: whoever made it is told, if the machine decided it."""
    owner = session.get(Account, entry.detail.get("account") or 0)
    if owner is None or owner.state != "active" or entry.actor.startswith("account "):
        return
    facts = {**entry.detail, "path": "/webhooks", "member": member.name if member else ""}
    _queue(session, entry, [Person(owner.id, owner.name, owner.email, owner.language)], "webhook_disabled", facts)


def _dispute(session: Session, entry: AuditEntry, member: Member | None, at: datetime) -> None:
    """A line is contested: finance is told; what finance says or decides: the member's finances and who contested."""
    found = session.get(Dispute, int(entry.subject.removeprefix("dispute ")))
    if found is None:
        return
    step = entry.action.partition(".")[2]
    facts = {
        "path": f"/statements/{found.statement_id}/disputes",
        "step": step,
        "period": session.get_one(Period, found.period_id).label,
        "position": found.position,
        "reason": found.reason,
        "words": {"answer": found.answer, "settle": found.decision, "reject": found.decision}.get(step),
        "amount": str(found.amount) if step == "settle" else None,
        "member": member.name if member else "",
    }
    if step in ("open", "withdraw"):
        people = _holders(session, None, ("territory_finance",), at)
        facts["path"] = f"/finance/disputes/{found.id}"
        _queue(session, entry, _wanting(session, people), "dispute", facts)
    else:
        _concerned(session, entry, account_of(found.opened_by), "dispute", facts, at)


Tell = Callable[[Session, AuditEntry, Member | None, datetime], None]
ABOUT: dict[str, Tell] = {
    "order.place": _waits,
    "approval.grant": _waits,
    "approval.take_back": _waits,
    "approval.remind": _waits,
    **dict.fromkeys(DECIDED, _is_decided),
    "service.state": _service_is,
    "flow.hold": _flow_stopped,
    "flow.failed": _flow_stopped,
    "budget.reach": _budget,
    **dict.fromkeys(("backup.late", "backup.unproved"), _backup_trouble),
    "answer.ends": _answer_ends,
    "drift.found": _drift,
    "certificate.late": _certificates,
    **dict.fromkeys(("cloud.found", "cloud.corrected"), _outside),
    **{f"upgrade.{step}": _upgrade for step in ("announce", "postpone", "miss", "done", "failed", "cancel")},
    "webhook.disable": _webhook_off,
    **{f"dispute.{step}": _dispute for step in ("open", "answer", "settle", "reject", "withdraw")},
}


def _holders(session: Session, house: int | None, roles: Iterable[str], at: datetime) -> list[Person]:
    directory = Directory.read(session, [house] if house else [], at)
    people = [person for role in roles for person in directory.holders.get((role, house), ())]
    return list({person.id: person for person in people}.values())


def _choices(session: Session, people: Iterable[Person]) -> dict[int, str]:
    ids = [person.id for person in people]
    rows = session.execute(
        sa.select(NoticeChoice.account_id, NoticeChoice.choice).where(NoticeChoice.account_id.in_(ids))
    )
    return {row.account_id: row.choice for row in rows}


def _wanting(session: Session, people: list[Person]) -> list[Person]:
    """Those who did not choose to be left alone."""
    chosen = _choices(session, people)
    return [person for person in people if chosen.get(person.id) != "none"]


def _concerned(
    session: Session, entry: AuditEntry, owner: int | None, template: str, facts: dict[str, Any], at: datetime
) -> None:
    """Tell the one whose matter it is, and those of the house who want to know everything; never the one who did it."""
    house = _holders(session, entry.member_id, ("requester", "approver", "finance"), at)
    if owner is not None and owner not in {person.id for person in house}:
        account = session.get(Account, owner)
        if account is not None and account.state == "active":  # the DSI may have ordered for a member
            house.append(Person(account.id, account.name, account.email, account.language))
    chosen = _choices(session, house)
    wanted = {person.id: chosen.get(person.id, "mine") for person in house}
    people = [
        person
        for person in house
        if person.id != account_of(entry.actor)
        and (wanted[person.id] == "all" or (wanted[person.id] == "mine" and person.id == owner))
    ]
    _queue(session, entry, people, template, facts)


def _queue(session: Session, entry: AuditEntry, people: Iterable[Person], template: str, facts: dict[str, Any]) -> None:
    for person in people:
        told = facts | {"receiver": person.name}
        mails.queue(
            session, to=person.email, template=template, language=person.language, facts=told, entry_id=entry.id
        )
