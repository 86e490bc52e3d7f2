"""Events → intervals."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from decimal import Decimal

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DatabaseError, IntegrityError
from sqlalchemy.orm import Session

from orchestrator.database import territory_session
from tenants import comparison, metering, periods
from tenants.tables import Period
from tests.orchestrator.flowing import eventually
from tests.tenants.ledger import LATER, PARIS, Ledger, at

Found = list[tuple[str, Decimal, datetime, datetime]]


def period(session: Session, label: str = "2026-03") -> Period:
    found = Period(label=label, during=periods.bounds(label, PARIS))
    session.add(found)
    session.flush()
    return found


def usage(session: Session, of: Period, until: datetime = LATER) -> Found:
    metering.meter(session, of, until)
    rows = session.execute(
        sa.text(
            "SELECT m.code, u.quantity, lower(u.during), upper(u.during) FROM usage_intervals u"
            " JOIN meters m ON m.id = u.meter_id WHERE u.period_id = :p ORDER BY u.resource_id, m.id, u.during"
        ),
        {"p": of.id},
    )
    return [tuple(row) for row in rows]


# March 2026 in Paris: 2026-02-28 23:00 UTC (winter) to 2026-03-31 22:00 UTC (summer).
FIRST, LAST = at("2026-02-28 23:00"), at("2026-03-31 22:00")


def test_life_of_a_server(staff: sa.Engine) -> None:
    with territory_session(staff, "test") as session:
        ledger = Ledger(session)
        ledger.member("a", 1, 10)
        ledger.server(
            ledger.service("a", "web"),
            ("launched", "2026-03-10 10:00:00.000001", 1, 1536),
            ("serving", "2026-03-10 10:01:00.250000", 1, 1536),
            ("stopped", "2026-03-11 10:00", 1, 1536),
            ("resized", "2026-03-11 12:00", 2, 2048),
            ("started", "2026-03-12 10:00", 2, 2048),
            ("deleted", "2026-03-13 10:00", 2, 2048),
            ("started", "2026-03-13 10:00:01", 2, 2048),
        )
        found = usage(session, period(session))
    launched, serving = at("2026-03-10 10:00:00.000001"), at("2026-03-10 10:01:00.250000")
    stopped, resized = at("2026-03-11 10:00"), at("2026-03-11 12:00")
    started, deleted = at("2026-03-12 10:00"), at("2026-03-13 10:00")
    assert found == [
        ("server", 1, launched, deleted),
        ("vcpu", 1, serving, stopped),
        ("vcpu", 2, started, deleted),
        ("ram", Decimal("1.5"), serving, stopped),
        ("ram", 2, started, deleted),
        ("vcpu_stopped", 1, stopped, resized),
        ("vcpu_stopped", 2, resized, started),
        ("ram_stopped", Decimal("1.5"), stopped, resized),
        ("ram_stopped", 2, resized, started),
    ]


def test_a_creation_that_failed_is_not_billed(staff: sa.Engine) -> None:
    with territory_session(staff, "test") as session:
        ledger = Ledger(session)
        ledger.member("a", 1, 10)
        service = ledger.service("a", "web")
        ledger.volume(service, ("created", "2026-03-10 10:00", 10), ("deleted", "2026-03-10 10:02", 10))
        ledger.address(service, ("created", "2026-03-10 10:00"), ("deleted", "2026-03-10 10:02"))
        ledger.server(service, ("launched", "2026-03-10 10:00", 1, 1024), ("deleted", "2026-03-10 10:02", 1, 1024))
        march = period(session)
        assert {code for code, *_ in usage(session, march)} == {"server", "volume", "public_address"}
        service.state = "failed"
        session.flush()
        # The cloud's own count is still compared with ours.
        assert [code for code, *_ in usage(session, march)] == ["server"]


def test_clipped_to_the_period_and_to_now(staff: sa.Engine) -> None:
    with territory_session(staff, "test") as session:
        ledger = Ledger(session)
        ledger.member("a", 1, 10)
        service = ledger.service("a", "web")
        # Before the month: only the state at its start counts.
        ledger.volume(service, ("created", "2025-12-01 00:00", 10), ("resized", "2026-01-05 00:00", 20))
        ledger.address(service, ("created", "2026-03-31 21:59:59.999999"))
        gone = ledger.service("a", "gone")
        ledger.volume(gone, ("created", "2026-01-01 00:00", 5), ("deleted", "2026-02-28 23:00", 5))
        march = period(session)
        assert usage(session, march) == [
            ("volume", 20, FIRST, LAST),
            ("public_address", 1, at("2026-03-31 21:59:59.999999"), LAST),
        ]
        assert usage(session, march, at("2026-03-02 00:00")) == [("volume", 20, FIRST, at("2026-03-02 00:00"))]
        assert march.metered_until == at("2026-03-02 00:00")


@pytest.mark.parametrize(("label", "hours"), [("2026-03", 743), ("2026-10", 745), ("2026-02", 672), ("2026-07", 744)])
def test_months_where_the_clock_changes(staff: sa.Engine, label: str, hours: int) -> None:
    with territory_session(staff, "test") as session:
        ledger = Ledger(session)
        ledger.member("a", 1, 10)
        ledger.address(ledger.service("a", "web"), ("created", "2026-01-01 00:00"))
        [(_, _, start, end)] = usage(session, period(session, label), at("2027-01-01 00:00"))
    assert (end - start).total_seconds() == hours * 3600


def test_derive_filters_by_member_and_resource(staff: sa.Engine) -> None:
    with territory_session(staff, "test") as session:
        ledger = Ledger(session)
        for number, slug in enumerate("ab", 1):
            ledger.member(slug, number, 10)
            last = ledger.address(ledger.service(slug, "web"), ("created", "2026-03-01 00:00"))
        march = period(session)
        assert len(metering.derive(session, march, LATER)) == 2
        of_a = metering.derive(session, march, LATER, member_id=ledger.members["a"].id)
        assert [row.member_id for row in of_a] == [ledger.members["a"].id]
        assert [row.resource_id for row in metering.derive(session, march, LATER, resource_id=last)] == [last]


@pytest.mark.parametrize(
    ("during", "state"),
    [
        ("[2026-03-05 00:00+00,2026-03-06 00:00+00)", "23P01"),
        ("[2026-03-10 23:59:59.999999+00,2026-03-12 00:00+00)", "23P01"),
        ("[2026-03-11 00:00+00,2026-03-12 00:00+00)", None),
        ("[2026-03-20 00:00+00,2026-03-21 00:00+00]", "23514"),
        ("[2026-03-20 00:00+00,)", "23514"),
        ("empty", "23514"),
        ("[2026-02-20 00:00+00,2026-02-21 00:00+00)", "23503"),
        ("[2026-03-31 00:00+00,2026-04-01 00:00+00)", "23503"),
    ],
)
def test_database_refuses_overlapping_usage(staff: sa.Engine, owner: sa.Engine, during: str, state: str | None) -> None:
    with territory_session(staff, "test") as session:
        ledger = Ledger(session)
        ledger.member("a", 1, 10)
        ledger.address(ledger.service("a", "web"), ("created", "2026-03-01 00:00"), ("deleted", "2026-03-11 00:00"))
        usage(session, period(session))
    insert = sa.text(
        "INSERT INTO usage_intervals (period_id, resource_id, member_id, meter_id, quantity, during)"
        " SELECT period_id, resource_id, member_id, meter_id, 1, CAST(:during AS tstzrange) FROM usage_intervals"
    )
    try:
        with owner.begin() as connection:
            connection.execute(insert, {"during": during})
        refused = None
    except (DatabaseError, IntegrityError) as error:
        refused = error.orig.sqlstate
    assert refused == state


def test_two_who_write_at_once_cannot_overlap(staff: sa.Engine, owner: sa.Engine) -> None:
    with territory_session(staff, "test") as session:
        ledger = Ledger(session)
        ledger.member("a", 1, 10)
        ledger.address(ledger.service("a", "web"), ("created", "2026-03-01 00:00"), ("deleted", "2026-03-02 00:00"))
        usage(session, period(session))
    insert = sa.text(
        "INSERT INTO usage_intervals (period_id, resource_id, member_id, meter_id, quantity, during)"
        " SELECT period_id, resource_id, member_id, meter_id, 1, CAST(:during AS tstzrange)"
        " FROM usage_intervals LIMIT 1"
    )

    def write(during: str, **options: str) -> str | None:
        try:
            with owner.connect().execution_options(**options) as connection, connection.begin():
                connection.execute(insert, {"during": during})
        except (DatabaseError, IntegrityError) as error:
            return str(error.orig.sqlstate)
        return None

    with owner.connect() as first, ThreadPoolExecutor(1) as beside:
        first.execute(insert, {"during": "[2026-03-10 00:00+00,2026-03-12 00:00+00)"})
        second = beside.submit(write, "[2026-03-11 00:00+00,2026-03-13 00:00+00)")
        with owner.connect().execution_options(isolation_level="AUTOCOMMIT") as onlooker:
            waiting = (
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            eventually(lambda: onlooker.execute(sa.text(waiting)).scalar_one() == 1, "the second waits")
        first.commit()
        assert second.result(timeout=30) == "23P01"
    assert write("[2026-03-20 00:00+00,2026-03-21 00:00+00)", isolation_level="REPEATABLE READ") == "0A000"
    assert write("[2026-03-20 00:00+00,2026-03-21 00:00+00)") is None


def test_what_usage_points_at_stays(staff: sa.Engine, owner: sa.Engine) -> None:
    with territory_session(staff, "test") as session:
        ledger = Ledger(session)
        ledger.member("a", 1, 10)
        ledger.address(ledger.service("a", "web"), ("created", "2026-03-01 00:00"))
        usage(session, period(session))
    refused = []
    attempts = ["DELETE FROM periods", "DELETE FROM meters", "UPDATE resources SET member_id = member_id"]
    attempts += [f"UPDATE usage_intervals SET {column} = 9999" for column in ("meter_id", "resource_id", "period_id")]
    for attempt in attempts:
        with pytest.raises(IntegrityError) as error, owner.begin() as connection:
            connection.execute(sa.text(attempt))
        refused.append(error.value.orig.sqlstate)
    assert refused == ["23503"] * len(attempts)


def test_hours_beside_the_clouds(staff: sa.Engine) -> None:
    with territory_session(staff, "test") as session:
        ledger = Ledger(session)
        ledger.member("a", 1, 10)
        ledger.server(
            ledger.service("a", "one"),
            ("launched", "2026-03-01 00:00", 1, 1024),
            ("deleted", "2026-03-01 03:00", 1, 1024),
            cloud_id="one",
        )
        ledger.server(ledger.service("a", "two"), ("launched", "2026-03-01 00:00", 1, 1024), cloud_id="two")
        told = [
            ("one", at("2026-03-01 00:00:01"), at("2026-03-01 03:00")),
            ("other", at("2026-03-01 00:00"), None),
        ]
        # A local window over the night when the clock goes forward.
        march = periods.bounds("2026-03", PARIS)
        one, other, two = comparison.compare(session, told, march.lower, march.upper)
    assert (one.ours, one.running_since) == (3, None)
    assert round(one.difference * 3600) == 1
    assert (other.ours, other.cloud) == (0, 742)
    assert (two.ours, two.cloud, two.running_since) == (742, 0, at("2026-03-01 00:00"))
