"""What applications count of their trade: kept with its date, asked for daily, billed where its stack says so."""

from datetime import timedelta
from decimal import Decimal

import pytest
import sqlalchemy as sa
from pydantic import ValidationError
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import Session

from orchestrator import usage
from orchestrator.database import member_session, territory_session
from orchestrator.errors import Conflict
from orchestrator.events import Owner
from orchestrator.settings import ROOT
from orchestrator.tables import Flow, Resource, Service
from orchestrator.tables_usage import MeterSample
from tenants import (
    catalogue,
    finance,
    orders,
    periods,
    prices,
    stacks,
    statements,
    statements_intervals,
    trade_meters,
    usage_working,
)
from tenants.tables import Meter, Offer
from tests.tenants.ledger import BOOK, LATER, PARIS, Ledger, at, closed_before
from tests.tenants.ordering import NOW, count_trades, member, seed, shipped
from tests.tenants.test_adjustments import END, adjusted, closed

MONTH = "2026-03"
STACK = {
    "slug": "video-light",
    "meters": [
        {"code": "cameras", "label": {"fr": "Caméras", "en": "Cameras"}, "unit": {"fr": "caméras", "en": "cameras"}},
        {"code": "minutes", "label": {"fr": "Minutes", "en": "Minutes"}, "unit": {"fr": "minutes", "en": "minutes"}},
    ],
    "price": [{"meter": "cameras", "quantity": "4"}],
}
CAMERAS = "video_light_cameras"


def filled(session: Session) -> Service:
    """A service that ran from 1 March to 26 March, with a price for cameras."""
    ledger = Ledger(session)
    ledger.member("a", 1, 10)
    trade_meters.ensure(session, STACK)
    trade_meters.ensure(session, STACK)
    ledger.prices(("2026-01-01", BOOK | {CAMERAS: "0.01"}))
    service = ledger.service("a", "video")
    ledger.server(service, ("launched", "2026-03-01 00:00", 1, 1024), ("serving", "2026-03-01 00:00", 1, 1024),
                  ("deleted", "2026-03-26 00:00", 1, 1024))  # fmt: skip
    return service


def sample(session: Session, service: Service, when: str, **counted: int) -> None:
    usage.keep(session, Owner(service.member_id, service.id, None), "video-light", counted, at(when))


@pytest.mark.slow
def test_a_count_holds_until_the_next_one(staff: sa.Engine, web: sa.Engine) -> None:
    with territory_session(staff, "test") as session:
        service = filled(session)
        sample(session, service, "2026-03-11 04:00", cameras=4, minutes=99)
        sample(session, service, "2026-03-21 04:00", cameras=6)
        sample(session, service, "2026-03-21 04:00", cameras=6)
        sample(session, service, "2026-03-25 04:00", cameras=0)
        periods.draft(session, MONTH, finance.Sharing(), LATER, PARIS)
        assert periods.check(session, MONTH) == []
        [document] = statements.documents(session, periods.find(session, MONTH))
        [line] = [line for line in document["lines"] if line["meter"] == CAMERAS]
        # before the first: nothing; 10 days of 4, 4 days of 6, then none
        assert Decimal(line["unit_seconds"]) == (10 * 4 + 4 * 6) * 86400
        assert (line["label"], line["amount"]) == ("Caméras (video-light)", "15.36")
        row = session.get_one(Service, service.id)
        last = [(one["label"]["fr"], one["quantity"], one["at"], one["billed"])
                for one in trade_meters.counts(session, row.id, STACK)]  # fmt: skip
        assert last == [
            ("Caméras", 0, at("2026-03-25 04:00"), True), ("Minutes", 99, at("2026-03-11 04:00"), False),
        ]  # fmt: skip
        seen = statements_intervals.intervals(session, statements_intervals.line(session, 1, line["position"]))
        assert [(one["quantity"], one["sampled_at"]) for one in seen] == [
            (4, at("2026-03-11 04:00")), (6, at("2026-03-21 04:00")),
        ]  # fmt: skip
        assert not [line for line in document["lines"] if "minutes" in line["meter"]]
        sample(session, row, "2026-03-24 04:00", cameras=7)  # came late
        assert {one.check for one in periods.check(session, MONTH)} == {"intervals_are_events"}
    with member_session(web, 1, "somebody") as session:
        assert session.scalar(sa.select(sa.func.count(MeterSample.id))) == 5
    with member_session(web, 2, "somebody else") as session:
        assert session.scalar(sa.select(sa.func.count(MeterSample.id))) == 0


@pytest.mark.slow
def test_what_is_told_late_of_a_first_server_bills_no_count_twice(staff: sa.Engine, owner: sa.Engine) -> None:
    with territory_session(staff, "test") as session:
        service = filled(session)
        first = session.scalars(sa.select(Resource)).one()
        first.deleted_at = at("2026-03-26")
        session.flush()
        Ledger(session).server(service, ("launched", "2026-03-26 00:00", 1, 1024),
                               ("serving", "2026-03-26 00:00", 1, 1024), cloud_id="second")  # fmt: skip
        sample(session, service, "2026-03-11 04:00", cameras=4)
        closed(session, MONTH)
    closed_before(owner, {MONTH: 10})
    with territory_session(staff, "test") as session:
        Ledger(session).tell(first, "stopped", "2026-03-05 00:00", {"vcpus": 1, "ram_mib": 1024})
        periods.draft(session, "2026-04", finance.Sharing(), END, PARIS)
        assert {line["meter"] for line in adjusted(session, "2026-04", "a")} == {
            "vcpu", "ram", "vcpu_stopped", "ram_stopped"}  # fmt: skip
        assert periods.check(session, "2026-04") == []


def test_a_count_is_a_fact_and_ends_with_its_service(staff: sa.Engine, owner: sa.Engine) -> None:
    with territory_session(staff, "test") as session:
        sample(session, filled(session), "2026-02-27 04:00", cameras=1)
        periods.draft(session, MONTH, finance.Sharing(), LATER, PARIS)
        [document] = statements.documents(session, periods.find(session, MONTH))
        [line] = [line for line in document["lines"] if line["meter"] == CAMERAS]
        assert Decimal(line["unit_seconds"]) == 25 * 86400 + 3600  # from midnight in Paris to its end
    for change in ("UPDATE meter_samples SET quantity = 9", "DELETE FROM meter_samples"):
        with pytest.raises(DatabaseError) as refused, owner.begin() as connection:
            connection.execute(sa.text(change))
        assert refused.value.orig.sqlstate == "CL001"


def test_a_billed_meter_without_a_price_stops_with_its_name(staff: sa.Engine) -> None:
    with territory_session(staff, "test") as session:
        ledger = Ledger(session)
        ledger.member("a", 1, 10)
        trade_meters.ensure(session, STACK)
        ledger.prices(("2026-01-01", BOOK))
        service = ledger.service("a", "video")
        ledger.server(service, ("serving", "2026-03-01 00:00", 1, 1024))
        sample(session, service, "2026-03-11 04:00", cameras=4)
        with pytest.raises(Conflict) as error:
            periods.draft(session, MONTH, finance.Sharing(), LATER, PARIS)
        assert error.value.facts == {"meter": CAMERAS, "at": at("2026-03-11 04:00").isoformat()}


def test_an_estimate_expects_what_the_stack_says(staff: sa.Engine) -> None:
    with territory_session(staff, "test") as session:
        filled(session)
        offer = Offer(slug="v", version=1, kind="stack", vcpus=1, ram_mib=1024, stack=STACK)
        estimate = prices.in_force(session, at("2026-03-01 00:00")).service(catalogue.components(offer))
        assert [(line.meter, line.amount) for line in estimate.lines][-1] == (CAMERAS, Decimal("29.20"))
        assert session.scalars(sa.select(Meter.id).where(Meter.code == CAMERAS)).one() == trade_meters.FIRST


def test_the_shipped_book_has_a_price_for_all_that_shipped_stacks_bill(staff: sa.Engine) -> None:
    with territory_session(staff, "test") as session:
        count_trades(session)
        prices.apply(session, finance.price_book(ROOT / "tenants" / "territories" / "vallombre"), PARIS)
        book = prices.in_force(session, at("2026-11-01 00:00"))
        found = {}
        for stack in shipped():
            offer = Offer(slug="o", version=1, kind="stack", vcpus=1, ram_mib=1024, stack=dict(stack))
            lines = book.service(catalogue.components(offer), application=True).lines
            found |= {line.meter: line.amount for line in lines if line.meter.startswith(stack["slug"])}
        assert found == {
            "collaboration_accounts": Decimal("5.11"), "library_borrowers": Decimal("4.38"),
            "school_pupils": Decimal("14.60"), "video_cameras": Decimal("32.12"), "website_media_mib": Decimal("0.73"),
        }  # fmt: skip


def test_an_application_without_a_price_is_not_ordered(owner: sa.Engine) -> None:
    seed(owner)
    commune = member(owner)
    with territory_session(owner, "test") as session:
        catalogue.load(session, places=[ROOT / "playbooks" / "stacks"])
        with pytest.raises(Conflict) as error:
            orders.place(session, commune, "school-small", {"name": "ecoles", "disk_gib": 10}, "k", NOW)
        assert (error.value.code, error.value.facts) == (
            "missing_price", {"meter": "school_pupils", "at": NOW.isoformat()},
        )  # fmt: skip


def test_a_stack_bills_only_what_it_counts() -> None:
    declared = stacks.read_all([stacks.ROOT / "playbooks" / "stacks"])[0].model_dump(by_alias=True)
    with pytest.raises(ValidationError, match="ne se compte pas"):
        stacks.Declared.model_validate({**declared, "price": [{"meter": "nothing", "quantity": "1"}]})


def test_counts_are_asked_for_once_a_day(owner: sa.Engine) -> None:
    morning = at("2026-03-10 04:30")  # 05:30 in Paris
    with territory_session(owner, "test") as session:
        service = filled(session)
        session.add(Offer(slug="v", version=1, kind="stack", vcpus=1, ram_mib=1024, flavor="s", stack=STACK, title={},
                          summary={}, parameters={}))  # fmt: skip
        service.created_at = morning - timedelta(days=9)
        service.specification = {"offer": "v", "offer_version": 1, "stack": {"slug": "video-light"}}
        session.flush()

        def due(when: timedelta) -> list[int]:
            return usage_working.due(session, morning + when, 5, PARIS)

        assert due(timedelta(0)) == [service.id]
        sample(session, service, "2026-03-09 23:30", cameras=1)  # a backup of the night counted
        assert due(timedelta(0)) == []
        assert due(timedelta(days=1)) == [service.id]
        session.add(Flow(member_id=service.member_id, service_id=service.id, kind="count_service", state="failed",
                         requested_by="t", queued_at=morning + timedelta(days=1), ended_at=morning))  # fmt: skip
        session.flush()
        assert due(timedelta(days=1, hours=3)) == []
        assert due(timedelta(days=2)) == [service.id]
        service.created_at = morning + timedelta(days=1, hours=20)
        session.flush()
        assert due(timedelta(days=2)) == [service.id]
        service.created_at = morning + timedelta(days=2)
        session.flush()
        assert due(timedelta(days=2)) == []
        service.created_at = morning
        service.state = "stopped"
        session.flush()
        assert due(timedelta(days=2)) == []
