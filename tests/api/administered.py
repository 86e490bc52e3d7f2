"""A territory with something of everything that the DSI and finance see."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import Range

from orchestrator import audit
from orchestrator.database import territory_session
from orchestrator.tables import AnsibleEvent, Flow, FlowStep, Member, Resource, Service, Worker
from tenants import announcements, catalogue, catalogue_versions, members_changes, orders, policy, prices_drafts
from tenants.tables import Meter, Period, Price, Statement, StatementLine, UsageInterval
from tenants.tables_administration import CapacitySample, CloudUsage, Hypervisor
from tests.tenants.ordering import QUOTA, member, seed, wish
from tests.tenants.test_members_changes import _document

NOW = datetime.now(UTC)
LABEL = "2026-03"
MARCH = Range(datetime(2026, 2, 28, 23, tzinfo=UTC), datetime(2026, 3, 31, 22, tzinfo=UTC))


@dataclass(frozen=True)
class Administered:
    """Ids of what there is one of; `flow` is held."""

    order: int
    flow: int
    statement: int
    offer: int
    draft: int
    tariff: int
    policy: int
    announcement: int
    change: int


def administer(owner: sa.Engine) -> Administered:
    """Make it."""
    seed(owner)
    brevaux = member(owner)
    member(owner, "orgelune")
    with territory_session(owner, "account 1 (Hélène Aubertin)") as session:
        session.execute(sa.update(Member).values(population=1000))
        order = orders.place(session, brevaux, "vm-xlarge", wish("gros"), "k1", NOW).id
        offer = catalogue.find(session, "vm-small").id
        draft = catalogue_versions.copy(session, offer).id
        tariff = prices_drafts.write(session, None, "Tarif 2027", "2027-01-01", {"vcpu": "0.012"}).id
        rules = policy.current(session).policy.model_dump(mode="json")
        version = policy.draft(session, rules, NOW).version
        title, body = (
            {"fr": "Maintenance jeudi", "en": "Maintenance on Thursday"},
            {"fr": "De 6 h à 7 h.", "en": "6 to 7."},
        )
        announced = announcements.write(
            session, None, level="warning", title=title, body=body, starts_at=NOW - timedelta(hours=1), ends_at=None,
            member=None,
        ).id  # fmt: skip
        change = members_changes.ask(session, _document(slug="saint-elvan"), new=True)
        change.state, change.plan = "planned", {
            "new": True, "cidr": "10.80.1.0/24", "cloud": [{"field": "project", "old": None, "new": "v-saint-elvan"}],
            "database": [{"field": "quota.servers", "old": None, "new": "2"},
                         {"field": "name", "old": "", "new": "E"}],
        }  # fmt: skip
        flow = held(session, brevaux)
        statement = _stated(session, brevaux)
        _measured(session, brevaux)
        for number in range(60):
            audit.record(session, "service.stop", f"service {number}", member_id=brevaux, detail={"flow": number})
        return Administered(order, flow, statement, offer, draft, tariff, version, announced, change.id)


def held(session: sa.orm.Session, member_id: int) -> int:
    service = Service(member_id=member_id, name="site-web", specification={}, state="creating")
    session.add(service)
    session.flush()
    flow = Flow(
        member_id=member_id, service_id=service.id, kind="create_server", state="held", requested_by="account 2 (Marc)",
        worker_id="worker-1", started_at=NOW - timedelta(minutes=3), held_at=NOW, error_code="cloud_refused",
        error_sentence="Le nuage a refusé la demande.", error_detail="HTTP 400: no valid host",
    )  # fmt: skip
    session.add(flow)
    session.flush()
    for name, state in (("project", "done"), ("port", "done"), ("server", "failed")):
        step = FlowStep(member_id=member_id, flow_id=flow.id, name=name, state=state, message="no valid host")
        step.started_at, step.ended_at = NOW - timedelta(minutes=2), NOW
        session.add(step)
    session.add(AnsibleEvent(member_id=member_id, flow_id=flow.id, uuid=service.ref, event="runner_on_ok",
                             task="Installer les paquets", outcome="changed"))  # fmt: skip
    session.add(Worker(id="worker-1", host="control-1", pid=4242))
    session.flush()
    return flow.id


def _stated(session: sa.orm.Session, member_id: int) -> int:
    service = Service(member_id=member_id, name="archives", specification={}, state="active")
    period = Period(label=LABEL, during=MARCH, state="draft", metered_until=MARCH.upper)
    session.add_all([service, period])
    session.flush()
    resource = Resource(member_id=member_id, service_id=service.id, kind="server", cloud_id="0f8fad5b-d9cb-469f")
    statement = Statement(period_id=period.id, member_id=member_id, total=Decimal("10.00"))
    session.add_all([resource, statement])
    session.flush()
    meter = session.scalars(sa.select(Meter).where(Meter.code == "vcpu")).one()
    price = session.scalars(sa.select(Price).where(Price.meter_id == meter.id)).one()
    session.add(UsageInterval(period_id=period.id, resource_id=resource.id, member_id=member_id, meter_id=meter.id,
                              quantity=4, during=Range(MARCH.lower, MARCH.lower + timedelta(hours=250))))  # fmt: skip
    session.add(StatementLine(statement_id=statement.id, period_id=period.id, member_id=member_id, position=1,
                              kind="usage", service_id=service.id, meter_id=meter.id, price_id=price.id,
                              unit_seconds=Decimal(3_600_000), amount=Decimal("10.00")))  # fmt: skip
    session.flush()
    return statement.id


def _measured(session: sa.orm.Session, member_id: int) -> None:
    limits = QUOTA | {"servers": 40}
    session.add(
        CloudUsage(member_id=member_id, read_at=NOW, limits=limits, **{**dict.fromkeys(QUOTA, 0), "servers": 1})
    )
    session.add(Hypervisor(name="compute1", state="up", status="enabled", read_at=NOW))
    sizes = {"VCPU": (64, "4.0", 60), "MEMORY_MB": (262_144, "1.0", 90_000), "DISK_GB": (2000, "1.0", 300),
             "FLOATING_IP": (253, "1.0", 12)}  # fmt: skip
    for ago in range(30):
        at = (NOW - timedelta(days=ago)).replace(minute=0, second=0, microsecond=0)
        for resource, (total, ratio, used) in sizes.items():
            held = used - ago * used // 60 if resource != "FLOATING_IP" else used
            session.add(CapacitySample(at=at, resource=resource, place="compute1", total=total, reserved=0,
                                       ratio=Decimal(ratio), used=held))  # fmt: skip


def pages(made: Administered) -> list[str]:
    """Every page of the DSI and of finance."""
    return [
        "/admin/members", "/admin/members?q=zzz", "/admin/members/new", "/admin/members/brevaux",
        "/admin/members/brevaux/edit", "/admin/members/brevaux/close", f"/admin/members/changes/{made.change}",
        "/admin/capacity", "/admin/quotas", "/admin/quotas?odd=1", "/admin/workers",
        "/admin/orders", "/admin/orders?state=rejected", f"/admin/orders/{made.order}",
        "/admin/flows", "/admin/flows?state=done", f"/admin/flows/{made.flow}", f"/admin/flows/{made.flow}/undo",
        "/admin/catalogue", "/admin/catalogue?state=draft", "/admin/catalogue/yaml", f"/admin/catalogue/{made.offer}",
        f"/admin/catalogue/{made.draft}", f"/admin/catalogue/{made.draft}/edit",
        "/admin/prices", "/admin/prices/new", f"/admin/prices/drafts/{made.tariff}",
        f"/admin/prices/drafts/{made.tariff}/edit",
        "/admin/policy", "/admin/policy/new", f"/admin/policy/{made.policy}",
        "/admin/audit", "/admin/audit?actor=nobody", "/admin/audit/retention",
        "/admin/announcements", "/admin/announcements/new", f"/admin/announcements/{made.announcement}",
        "/finance/periods", f"/finance/periods/{LABEL}", f"/finance/periods/{LABEL}/close",
        f"/finance/periods/{LABEL}/usage-check", f"/finance/periods/{LABEL}/usage-check?odd=1",
        "/finance/keys", "/finance/keys/simulate", "/finance/energy", "/finance/settings",
        "/finance/settings/vat/rates/new", "/finance/settings/vat/texts/new", "/finance/settings/vat/costs/new",
        "/finance/settings/vat/contracts/brevaux",
        "/finance/statements", "/finance/statements?period=2020-01", f"/finance/statements/{made.statement}",
        f"/finance/statements/{made.statement}/lines/1",
    ]  # fmt: skip
