"""What may be done with a service now, one place for pages and API: each act, or why not; its price; what is lost."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator.errors import ClocherError, Conflict, Text
from orchestrator.tables import FLOW_LIVE, Flow, Service, Snapshot
from orchestrator.tables_entry import Entry
from tenants import answering, starting, wholes
from tenants.prices import InForce
from tenants.tables import Order
from tenants.wholes import Whole

ORDERED = ("resize", "volume", "address", "parameters")  # these are orders, with a preview of their own
HARMFUL = ("restore", "delete", "delete_now")
# The states of a service in which each act can begin.
NEEDS: dict[str, tuple[str, ...]] = {
    "start": ("stopped",),
    "stop": ("active",),
    "reboot": ("active",),
    **dict.fromkeys(ORDERED, ("active", "stopped")),
    "parameters": ("active",),
    "keys": ("active",),
    "rename": ("active",),
    "snapshot": ("active", "stopped"),
    "restore": ("active",),
    "schedule": ("creating", "active", "stopped", "stopping", "starting", "rebooting", "resizing", "restoring"),
    "protect": (),
    "unprotect": (),
    "delete": ("active", "stopped"),
    "delete_now": ("active", "stopped", "deleting"),
    "restore_deleted": ("active", "stopping", "stopped"),
}
FREE = ("schedule", "protect", "unprotect", "restore_deleted")  # possible while another operation runs


@dataclass(frozen=True)
class Act:
    """One act. code, why, action: what stands in the way, else None; tells: what it does; loses: what is lost for good;
    monthly: euros a month that it adds (negative: it saves), None where nothing changes or a choice decides.
    """

    name: str
    allowed: bool
    code: str | None = None
    why: str | None = None
    action: str | None = None
    monthly: Decimal | None = None
    tells: Text | None = None
    loses: Text | None = None


@dataclass(frozen=True)
class _Facts:
    """What the acts depend on.

    active, stopped: euros a month while it serves and while it is stopped, per_gib: of a snapshot, None without prices;
    addressed: the web finds it by its name; answers: some of what it was asked may be answered anew.
    """

    service: Service
    busy: Conflict | None
    change_waits: bool
    snapshots: int
    ready: int
    active: Decimal | None
    stopped: Decimal | None
    per_gib: Decimal | None
    addressed: bool
    answers: bool
    grace: timedelta
    most: int


def possible(
    session: Session, service: Service, book: InForce, *, grace: timedelta, most: int, whole: Whole | None = None
) -> list[Act]:
    """Every act, in the order of NEEDS, at the prices of `book`. `grace`, `most`: as the installation sets them.

    whole: what the service is made of, where that was read already.
    """
    facts = _facts(session, service, book, whole or _whole(session, service), grace, most)
    return [_act(name, facts) for name in NEEDS if _shown(name, facts)]


def _shown(name: str, facts: _Facts) -> bool:
    """Of opposites, the one that makes sense."""
    service = facts.service
    hidden = {
        "protect": service.protected,
        "unprotect": not service.protected,
        "parameters": not facts.answers,
        "restore_deleted": service.delete_after is None,
        "delete": service.delete_after is not None or not facts.grace,
    }
    return not hidden.get(name, False)


def _facts(
    session: Session, service: Service, book: InForce, whole: Whole | None, grace: timedelta, most: int
) -> _Facts:
    counted = session.execute(
        sa.select(
            sa.func.count(Snapshot.id).filter(Snapshot.state.not_in(("deleted", "failed"))),
            sa.func.count(Snapshot.id).filter(Snapshot.state == "ready"),
            sa.select(Flow.id).where(Flow.service_id == service.id, Flow.state.in_(FLOW_LIVE)).scalar_subquery(),
            sa.select(sa.func.count()).where(
                Order.service_id == service.id, Order.state == "waiting"
            ).scalar_subquery(),
            sa.exists(sa.select(Entry.service_id)),
        ).where(Snapshot.service_id == service.id)
    ).one()  # fmt: skip
    made, ready, live, waiting, entered = counted
    sizes = (whole.components, _stopped(whole)) if whole else (None, None)
    active, stopped = (_monthly(book, sized, of_service=True) if sized else None for sized in sizes)
    busy = starting.flow_running(service, live) if live is not None else None
    per_gib = _monthly(book, {"snapshot": Decimal(1)})
    addressed = entered and bool(service.specification.get("stack", {}).get("web"))
    answers = bool(answering.changeable(session, service))
    return _Facts(service, busy, waiting > 0, made, ready, active, stopped, per_gib, addressed, answers, grace, most)


def _whole(session: Session, service: Service) -> Whole | None:
    try:
        return wholes.of(session, wholes.settled(session, service))
    except ClocherError:
        return None


def _stopped(whole: Whole) -> dict[str, Decimal]:
    meters = {"vcpu": "vcpu_stopped", "ram": "ram_stopped"}
    return {meters.get(meter, meter): quantity for meter, quantity in whole.components.items()}


def _monthly(book: InForce, components: dict[str, Decimal], *, of_service: bool = False) -> Decimal | None:
    try:
        return (book.service if of_service else book.monthly)(components).monthly
    except ClocherError:  # no price: the acts are possible all the same
        return None


def _act(name: str, facts: _Facts) -> Act:
    refused = _refusal(name, facts)
    monthly, tells, loses = _effects(name, facts)
    if refused is None:
        return Act(name, True, monthly=monthly, tells=tells, loses=loses)
    return Act(name, False, refused.code, refused.sentence, refused.action, monthly, tells, loses)


def _refusal(name: str, facts: _Facts) -> Conflict | None:
    service = facts.service
    if NEEDS[name] and service.state not in NEEDS[name]:
        return starting.not_allowed_now(service)
    if service.delete_after is not None and name not in (*FREE[1:], "delete_now", "stop"):
        return starting.deletion_planned(service)
    if service.protected and name in HARMFUL:
        return starting.protected(service)
    if facts.busy and name not in FREE:
        return facts.busy
    if name in ORDERED and facts.change_waits:
        return Conflict("change_waiting", "Une commande sur ce service attend une décision.", "Attendez-la.")
    if name == "snapshot" and facts.snapshots >= facts.most:
        return starting.snapshot_quota(service, facts.snapshots, facts.most)
    if name == "restore" and not facts.ready:
        return Conflict("no_snapshot", "Ce service n’a pas d’instantané.", "Faites-en un d’abord.")
    return None


def _effects(name: str, facts: _Facts) -> tuple[Decimal | None, Text | None, Text | None]:
    """The price, what is done, what is lost."""
    saved = facts.stopped - facts.active if facts.active is not None and facts.stopped is not None else None
    running = facts.service.state == "active"
    if name == "stop":
        return saved, Text("La machine s’éteint ; ses disques et ses adresses sont gardés."), None
    if name == "start":
        return (None if saved is None else -saved), Text("La machine redémarre."), None
    if name == "reboot":
        return None, Text("La machine est injoignable une à deux minutes."), None
    if name == "rename" and facts.addressed:
        return None, Text("L’adresse web suit le nom : l’ancienne ne répondra plus."), None
    if name == "keys":
        return None, Text("Seules les clés données ouvrent la machine ensuite."), None
    if name == "snapshot":
        return _snapshot_effects(facts)
    if name == "restore":
        return None, Text("La machine redémarre comme elle était."), Text("Ce qui a changé depuis l’instantané.")
    if name == "delete":
        lost = Text(
            "Passé ce délai : la machine, ses volumes, ses instantanés et ses sauvegardes, sans retour possible."
        )
        return saved if running else None, _grace_sentence(facts), lost
    if name == "delete_now":
        present = facts.active if running else facts.stopped
        lost = Text("La machine, ses volumes, ses instantanés et ses sauvegardes, sans retour possible.")
        return (None if present is None else -present), None, lost
    return None, None, None


def _snapshot_effects(facts: _Facts) -> tuple[None, Text | None, None]:
    if facts.per_gib is None:
        return None, None, None
    told = Text("{price} par mois et par Gio ; sa taille est connue une fois qu’il est fait.", price=facts.per_gib)
    return None, told, None


def _grace_sentence(facts: _Facts) -> Text:
    hours = int(facts.grace.total_seconds() // 3600)
    if facts.stopped is None:
        return Text("La machine s’arrête ; tout est supprimé dans {hours} heures.", hours=hours)
    return Text(
        "La machine s’arrête ; tout est supprimé dans {hours} heures. D’ici là vous pouvez changer d’avis ; elle coûte"
        " ce que coûte une machine arrêtée, {price} par mois.",
        hours=hours,
        price=facts.stopped,
    )
