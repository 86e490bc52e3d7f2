"""Vallombre as it lives, for pictures: its declared members, three months of services, a month closed, work under way.

What the application can do by itself it does: orders, periods, costs. Only the cloud's facts are written here.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import sqlalchemy as sa
from apiflask import APIFlask
from sqlalchemy.orm import Session

from orchestrator.database import territory_session
from orchestrator.places import Ids, spare
from orchestrator.settings import Settings
from orchestrator.tables import AnsibleEvent, Flow, FlowStep, Member, Resource, ResourceEvent, Service, Snapshot, Worker
from tenants import (
    announcements,
    catalogue,
    costs_days,
    declarations,
    finance,
    members_record,
    orders,
    periods,
    pools,
    prices,
    prices_drafts,
)
from tenants.tables import Period, Statement
from tenants.tables_administration import CapacitySample, CloudUsage, Hypervisor
from tenants.tables_identity import MEMBER_ROLES, TERRITORY_ROLES
from tests.api import valley_applications
from tests.api.people import Person, invite
from tests.tenants.ordering import count_trades, wish

TOWN = "charmelune"
# What a commune of some size runs, oldest first: name, offer, data disk in GiB, public address, age in days.
RUNS = (
    ("site-mairie", "vm-small", 20, True, 93),
    ("etat-civil", "vm-medium", 60, False, 88),
    ("ecoles", "vm-medium", 0, True, 61),
    ("mediatheque", "vm-small", 40, False, 16),
)
OTHERS = {
    "atelier-des-cimes": (("boutique", "vm-medium", 30, True, 40),),
    "syndicat-eaux-lone": (("telereleve", "vm-large", 100, False, 75),),
    "vallombre": (("intranet", "vm-large", 200, False, 90), ("observatoire", "vm-medium", 80, True, 30)),
    "fontclairac": (("site-mairie", "vm-small", 20, True, 70), ("cantine", "vm-medium", 40, True, 52)),
    "grandbussiere": (("bibliotheque", "vm-medium", 60, False, 33),),
}
STEPS = ("project", "port", "volume", "server", "build", "attach", "configure", "health", "activate")
# What the cloud says of a member, if it agrees with what runs here.
USED = """SELECT count(*) AS servers, coalesce(sum((specification ->> 'vcpus')::int), 0) AS vcpus,
       coalesce(sum((specification ->> 'ram_mib')::int), 0) AS ram_mib,
       count(nullif(specification ->> 'disk_gib', '0')) AS volumes,
       coalesce(sum((specification ->> 'disk_gib')::int), 0) AS disk_gib, count(public_address) AS public_addresses
FROM services WHERE member_id = :id AND state = 'active'"""
HOSTS = ("calcul-1", "calcul-2")
# What the cloud has, by resource: where, how much in each place, allocation ratio, taken in each place.
SIZES = {
    "VCPU": (HOSTS, 48, "4.0", 59),
    "MEMORY_MB": (HOSTS, 262_144, "1.0", 124_000),
    "DISK_GB": (HOSTS, 4000, "1.0", 1550),
    "FLOATING_IP": (("dehors",), 61, "1.0", 34),
}


@dataclass(frozen=True)
class Valley:
    """Who looks, `member` or `territory`, and where to: the addresses of what there is one of."""

    people: dict[str, Person]
    places: dict[str, str]


def live(app: APIFlask, owner: sa.Engine, settings: Settings) -> Valley:
    """Fill an empty installation."""
    now = datetime.now(UTC)
    with territory_session(owner, "account 2 (Hélène Aubertin)") as session:
        ids = _declare(session, settings)
    people = {
        "member": invite(app, "Inès Caradec", TOWN, MEMBER_ROLES),
        "territory": invite(app, "Hélène Aubertin", None, TERRITORY_ROLES),
    }
    with territory_session(owner, "account 2 (Hélène Aubertin)") as session:
        for slug, member_id in ids.items():
            if slug != "noirepine":  # 87 people, who may have one machine and have none
                _run(session, member_id, RUNS if slug in (TOWN, "marlevent") else OTHERS.get(slug, RUNS[:1]), now)
    wanted = wish("numerisation", disk_gib=500)
    with territory_session(owner, "account 1 (Inès Caradec)") as session:
        flow = _build(session, ids[TOWN], now)
        order = orders.place(session, ids[TOWN], "vm-xlarge", wanted, "n", now - timedelta(hours=3)).id
    with territory_session(owner, "account 3 (Marc Tellier)") as session:
        held = _hold(session, ids["marlevent"], now)
    with territory_session(owner, "account 2 (Hélène Aubertin)") as session:
        month, tariff = _account(session, settings, now)
        _measure(session, ids, settings, now)
        _tell(session, now)
        served = valley_applications.serve(session, ids[TOWN], ids["vallombre"], now)
        valley_applications.drift(session, now)
        service = session.scalars(
            sa.select(Service.id).where(Service.name == "etat-civil", Service.member_id == ids[TOWN])
        ).one()
        statement = session.scalars(
            sa.select(Statement.id).join(Period).where(Statement.member_id == ids[TOWN], Period.state == "closed")
        ).one()
    places = {"service": f"/services/{service}", "flow": f"/flows/{flow}", "order": f"/orders/{order}"}
    places |= {"held": f"/admin/flows/{held}", "month": f"/finance/periods/{month}"}
    places |= {"tariff": f"/admin/prices/drafts/{tariff}", "statement": f"/statements/{statement}"}
    return Valley(people, places | served)


def _declare(session: Session, settings: Settings) -> dict[str, int]:
    """The members as shipped, with a place each; catalogue, prices and keys."""
    ids = {}
    for number, declared in enumerate(declarations.load(settings.territory_dir)):
        values = members_record.values(declared, f"10.80.{number}.0/24", "declared")
        ids[declared.slug] = members_record.write(session, declared.slug, values)
        place = Ids(**{part.name: str(uuid4()) for part in fields(Ids)})
        members_record.write_place(session, ids[declared.slug], place)
    catalogue.load(session)
    count_trades(session)
    valley_applications.publish(session)
    prices.apply(session, finance.price_book(settings.territory_dir), settings.timezone)
    pools.apply_keys(session, finance.sharing(settings.territory_dir))
    session.execute(sa.update(Member).values(created_at=datetime(2026, 1, 5, 9, tzinfo=UTC)))
    return ids


def _run(session: Session, member_id: int, runs: tuple[tuple[str, str, int, bool, int], ...], now: datetime) -> None:
    for place, (name, offer, disk_gib, public, age) in enumerate(runs):
        at = now - timedelta(days=age, hours=place)
        service, flow = _order(session, member_id, name, offer, at, disk_gib=disk_gib, public_address=public)
        service.state, service.address = "active", f"10.80.{member_id}.{place + 11}"
        service.public_address = f"198.51.100.{member_id * 3 + place}" if public else None
        flow.state, flow.ended_at = "done", at + timedelta(seconds=94)
        for number, step in enumerate(STEPS):
            begun = at + timedelta(seconds=number * 10)
            session.add(FlowStep(flow_id=flow.id, member_id=member_id, name=step, state="done", started_at=begun,
                                 ended_at=begun + timedelta(seconds=9)))  # fmt: skip
        resource(session, service, "server", at, ("launched", "serving"))
        if disk_gib:
            resource(session, service, "volume", at, ("created",))
        if public:
            resource(session, service, "floating_ip", at, ("created",))
        if name == "etat-civil":
            session.add(Snapshot(member_id=member_id, service_id=service.id, name="avant la mise à jour", state="ready",
                                 size_gib=70, requested_by="account 2 (Inès Caradec)", created_at=at,
                                 ready_at=at))  # fmt: skip


def _order(
    session: Session, member_id: int, name: str, offer: str, at: datetime, **more: object
) -> tuple[Service, Flow]:
    order = orders.place(session, member_id, offer, wish(name, **more), f"{member_id}-{name}", at)
    assert order.service_id and order.flow_id
    service, flow = session.get_one(Service, order.service_id), session.get_one(Flow, order.flow_id)
    service.created_at, service.changed_at = at, at
    flow.queued_at, flow.started_at, flow.worker_id = at, at, "worker-1"
    session.flush()
    return service, flow


def resource(session: Session, service: Service, kind: str, at: datetime, told: tuple[str, ...]) -> None:
    """Something of a service in the cloud, with what happened to it: a minute apart, from `at` on."""
    made = Resource(member_id=service.member_id, service_id=service.id, kind=kind, cloud_id=str(uuid4()),
                        created_at=at)  # fmt: skip
    session.add(made)
    session.flush()
    sizes = {"server": ("vcpus", "ram_mib"), "volume": ("disk_gib",)}.get(kind, ())
    for number, event in enumerate(told):
        size = {name: service.specification[name] for name in sizes}
        session.add(ResourceEvent(resource_id=made.id, member_id=service.member_id, kind=event,
                                  at=at + timedelta(seconds=60 * number), **size))  # fmt: skip


def _build(session: Session, member_id: int, now: datetime) -> int:
    """A service that is being made; the operation's id."""
    at = now - timedelta(seconds=71)
    _, flow = _order(session, member_id, "archives", "vm-medium", at, disk_gib=100)
    flow.state = "running"
    for number, step in enumerate(STEPS[:7]):
        begun = at + timedelta(seconds=number * 9)
        done = step != "configure"
        session.add(FlowStep(flow_id=flow.id, member_id=member_id, name=step, state="done" if done else "running",
                             started_at=begun, ended_at=begun + timedelta(seconds=8) if done else None))  # fmt: skip
    for task, outcome in (("Set the host name", "changed"), ("Mount the disk, now and at boot", "changed"),
                          ("Install what is missing", "started")):  # fmt: skip
        session.add(AnsibleEvent(flow_id=flow.id, member_id=member_id, uuid=uuid4(), event="runner_on_ok", task=task,
                                 outcome=outcome))  # fmt: skip
    return flow.id


def _hold(session: Session, member_id: int, now: datetime) -> int:
    """An operation that the DSI must look at; its id."""
    at = now - timedelta(minutes=12)
    service, flow = _order(session, member_id, "videoprotection", "vm-medium", at, disk_gib=200)
    service.state = "creating"
    flow.state, flow.held_at, flow.error_code = "held", now - timedelta(minutes=9), "cloud_refused"
    flow.error_sentence, flow.error_detail = "Le nuage a refusé la demande.", "HTTP 400: No valid host was found."
    for step, state in (("project", "done"), ("port", "done"), ("volume", "done"), ("server", "failed")):
        session.add(FlowStep(flow_id=flow.id, member_id=member_id, name=step, state=state, started_at=at,
                             ended_at=at + timedelta(seconds=20), attempts=3 if state == "failed" else 1,
                             message="Le nuage a refusé la demande." if state == "failed" else None))  # fmt: skip
    return flow.id


def _account(session: Session, settings: Settings, now: datetime) -> tuple[str, int]:
    """Last month drafted, the one before closed; the days of this one counted; the month and a draft of a tariff."""
    declared = finance.sharing(settings.territory_dir)
    last, before = periods.labels_until(periods.label_of(now, settings.timezone), 3)[1:]
    for label in (before, last):
        periods.draft(session, label, declared, now, settings.timezone)
        if label == before:
            assert periods.check(session, label) == []
            periods.close(session, label, now)
    costs_days.count(session, now, settings.timezone)
    book, starts = "Tarif 2027 (délibération 2026-12-14/03)", f"{now.year + 1}-01-01"
    return last, prices_drafts.write(session, None, book, starts, {"vcpu": "0.0068", "ram": "0.0024"}).id


def _measure(session: Session, ids: dict[str, int], settings: Settings, now: datetime) -> None:
    query = "SELECT vcpus, ram_mib, servers, volumes, disk_gib, public_addresses FROM quotas WHERE member_id = :id"
    for member_id in ids.values():
        limits = dict(session.execute(sa.text(query), {"id": member_id}).mappings().one())
        used = dict(session.execute(sa.text(USED), {"id": member_id}).mappings().one())
        for name, times in spare(settings.snapshots_per_service).items():
            limits[name] *= times
        session.add(CloudUsage(member_id=member_id, read_at=now, limits=limits, **used))
    session.add_all(
        [Worker(id="worker-1", host="control-1", pid=4242), Worker(id="worker-2", host="control-2", pid=977)]
    )
    session.add_all([Hypervisor(name=name, state="up", status="enabled", read_at=now) for name in HOSTS])
    for ago in range(60):
        at = (now - timedelta(days=ago)).replace(minute=0, second=0, microsecond=0)
        for resource, (places, total, ratio, used) in SIZES.items():
            held = used - used * ago // 150 - (ago % 5) * used // 90
            for place in places:
                session.add(CapacitySample(at=at, resource=resource, place=place, total=total, reserved=0,
                                           ratio=Decimal(ratio), used=held))  # fmt: skip


def _tell(session: Session, now: datetime) -> None:
    title = {"fr": "Maintenance du réseau jeudi de 6 h à 7 h", "en": "Network maintenance on Thursday from 6 to 7"}
    body = {"fr": "Les adresses publiques répondront par moments.", "en": "Public addresses will answer on and off."}
    announcements.write(session, None, level="info", title=title, body=body, starts_at=now - timedelta(hours=1),
                        ends_at=None, member=None)  # fmt: skip
