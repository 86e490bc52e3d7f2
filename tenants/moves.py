"""A service goes to another member (communes that merge): looked at first, then done by the DSI, for both.

A network belongs to a member's place, so nothing can simply change hands: the application is made anew at the new
member's from its last backup, then the old one is deleted (`orchestrator.steps_moving`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator import audit, backups, entry
from orchestrator.errors import Conflict, Forbidden, InvalidInput, Text
from orchestrator.tables import FLOW_LIVE, Flow, Member, Place, Service
from orchestrator.tables_backups import Backup
from orchestrator.tables_entry import Entry
from tenants import carried, copies, estimates, members, orders, parameters, quotas, reading, ssh_keys, starting, wholes
from tenants.estimates import Estimated
from tenants.tables import Order
from tenants.wholes import Whole

ON_TOP = 120  # seconds beside backup and restoration: the play that adapts it, its health, the entry


@dataclass(frozen=True)
class Preview:
    """A move that could be asked for. estimated: what the service costs and takes at its new member's; silent: seconds
    for which it will not answer, None when neither backup nor restoration were ever timed; before, after: its address
    on the web, empty without an entry; refused: why not now.
    """

    estimated: Estimated
    source: Member
    target: Member
    silent: int | None
    before: str
    after: str
    effects: tuple[Text, ...]
    refused: Conflict | None


def preview(session: Session, service_id: int, to: str, name: str | None, at: datetime) -> Preview:
    """What the move would do, and cost the new member; nothing is done. to: its slug; name: None for the present one.

    Raises territory_only, not_found, unknown_member, InvalidInput same_member or invalid_name, Conflict
    not_an_application, not_ordered or missing_price; what else stands in the way is `refused`.
    """
    service, target = _both(session, service_id, to)
    whole, chosen = _worked_out(session, service, target, name, [])
    estimated, refused = estimates.weigh(session, target.id, whole, chosen, at), None
    try:
        _check(session, service, target, whole)
    except Conflict as conflict:
        refused = conflict
    owner, silent = _owner(session, service), _silent(session, service.id)
    before, after = (
        _host(session, service, named, of) for named, of in ((service.name, owner), (chosen["name"], target))
    )
    effects = tuple(_effects(service, target, silent, before, after))
    return Preview(estimated, owner, target, silent, before, after, effects, refused or estimated.refused)


def _host(session: Session, service: Service, name: str, member: Member) -> str:
    domain = session.scalar(sa.select(Entry.domain).order_by(Entry.service_id).limit(1))
    own = domain and service.specification["stack"].get("web")
    return entry.host(name, member.slug, domain) if own and domain else ""


def _both(session: Session, service_id: int, to: str) -> tuple[Service, Member]:
    if session.info["scope"] != "territory":
        raise Forbidden("territory_only", "Seule la DSI fait passer un service à un autre membre.", "Demandez-le-lui.")
    service, target = reading.find(session, Service, service_id), members.find(session, to)
    if service.member_id == target.id:
        raise InvalidInput("same_member", "Le service est déjà à ce membre.", "Choisissez un autre membre.")
    return service, target


def _owner(session: Session, service: Service) -> Member:
    return session.get_one(Member, service.member_id)


def _worked_out(
    session: Session, service: Service, target: Member, name: str | None, keys: list[str]
) -> tuple[Whole, dict[str, Any]]:
    """What the service is made of, and its order's parameters."""
    if "stack" not in service.specification:
        carried.vault_of(session, service)  # which says what to do with a bare machine
    named = name or service.name
    if not parameters.NAME.fullmatch(named):
        raise InvalidInput(
            "invalid_name",
            "Un nom commence par une lettre et n’a que a-z, 0-9 et des tirets (40 au plus).",
            "Choisissez un autre nom.",
        )
    whole = wholes.of(session, wholes.settled(session, service))
    return whole, {
        "name": named,
        "source": service.id,
        "source_name": service.name,
        "source_member": _owner(session, service).name,
        "image": service.specification["image"],
        "ssh_keys": keys,
        "disk_gib": whole.volumes[wholes.MAIN],
        "public_address": whole.public_address,
        **service.specification["answers"],
    }


def _check(session: Session, service: Service, target: Member, whole: Whole) -> None:
    """Raise Conflict for whatever stands in the way of a move now."""
    starting.check_free(session, service, harmful=True)
    if service.state != "active":
        raise starting.not_allowed_now(service)
    if service.specification["stack"].get("provides"):
        raise Conflict(
            "serves_all", Text("« {name} » sert tous les membres.", name=service.name), "Il reste à l’agglomération."
        )
    if set(whole.volumes) != {wholes.MAIN}:
        raise Conflict(
            "more_volumes",
            Text("« {name} » a des volumes que la sauvegarde de l’application ne garde pas.", name=service.name),
            "Reprenez-en les données, retirez-les, puis recommencez.",
        )
    waiting = sa.select(Order.id).where(Order.service_id == service.id, Order.state == "waiting")
    if (order := session.scalar(waiting)) is not None:
        raise Conflict(
            "change_waiting",
            Text("La commande {order} sur ce service attend déjà une décision.", order=order),
            "Attendez cette décision, ou annulez la commande.",
            facts={"order": order},
        )
    carried.vault_of(session, service)
    # Its backups go with it, so no copy may be reading them; and two moves would both think that they have it.
    reads = sa.select(Flow.id).where(Flow.parameters["copies"].as_integer() == service.id, Flow.state.in_(FLOW_LIVE))
    if (reader := session.scalar(reads.limit(1))) is not None:
        raise starting.flow_running(service, reader)
    if session.get(Place, target.id) is None:
        raise Conflict(
            "place_missing", Text("« {member} » n’a pas encore d’espace dans le nuage.", member=target.name),
            "Ouvrez-le d’abord : clocher members apply.",
        )  # fmt: skip


def _silent(session: Session, service_id: int) -> int | None:
    """Seconds between the old service's last answer and the new one's first, by what took how long last."""
    backup = session.scalar(
        sa.select(sa.extract("epoch", Flow.ended_at - Flow.started_at))
        .where(Flow.service_id == service_id, Flow.kind == "backup_service", Flow.state == "done")
        .order_by(Flow.id.desc())
        .limit(1)
    )
    restoring = session.scalar(
        sa.select(Backup.proof_seconds)
        .where(Backup.service_id == service_id, Backup.proof_seconds.is_not(None))
        .order_by(Backup.proved_at.desc())
        .limit(1)
    )
    return None if backup is None or restoring is None else round(backup) + restoring + ON_TOP


def _effects(service: Service, target: Member, silent: int | None, before: str, after: str) -> list[Text]:
    told = [
        Text("« {name} » est fait à neuf dans l’espace de « {member} » pendant que l’ancien sert encore.",
             name=service.name, member=target.name),
        Text("Il se tait environ {minutes} min, le temps de la dernière sauvegarde et de sa reprise.",
             minutes=-(-silent // 60))
        if silent is not None
        else Text("Il se tait le temps de la dernière sauvegarde et de sa reprise : quelques minutes, ou davantage."),
        Text("L’ancien membre paie jusqu’à l’instant du passage, le nouveau à partir de lui, à la seconde."),
        Text("Les mots de passe de l’application sont neufs ; le nouveau membre les lit sur la page du service."),
        Text("L’ancien service, ses instantanés et ses sauvegardes sont ensuite supprimés, avec leur certificat."),
        Text("Si quelque chose échoue avant, l’ancien sert à nouveau et rien n’est perdu."),
    ]  # fmt: skip
    if before:
        told.insert(2, Text("Son adresse devient {after} ; {before} ne répondra plus.", after=after, before=before))
    return told


def place(
    session: Session, service_id: int, to: str, name: str | None, keys: list[str], request_key: str, at: datetime
) -> Order:
    """Have the service go to another member; the same `request_key` again gives the same order of that member.

    The DSI decides for both, so nobody else is asked; quota and budget of the new member hold all the same. keys:
    public SSH keys that open the new machine. Raises what `preview` raises or tells, what `orders.place` raises of keys
    and members, and invalid_ssh_key.
    """
    orders.check_key(request_key)
    service, target = _both(session, service_id, to)
    for member_id in sorted((service.member_id, target.id)):  # in one order, or two moves would wait for each other
        quotas.lock(session, member_id)
    asked = {"name": name, "to": to}
    if (earlier := orders.placed_before(session, target.id, request_key)) is not None:
        if (earlier.parameters.get("source"), earlier.parameters.get("asked")) != (service_id, asked):
            raise orders.key_reused(earlier)
        return earlier
    orders.check_member(session, target.id)
    service = reading.find(session, Service, service_id, lock=True)
    whole, chosen = _worked_out(session, service, target, name, [ssh_keys.read(key) for key in keys])
    _check(session, service, target, whole)
    orders.check_name(session, target.id, chosen["name"])
    last = backups.declare(session, service, carried.vault_of(session, service), at, scheduled=False)
    chosen |= {"asked": asked, "backup_id": last.id}
    order = copies.draft(session, "move", target.id, whole, chosen, request_key, at)
    copies.begin(session, order, session.info["actor"], at)
    _tell(session, service, target, order)
    return order


def _tell(session: Session, service: Service, target: Member, order: Order) -> None:
    told = {"from": service.member_id, "to": target.id, "order": order.id, "flow": order.flow_id}
    for member_id, subject in ((service.member_id, service.id), (target.id, order.service_id)):
        audit.record(session, "service.move_asked", f"service {subject}", member_id=member_id, detail=told)
