"""Two members, each with a row in every table that holds members' rows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import uuid4

from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.orm import Session

import orchestrator.tables as o
import orchestrator.tables_backups as b
import orchestrator.tables_drift as g
import orchestrator.tables_entry as e
import orchestrator.tables_exports as x
import orchestrator.tables_reconcile as l
import orchestrator.tables_usage as u
import tenants.tables as t
import tenants.tables_administration as a
import tenants.tables_approvals as p
import tenants.tables_consoles as n
import tenants.tables_costs as c
import tenants.tables_cycle as y
import tenants.tables_disputes as d
import tenants.tables_finance as f
import tenants.tables_identity as i
import tenants.tables_notices as w
import tenants.tables_requests as r
import tenants.tables_schedules as h
import tenants.tables_upgrades as z
import tenants.tables_vat as v

START, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
OWN, OTHER = 1, 2  # ids of the two members


def fill(session: Session) -> None:
    """Write them."""
    meter, price, period, offer = _shared(session)
    session.add(a.UsageCheck(period_id=period, until=END, read_at=END, read_by="t"))
    earlier = t.Period(label="2025-12", during=Range(START - timedelta(days=31), START))
    session.add(earlier)
    for number in (OWN, OTHER):
        member = o.Member(
            slug=f"m{number}", name="M", kind="commune", siren="210000113", siret=f"2100001130000{number}"
        )
        session.add(member)
        session.flush()
        assert member.id == number
        service = o.Service(member_id=number, name="web", specification={}, state="active")
        session.add(service)
        session.flush()
        flow = o.Flow(member_id=number, service_id=service.id, kind="create_server", state="running", requested_by="t")
        resource = o.Resource(member_id=number, service_id=service.id, kind="server", cloud_id=f"c{number}")
        statement = t.Statement(period_id=period, member_id=number, total=1)
        account = i.Account(email=f"a{number}@m.fr", name="A", state="active")
        session.add_all([flow, resource, statement, account])
        session.add(o.Snapshot(member_id=number, service_id=service.id, name="s", requested_by="t"))
        session.add(o.ServiceSecret(member_id=number, service_id=service.id, name="password", sealed="s"))
        session.add(b.BackupClient(member_id=number, service_id=service.id, public_key="k", private_key="s",
                                   passphrase="s"))  # fmt: skip
        session.add(b.Backup(member_id=number, service_id=service.id, vault_id=service.id, archive="a",
                             scheduled=True, requested_by="t", created_at=START))  # fmt: skip
        session.add(x.Export(member_id=number, service_id=service.id, title="a", file="0" * 64, papers={},
                             requested_by="t", created_at=START))  # fmt: skip
        session.add(l.CloudReading(member_id=number))
        session.add(l.CloudNotification(id=f"n{number}", member_id=number, kind="server", cloud_id=f"c{number}",
                                        at=START, told={}))  # fmt: skip
        session.add(g.Drift(member_id=number, service_id=service.id, state="unknown", differences=[], tried_at=START))
        session.add(e.Availability(member_id=number, service_id=service.id, day=START.date(), asked=1, answered=1,
                                   asked_at=START, good=True))  # fmt: skip
        session.add(u.MeterSample(member_id=number, service_id=service.id, meter="m", quantity=1, at=START))
        session.add(n.ConsoleReading(member_id=number, service_id=service.id, asked_by="t", asked_at=START))
        order = t.Order(member_id=number, kind="create", request_key="k", offer_id=offer, parameters={},
                        state="waiting", estimate={}, monthly=1, placed_by="t")  # fmt: skip
        session.add(order)
        session.flush()
        _decided_and_told(session, number, order.id, account.id)
        sizes = {"servers": 1, "vcpus": 1, "ram_mib": 1, "volumes": 1, "disk_gib": 1, "public_addresses": 1}
        session.add_all(
            [
                o.Place(member_id=number, project_id=f"p{number}", network_id="n", subnet_id="s", router_id="r",
                        security_group_id="g"),
                o.FlowStep(member_id=number, flow_id=flow.id, name="server", state="done"),
                o.AnsibleEvent(member_id=number, flow_id=flow.id, uuid=uuid4(), event="runner_on_ok"),
                o.ResourceEvent(member_id=number, resource_id=resource.id, kind="launched", at=START),
                o.AuditEntry(actor="test", member_id=number, action="member.create", subject="member"),
                t.Quota(member_id=number, **sizes),
                t.Budget(member_id=number, year=2026, amount=1),
                i.Token(member_id=number, label="t", digest=bytes([number]), roles=["requester"], expires_at=END),
                i.AccountRole(member_id=number, account_id=account.id, role="requester", granted_by="t"),
                i.SignedIn(member_id=number, account_id=account.id, digest=bytes([number]), csrf="c", seen_at=START,
                           expires_at=END, address="", device=""),
                a.MemberChange(member_id=number, slug=f"m{number}", kind="edit", requested_by="t"),
                a.CloudUsage(member_id=number, read_at=START, limits={}, **sizes),
                a.Announcement(member_id=number, level="info", title={}, body={}, starts_at=START, made_by="t"),
                h.SnapshotSchedule(member_id=number, service_id=service.id, hour=2, weekdays=[1], daily=1, weekly=0,
                                   monthly=0, handled_until=START, changed_by="t"),
                h.ScheduledSnapshot(member_id=number, service_id=service.id, due_at=START, snapshot_id=number),
                z.MaintenanceWindow(member_id=number, weekdays=[1], hour=2, hours=3, changed_by="t"),
                z.PlannedUpgrade(member_id=number, service_id=service.id, version="2", brings=[], planned_by="t",
                                 planned_at=START, not_before=START, starts_at=START, ends_at=END),
                v.Contract(member_id=number, since=START.date(), regime="exempt", made_by="t"),
                a.UsageCheckServer(period_id=period, server=f"c{number}", member_id=number, name="web", running=1,
                                   existing=1, cloud=1, reasons={}, odd=False),
                c.CostDay(member_id=number, day=START.date(), meter_id=meter, amount=1, until=END),
                c.CostService(service_id=service.id, member_id=number, amount=1, ahead=0, until=END),
                y.Forecast(member_id=number, year=2026, kind="meter", subject="vcpu", units=1, first=1, last=12,
                           reference="D", made_by="t"),
                y.Due(member_id=number, year=2026, kind="call", number=1, dated=START.date(), amount=1,
                      document=str(number), previous_hash="", hash=sha256(str(number).encode()).hexdigest(),
                      made_by="t"),
                f.BillingMode(member_id=number, during=Range(START.date(), None), mode="title", reference="D",
                              made_by="t"),
                t.UsageInterval(period_id=period, resource_id=resource.id, member_id=number, meter_id=meter,
                                quantity=1, during=Range(START, END)),
                d.Dispute(member_id=number, statement_id=statement.id, period_id=period, position=1, reason="r",
                          opened_by="t", opened_at=START),
                t.UsageCorrection(period_id=period, corrects_id=earlier.id, resource_id=resource.id, member_id=number,
                                  meter_id=meter, counted=1, quantity=0, during=Range(START, END)),
                t.StatementLine(statement_id=statement.id, period_id=period, member_id=number, position=1,
                                kind="usage", meter_id=meter, price_id=price, unit_seconds=1, amount=1),
            ]
        )  # fmt: skip


def _decided_and_told(session: Session, number: int, order_id: int, account_id: int) -> None:
    """What a member's order, its people and its programs have around them."""
    deputy = i.Account(email=f"d{number}@m.fr", name="D", state="active")
    endpoint = w.Endpoint(
        member_id=number, label="w", url="https://m.fr/", events=[], secret=b"s", made_by="t", made_at=START
    )
    session.add_all([deputy, endpoint])
    session.flush()
    delivery = w.Delivery(
        endpoint_id=endpoint.id, member_id=number, event="e", body="{}", due_at=START, queued_at=START
    )
    session.add(delivery)
    session.flush()
    session.add_all(
        [
            p.Approval(order_id=order_id, member_id=number, position=1, step="dsi", policy_version=1, rules={}),
            p.Deputy(account_id=account_id, deputy_id=deputy.id, role="approver", member_id=number,
                     during=Range(START, END), made_by="t"),
            w.Attempt(delivery_id=delivery.id, member_id=number, at=START, milliseconds=1, status=200),
            w.BudgetMark(member_id=number, year=2026, reached=80),
            w.NoticeChoice(account_id=account_id, choice="mine"),
            w.Mail(receiver=f"a{number}@m.fr", template="t", language="fr", facts={}),
            r.RequestAnswer(member_id=number, asker="t", request_key="k", digest=b"d", status=201, answer=b"a",
                            at=START),
        ]
    )  # fmt: skip


def _shared(session: Session) -> tuple[int, int, int, int]:
    price = t.Price(meter_id=2, during=Range(START, None), hourly=1, book="test")
    period = t.Period(label="2026-01", during=Range(START, END))
    offer = t.Offer(slug="s", version=1, kind="vm", title={}, summary={}, flavor="f", vcpus=1, ram_mib=1, parameters={})
    session.add_all([price, period, offer])
    session.flush()
    return 2, price.id, period.id, offer.id
