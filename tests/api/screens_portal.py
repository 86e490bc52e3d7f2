"""What is looked at of the commune's pages: states that need something to be there. They join SCREENS."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import sqlalchemy as sa
from playwright.sync_api import Page
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.orm import Session

from orchestrator import audit, entry, events, outsiders, usage
from orchestrator.cloud_history import Found
from orchestrator.events import Size
from orchestrator.settings import ROOT
from orchestrator.tables import Flow, FlowStep, Resource, Service, Snapshot
from orchestrator.tables_backups import Backup, BackupClient
from orchestrator.tables_drift import Drift
from orchestrator.tables_entry import Availability, Entry
from orchestrator.tables_exports import Export
from orchestrator.tables_reconcile import CloudFeed, CloudReading
from tenants import orders, stacks
from tenants.tables import Meter, Offer, Price
from tenants.tables_consoles import ConsoleReading
from tenants.tables_upgrades import PlannedUpgrade
from tests.tenants.ordering import KEY, count_trades, wish


def running(session: Session, member_id: int) -> int:
    """A service that runs, as its order made it; its id."""
    name = f"ecole-{uuid4().hex[:6]}"
    order = orders.place(session, member_id, "vm-medium", wish(name, disk_gib=20), str(uuid4()), datetime.now(UTC))
    assert order.service_id and order.flow_id
    at = datetime.now(UTC)
    service, flow = session.get_one(Service, order.service_id), session.get_one(Flow, order.flow_id)
    service.state, service.address, service.public_address = "active", "10.80.3.17", "198.51.100.24"
    flow.state, flow.started_at, flow.ended_at = "done", at, at
    session.add(Snapshot(member_id=member_id, service_id=service.id, name="avant migration", state="ready",
                         size_gib=12, requested_by="t", ready_at=at))  # fmt: skip
    session.add(ConsoleReading(service_id=service.id, member_id=member_id, state="ready", asked_by="t", asked_at=at,
                               read_at=at, log="Debian GNU/Linux 12 ttyS0\n\nlogin:"))  # fmt: skip
    session.flush()
    return service.id


def service(session: Session, member_id: int) -> str:
    return f"/services/{running(session, member_id)}"


def busy(session: Session, member_id: int) -> str:
    """A service on which an operation failed half-way and is held."""
    made = running(session, member_id)
    at = datetime.now(UTC)
    flow = Flow(member_id=member_id, service_id=made, kind="reboot_server", state="held", requested_by="t",
                started_at=at, held_at=at, error_code="cloud_timeout",
                error_sentence="Le nuage n’a pas répondu à temps.")  # fmt: skip
    session.add(flow)
    session.flush()
    session.add(FlowStep(flow_id=flow.id, member_id=member_id, name="reboot", state="failed", started_at=at,
                         ended_at=at, message="Le nuage n’a pas répondu à temps."))  # fmt: skip
    return f"/services/{made}"


def taken(session: Session, member_id: int) -> str:
    """An application with an export to take, one that is gone and one that failed."""
    made, at = running(session, member_id), datetime.now(UTC)
    owned = session.get_one(Service, made)
    owned.specification = owned.specification | {"stack": {"slug": "salut", "version": "1"}}
    for days, state in ((9, "failed"), (8, "removed"), (0, "ready")):
        then, over = at - timedelta(days=days), at + timedelta(days=7 - days)
        whole = {"bytes": 25_700_000, "sha256": "5e" * 32, "files": 31, "made_at": then, "expires_at": over}
        known = {} if state == "failed" else whole
        session.add(Export(member_id=member_id, service_id=made, title="brevaux-ecole-2026-11-23", file="0" * 64,
                           papers={}, state=state, requested_by="account 1 (Inès Caradec)", created_at=then,
                           ended_at=None if state == "ready" else over, **known))  # fmt: skip
    return f"/services/{made}"


def certified(session: Session, member_id: int) -> str:
    """The certificate of a service that is gone."""
    page = taken(session, member_id)
    gone, at = session.get_one(Service, int(page.rpartition("/")[2])), datetime.now(UTC)
    gone.state, gone.address, gone.public_address = "deleted", None, None
    flow = Flow(member_id=member_id, service_id=gone.id, kind="delete_server", state="done", requested_by="t",
                started_at=at, ended_at=at)  # fmt: skip
    session.add(flow)
    session.flush()
    for kind in ("server", "volume", "port"):
        session.add(Resource(member_id=member_id, service_id=gone.id, kind=kind, cloud_id=str(uuid4()), deleted_at=at))
    audit.record(session, "service.delete", f"service {gone.id}", member_id=member_id)
    return f"{page}/certificate"


def kept(session: Session, member_id: int) -> str:
    """An application with backups, the last good one too old."""
    made, at = running(session, member_id), datetime.now(UTC)
    known = session.get_one(Service, made)
    backup = {"schedule": "daily", "keep": {"daily": 7, "weekly": 4, "monthly": 6}}
    known.specification = known.specification | {"stack": {"slug": "salut", "version": "1", "backup": backup}}
    session.add(BackupClient(service_id=made, member_id=member_id, public_key="k", private_key="s", passphrase="s",
                             vault_id=made, host_key="k", late_since=at))  # fmt: skip
    for days, state in ((3, "ready"), (2, "ready"), (1, "failed")):
        then = at - timedelta(days=days)
        session.add(Backup(member_id=member_id, service_id=made, vault_id=made, archive=str(days), state=state,
                           scheduled=days != 2, requested_by="account 1 (Inès Caradec)", created_at=then,
                           **({"made_at": then, "bytes": 25**days * 7_000, "added": 1, "files": 31_000, "borg_id": "b"}
                              if state == "ready" else {"ended_at": then})))  # fmt: skip
    return f"/services/{made}"


def leaving(session: Session, member_id: int) -> str:
    made = running(session, member_id)
    session.get_one(Service, made).delete_after = datetime.now(UTC)
    return f"/services/{made}"


def addressed(session: Session, member_id: int) -> str:
    """An application behind the territory's entry, whose certificate comes from its own authority."""
    made, at = running(session, member_id), datetime.now(UTC)
    service = session.get_one(Service, made)
    stack = {"slug": "salut", "version": "1", "secrets": [], "web": {"port": 80, "path": "/"}}
    service.specification = {**service.specification, "stack": stack}
    entry.keep(session, made, "valmont.test", "PEM", [])
    for day, answered in ((at.date(), 287), (at.date() - timedelta(days=40), 288)):
        session.add(Availability(service_id=made, member_id=member_id, day=day, asked=288, answered=answered, good=True,
                                 asked_at=at, certificate_until=at + timedelta(days=300)))  # fmt: skip
    return f"/services/{made}"


def entrance(session: Session, member_id: int) -> str:
    """The entry itself, with names whose certificate is well, ends soon, and is missing."""
    made, at = running(session, member_id), datetime.now(UTC)
    service = session.get_one(Service, made)
    service.specification = {
        **service.specification,
        "stack": {"slug": "entry", "version": "1", "secrets": [], "provides": "entry"},
    }
    refused = {"at": int(at.timestamp()), "code": "silent", "why": "[Errno 111] Connection refused"}
    rows = [("site.brevaux", 60, None), ("wiki.brevaux", 9, refused), ("ecole.orgelune", None, refused | {
        "code": "refused", "why": "DNS problem: NXDOMAIN looking up A for ecole.orgelune"})]  # fmt: skip
    told = []
    for host, days, why in rows:
        until = None if days is None else at + timedelta(days=days)
        told.append({"host": f"{host}.apps.valmont.fr", "issuer": until and "Let's Encrypt R11", "refused": why,
                     "since": until and (until - timedelta(days=90)).isoformat(),
                     "until": until and until.isoformat()})  # fmt: skip
    session.execute(sa.delete(Entry))  # there is one
    entry.keep(session, made, "apps.valmont.fr", None, [], told)
    return f"/services/{made}"


def wiki(session: Session, member_id: int) -> int:
    """A running application, as its order made it; its id."""
    name, at = f"wiki-{uuid4().hex[:6]}", datetime.now(UTC)
    offer = stacks.columns(stacks.read(ROOT / "playbooks" / "stacks" / "collaboration"))[0]
    if session.scalar(sa.select(Offer.id).where(Offer.slug == offer["slug"])) is None:
        session.add(Offer(version=1, **offer))
        count_trades(session)
        accounts = session.scalars(sa.select(Meter.id).where(Meter.code == "collaboration_accounts")).one()
        during = Range(datetime(2026, 1, 1, tzinfo=UTC), None)
        session.add(Price(meter_id=accounts, during=during, hourly=Decimal("0.0007"), book="2026"))
        session.flush()
    given = {"name": name, "title": "Espace de travail", "email": "ines@valmont.fr", "public_reading": True}
    order = orders.place(session, member_id, offer["slug"], given, str(uuid4()), at)
    assert order.service_id and order.flow_id
    service, flow = session.get_one(Service, order.service_id), session.get_one(Flow, order.flow_id)
    service.state, flow.state, flow.started_at, flow.ended_at = "active", "done", at, at
    session.flush()
    return service.id


def withdrawn(session: Session, member_id: int) -> str:
    """An application that the catalogue has no more; its authorisation ends soon, and a picture is kept too long."""
    service = session.get_one(Service, wiki(session, member_id))
    offer = stacks.columns(stacks.read(ROOT / "playbooks" / "stacks" / "video"))[0]
    if session.scalar(sa.select(Offer.id).where(Offer.slug == offer["slug"])) is None:
        session.add(Offer(version=1, state="withdrawn", **offer))
    ends = datetime.now(UTC) + timedelta(days=40)
    answers = {"retention_days": 28, "prefect_authorisation": "2022-0412", "authorisation_expiry": f"{ends:%Y-%m-%d}"}
    own = stacks.specification(offer["stack"], answers) | {"offer": offer["slug"]}
    service.name, service.specification = f"cameras-{service.id}", service.specification | own
    for hours, days in ((28, 28), (4, 29)):
        at = datetime.now(UTC) - timedelta(hours=hours)
        usage.keep(session, events.Owner(member_id, service.id, None), "video", {"cameras": 6, "oldest_days": days}, at)
    session.flush()
    return f"/services/{service.id}"


def settings(session: Session, member_id: int) -> str:
    """Other answers to what an application asks, with their effect."""
    return f"/services/{wiki(session, member_id)}/change/parameters?answers=1&title=Agora"


def settings_refused(session: Session, member_id: int) -> str:
    return f"/services/{wiki(session, member_id)}/change/parameters?answers=1&title="


def backed_up(session: Session, member_id: int) -> int:
    """An application with one good backup; its id."""
    return _with_backup(session, member_id, wiki(session, member_id))[0]


def machine(session: Session, member_id: int) -> str:
    """A virtual machine with a good backup, which is no longer made every night."""
    made, _ = _with_backup(session, member_id, running(session, member_id))
    session.get_one(Service, made).nightly = False
    return f"/services/{made}"


def files(session: Session, member_id: int) -> str:
    """What bringing a machine's files back would do."""
    made, backup_id = _with_backup(session, member_id, running(session, member_id))
    return f"/services/{made}/backups/{backup_id}/restore"


def _with_backup(session: Session, member_id: int, made: int) -> tuple[int, int]:
    at = datetime.now(UTC)
    session.add(BackupClient(service_id=made, member_id=member_id, public_key="k", private_key="s", passphrase="s",
                             vault_id=made, host_key="k"))  # fmt: skip
    backup = Backup(member_id=member_id, service_id=made, vault_id=made, archive="1", state="ready", scheduled=True,
                    requested_by="t", created_at=at, made_at=at, bytes=7_000_000, added=1, files=310,
                    meters={}, borg_id="b")  # fmt: skip
    session.add(backup)
    session.flush()
    return made, backup.id


def copying(session: Session, member_id: int) -> str:
    """What a test copy costs."""
    return f"/services/{backed_up(session, member_id)}/copies"


def copied(session: Session, member_id: int) -> str:
    """A test copy that runs."""
    made = wiki(session, member_id)
    copy = session.get_one(Service, made)
    copy.specification = copy.specification | {"copy_of": {"service": made, "name": "wiki"}}
    return f"/services/{made}"


def refreshing(session: Session, member_id: int) -> str:
    return f"{copied(session, member_id)}/refresh"


def moving(session: Session, member_id: int) -> str:
    """What going to another member would do."""
    return f"/services/{backed_up(session, member_id)}/move?to=orgelune"


def planned(session: Session, member_id: int) -> str:
    """An application that will be upgraded, as its member was told."""
    made, at = wiki(session, member_id), datetime.now(UTC)
    brings = {"fr": "Recherche plus rapide, corrections de sécurité.", "en": "Quicker search, security fixes."}
    begins = at + timedelta(days=6)
    session.add(PlannedUpgrade(service_id=made, member_id=member_id, version="99",
                               brings=[{"version": "99", "brings": brings}], not_before=at, starts_at=begins,
                               ends_at=begins + timedelta(hours=4), told_at=at, planned_by="t", planned_at=at,
                               said="no_proof"))  # fmt: skip
    session.flush()
    return f"/services/{made}"


def drifted(session: Session, member_id: int) -> str:
    """A service that differs from its play, in what may be shown and what may not."""
    made, at = running(session, member_id), datetime.now(UTC)
    diff = "/etc/ssh/sshd_config.d/00-baseline.conf\n@@ -1,3 +1,3 @@\n-PermitRootLogin yes\n+PermitRootLogin no"
    found = [
        {"task": "Close root's login and passwords", "role": "baseline", "kind": "changes", "diff": diff},
        {"task": "Make the administrator's account", "role": "collaboration", "kind": "secret", "diff": ""},
        {"task": "Start services, now and at boot", "role": "baseline", "kind": "fails", "diff": "Could not find it"},
    ]
    session.add(Drift(service_id=made, member_id=member_id, state="differs", differences=found,
                      since=at - timedelta(days=9), compared_at=at - timedelta(days=2),
                      tried_at=at - timedelta(days=1)))  # fmt: skip
    session.flush()
    return f"/services/{made}"


def by_hand(session: Session, member_id: int) -> str:
    """A server that somebody made in the cloud, and an ordered one that was given another size there."""
    ordered, at = running(session, member_id), datetime.now(UTC)
    found = Found("server", uuid4().hex, "Essai de Paul", "ACTIVE", None, at, at, 2, 4096, launched_at=at)
    resource_id, made = outsiders.make(session, member_id, found, "paul")
    for kind in ("created", "launched", "serving"):
        events.record_event(session, resource_id, kind, at, size=Size(2, 4096), source="reconcile")
    flow = session.scalars(sa.select(Flow.id).where(Flow.service_id == ordered)).one()
    owner = events.Owner(member_id, ordered, flow)
    server = events.record_resource(session, owner, "server", uuid4().hex)
    events.record_event(session, server, "resized", at, size=Size(4, 8192), source="notification")
    session.merge(CloudReading(member_id=member_id, read_until=at, tried_at=at))
    session.merge(CloudFeed(kind="queue", read_at=at, last_at=at))
    session.flush()
    return f"/services/{made}"


def unfold(page: Page) -> None:
    """Open all that is folded."""
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")


def waiting(session: Session, member_id: int) -> str:
    """An order that waits for the DSI."""
    name = f"gros-{uuid4().hex[:6]}"
    return f"/orders/{orders.place(session, member_id, 'vm-xlarge', wish(name), str(uuid4()), datetime.now(UTC)).id}"


def beside(path: str) -> Callable[[Session, int], str]:
    """A page below a running service's."""

    def make(session: Session, member_id: int) -> str:
        return f"/services/{running(session, member_id)}{path}"

    return make


def send(page: Page) -> None:
    page.locator(".submit .btn-primary").first.click()


def fill(page: Page) -> None:
    """The order form, filled in and sent: the summary."""
    page.fill("#field-name", f"web-{uuid4().hex[:6]}")
    page.fill("#field-ssh_keys", KEY)
    send(page)
    page.wait_for_selector("button[value=order]")
