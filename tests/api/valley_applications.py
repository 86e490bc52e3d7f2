"""What Vallombre's applications are like: one behind the entry, with its health, backups and a proof; what drifted."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator import entry
from orchestrator.settings import ROOT
from orchestrator.tables import Flow, Service
from orchestrator.tables_backups import Backup, BackupClient
from orchestrator.tables_drift import Drift
from orchestrator.tables_entry import Availability
from orchestrator.tables_usage import MeterSample
from tenants import orders, stacks
from tenants.tables import Offer

DOMAIN = "apps.vallombre.fr"
GIVEN = {"name": "espace-commun", "title": "Espace commun", "email": "ines.caradec@charmelune.fr"}
MACHINE = "etat-civil"  # the machine whose page is drawn
COUNTED = {"accounts": 42, "pages": 318}
# By commune, what its certificate is like: days left, or why there is none.
HOSTS = (("espace-commun.charmelune", 61, None), ("site-mairie.fontclairac", 9, "[Errno 111] Connection refused"))


def publish(session: Session) -> None:
    """The applications that come with us, in the catalogue."""
    for stack in stacks.read_all([ROOT / "playbooks" / "stacks"]):
        session.add_all([Offer(version=1, **columns) for columns in stacks.columns(stack)])
    session.flush()


def serve(session: Session, town: int, territory: int, now: datetime) -> dict[str, str]:
    """An application of the town and the territory's entry; their addresses."""
    order = orders.place(session, town, "collaboration-small", GIVEN, "espace", now - timedelta(days=45))
    made, flow = session.get_one(Service, order.service_id), session.get_one(Flow, order.flow_id)
    made.state, made.address, made.created_at = "active", "10.80.3.21", now - timedelta(days=45)
    flow.state, flow.queued_at, flow.started_at = "done", made.created_at, made.created_at
    flow.ended_at = made.created_at + timedelta(seconds=212)
    door = Service(member_id=territory, name="entree", state="active", public_address="198.51.100.2",
                   specification={**made.specification, "offer": "entry-small", "stack": {
                       "slug": "entry", "version": "1", "secrets": [], "provides": "entry"}})  # fmt: skip
    session.add(door)
    session.flush()
    _enter(session, door.id, now)
    _know(session, made, door.id, now)
    machine = session.scalars(sa.select(Service).where(Service.member_id == town, Service.name == MACHINE)).one()
    _keep(session, machine, door.id, 2_840_000_000, {}, now)
    return {"application": f"/services/{made.id}", "entry": f"/services/{door.id}"}


def _enter(session: Session, door_id: int, now: datetime) -> None:
    told = []
    for host, days, why in HOSTS:
        until = now + timedelta(days=days)
        refused = why and {"at": int(now.timestamp()), "code": "silent", "why": why}
        told.append({"host": f"{host}.{DOMAIN}", "issuer": "Let's Encrypt R11", "refused": refused,
                     "since": (until - timedelta(days=90)).isoformat(), "until": until.isoformat()})  # fmt: skip
    entry.keep(session, door_id, DOMAIN, None, [], told)


def _know(session: Session, service: Service, vault_id: int, now: datetime) -> None:
    """Of an application: how it answered, what it counted, its backups, of which one was restored elsewhere."""
    of = {"service_id": service.id, "member_id": service.member_id}
    for ago in range(45):
        session.add(Availability(**of, day=(now - timedelta(days=ago)).date(), asked=288, good=True, asked_at=now,
                                 answered=286 if ago == 12 else 288,
                                 certificate_until=now + timedelta(days=61)))  # fmt: skip
    at = now - timedelta(hours=5)
    for meter, count in COUNTED.items():
        session.add(MeterSample(**of, meter=f"collaboration_{meter}", quantity=Decimal(count), at=at))
    _keep(session, service, vault_id, 412_000_000, COUNTED, now)


def _keep(session: Session, service: Service, vault_id: int, size: int, meters: dict[str, int], now: datetime) -> None:
    """Of a service: the backups of three nights, one restored elsewhere."""
    of = {"service_id": service.id, "member_id": service.member_id}
    session.add(BackupClient(**of, public_key="k", private_key="s", passphrase="s", vault_id=vault_id, host_key="k"))
    for ago in (2, 1, 0):
        at = now - timedelta(days=ago, hours=6)
        proof = {"proved_at": at + timedelta(hours=2), "proof_seconds": 148} if ago == 1 else {}
        session.add(Backup(**of, vault_id=vault_id, archive=str(ago), state="ready", scheduled=True, requested_by="t",
                           created_at=at, made_at=at, bytes=size - ago * 3_100_000, added=3_100_000,
                           files=2_310, borg_id=str(ago), meters=meters, **proof))  # fmt: skip
    session.flush()


def drift(session: Session, now: datetime) -> None:
    """Each machine compared with its play: one differs."""
    found = {"task": "Close root's login and passwords", "role": "baseline", "kind": "changes",
             "diff": "-PermitRootLogin yes\n+PermitRootLogin no"}  # fmt: skip
    query = sa.select(Service).where(Service.state == "active").order_by(Service.id)
    for service in session.scalars(query):
        differs = service.name == "mediatheque"
        session.add(Drift(service_id=service.id, member_id=service.member_id, differences=[found] if differs else [],
                          state="differs" if differs else "same", since=now - timedelta(days=4) if differs else None,
                          compared_at=now - timedelta(hours=31), tried_at=now - timedelta(hours=31)))  # fmt: skip
