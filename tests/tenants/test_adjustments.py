"""Facts that come after their month was closed: lines of the next one, which sum to what was true.

Worked by hand, in euros, on the closed March of test_month:
- breval/ecole, volume of 20 GiB from 10 March 10:00, told as deleted on 30 March 12:05: 482 h 05 min, 1.157 → 1.16. It
  was in truth deleted on 20 March 10:00: 240 h, 0.576 → 0.58. The line of April: 20 × −242 h 05 min, −0.58.
- aubrac/mairie, told later to have stopped on 13 March at noon for good. vCPU until the 15th (local midnight, 23:00 UTC
  on the 14th): 336 h less 35 h × 2 = 602 × 0.0065 = 3.913 → 3.91, so 3.91 − 4.37 = −0.46.
"""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from orchestrator.database import member_session, territory_session
from orchestrator.errors import Conflict
from orchestrator.tables import Member, Resource, ResourceEvent, Service
from tenants import (
    adjustments,
    exports,
    exports_xlsx,
    focus,
    focus_files,
    metering,
    periods,
    prices_book,
    rating,
    statements,
    statements_intervals,
)
from tenants.finance import Sharing
from tenants.focus_identity import Identity
from tenants.tables import Period, StatementLine
from tests.tenants import focus_checker
from tests.tenants.ledger import BOOK, PARIS, Ledger, at, closed_before
from tests.tenants.test_periods import close_month, refused, run
from tests.tenants.test_workbooks import cents, opened, rows

END = at("2026-12-01")


def closed(session: Session, label: str) -> Period:
    periods.draft(session, label, Sharing(), END, PARIS)
    assert periods.check(session, label) == []
    return periods.close(session, label, END)


def resource(session: Session, service: str, kind: str) -> Resource:
    query = sa.select(Resource).join(Service, Service.id == Resource.service_id)
    return session.scalars(query.where(Service.name == service, Resource.kind == kind)).one()


def deleted_earlier(session: Session) -> None:
    """The cloud tells that the school's volume was gone ten days before we were told."""
    Ledger(session).tell(resource(session, "ecole", "volume"), "deleted", "2026-03-20 10:00", {"disk_gib": 20})


def adjusted(session: Session, label: str, member: str = "breval") -> list[dict[str, Any]]:
    [document] = statements.documents(session, periods.find(session, label), member)
    return [line for line in document["lines"] if line["kind"] == "adjustment"]


@pytest.mark.slow
def test_a_deletion_told_late_is_a_line_of_the_next_month(staff: sa.Engine, web: sa.Engine) -> None:
    close_month(staff)
    with territory_session(staff, "test") as session:
        deleted_earlier(session)
        before = statements.documents(session, periods.find(session, "2026-03"))
        for _ in range(2):  # drafted again, it is the same
            periods.draft(session, "2026-04", Sharing(), END, PARIS)
            [line] = adjusted(session, "2026-04")
            assert (line["service"], line["meter"], line["corrects"]) == ("ecole", "volume", "2026-03")
            assert Decimal(line["unit_seconds"]) == -20 * (242 * 3600 + 300)
            assert (line["amount"], line["hourly"], line["book"]) == ("-0.58", "0.00012000", "Tarif 2026-01-01")
        closed(session, "2026-04")
        assert adjusted(session, "2026-04") == [line]
        [whole] = statements.documents(session, periods.find(session, "2026-04"), "breval")
        assert (whole["usage"], whole["adjustments"], whole["total"]) == ("0.00", "-0.58", "-0.58")
        # It names the line: the same service, meter and price, at that place of the closed statement.
        [march] = [one for one in before if one["member"]["slug"] == "breval"]
        named = march["lines"][line["corrects_position"] - 1]
        assert {name: named[name] for name in ("service_ref", "meter", "hourly", "book", "price_from")} == {
            name: line[name] for name in ("service_ref", "meter", "hourly", "book", "price_from")}  # fmt: skip
        assert Decimal(named["amount"]) + Decimal(line["amount"]) == Decimal("0.58")
        # The closed month did not move, and once corrected it is not corrected again.
        assert statements.documents(session, periods.find(session, "2026-03")) == before
        closed(session, "2026-05")
        assert adjusted(session, "2026-05") == []
        assert statements.first_break(session) is None
        breval = session.scalars(sa.select(Member.id).where(Member.slug == "breval")).one()
    with member_session(web, breval, "payer") as session:
        [row] = [one for one in statements.listed(session) if one["period"] == "2026-04"]
        found = statements_intervals.intervals(session, statements_intervals.line(session, row["id"], line["position"]))
    assert [(one["counted"], one["quantity"], one["from"], one["until"]) for one in found] == [
        (20, 0, at("2026-03-20 10:00"), at("2026-03-30 12:05"))
    ]


@pytest.mark.slow
def test_what_a_month_corrected_is_not_looked_at_again(staff: sa.Engine, owner: sa.Engine) -> None:
    close_month(staff)
    with territory_session(staff, "test") as session:
        closed(session, "2026-04")
        volume = resource(session, "ecole", "volume")
    closed_before(owner, {"2026-03": 10, "2026-04": 5})
    for days, looked_at in ((7, []), (3, ["2026-03", "2026-04"])):
        with territory_session(staff, "test") as session:
            session.execute(sa.insert(ResourceEvent).values(
                resource_id=volume.id, member_id=volume.member_id, kind="resized", disk_gib=20 + days,
                at=at("2026-03-21 10:00") + timedelta(days=days),
                recorded_at=sa.func.now() - timedelta(days=days)))  # fmt: skip
            may = periods.draft(session, "2026-05", Sharing(), END, PARIS)
            assert [month.label for month, _ in adjustments.correct(session, may)] == looked_at


@pytest.mark.slow
def test_each_correction_refers_to_what_is_left(staff: sa.Engine) -> None:
    close_month(staff)
    with territory_session(staff, "test") as session:
        deleted_earlier(session)
        closed(session, "2026-04")
        ledger, volume = Ledger(session), resource(session, "ecole", "volume")
        ledger.tell(volume, "deleted", "2026-03-15 10:00", {"disk_gib": 20})
        closed(session, "2026-05")
        [line] = adjusted(session, "2026-05")
        assert Decimal(line["unit_seconds"]) == -20 * 120 * 3600
        assert Decimal("1.16") + Decimal("-0.58") + Decimal(line["amount"]) == Decimal("0.29")
        # What was never counted, at two prices, of another member: lines that the month had not.
        server = ledger.server(
            ledger.service_of("aubrac", "oubli"), ("launched", "2026-03-14 22:00", 1, 1024),
            ("serving", "2026-03-14 22:00", 1, 1024), ("deleted", "2026-03-15 00:00", 1, 1024),
        )  # fmt: skip
        assert server
        closed(session, "2026-06")
        lines = adjusted(session, "2026-06", "aubrac")
        assert [(one["meter"], one["unit_seconds"], one["amount"], one["corrects_position"]) for one in lines] == [
            ("vcpu", "3600", "0.01", None), ("vcpu", "3600", "0.01", None), ("ram", "7200", "0.01", None)
        ]  # fmt: skip
        assert true_now(session, "2026-03") == told(session, "2026-03")


@pytest.mark.slow
def test_only_the_first_open_month_takes_it(staff: sa.Engine) -> None:
    close_month(staff)
    with territory_session(staff, "test") as session:
        deleted_earlier(session)
        periods.draft(session, "2026-05", Sharing(), END, PARIS)
        assert len(adjusted(session, "2026-05")) == 1
        periods.draft(session, "2026-04", Sharing(), END, PARIS)
        assert len(adjusted(session, "2026-04")) == 1
        # April is open now: it comes before.
        assert {one.check for one in periods.check(session, "2026-05")} == {"corrections_are_events"}
        periods.draft(session, "2026-05", Sharing(), END, PARIS)
        assert adjusted(session, "2026-05") == []
        assert periods.check(session, "2026-05") == [] == periods.check(session, "2026-04")
        assert {one["amount"] for one in adjusted(session, "2026-04")} == {"-0.58"}
    with territory_session(staff, "test") as session:
        # Between check and close something is told again.
        Ledger(session).tell(resource(session, "ecole", "volume"), "deleted", "2026-03-12 10:00", {"disk_gib": 20})
    with refused("not_checked"), territory_session(staff, "test") as session:
        periods.close(session, "2026-04", END)


@pytest.mark.slow
def test_shares_of_the_closed_month_stay_and_keys_do_not_weigh_corrections(staff: sa.Engine) -> None:
    close_month(staff)
    with territory_session(staff, "test") as session:
        deleted_earlier(session)
        ledger = Ledger(session)
        april = ledger.sharing({}, {"energie": ("usage", "10.00")})
        periods.draft(session, "2026-04", april, END, PARIS)
        assert periods.check(session, "2026-04") == []
        # Only aubrac uses something in April, where breval has a correction.
        shares = session.execute(
            sa.select(Member.slug, StatementLine.amount).join(Member, Member.id == StatementLine.member_id)
            .join(Period, Period.id == StatementLine.period_id)
            .where(StatementLine.kind == "share", Period.label == "2026-04", StatementLine.amount != 0)
        ).all()  # fmt: skip
        assert [slug for slug, _ in shares if slug == "breval"] == []
        assert sum(amount for _, amount in shares) == 10


@pytest.mark.slow
def test_who_left_and_is_only_corrected_bears_no_common_cost(staff: sa.Engine) -> None:
    close_month(staff)
    with territory_session(staff, "test") as session:
        deleted_earlier(session)
        session.scalars(sa.select(Member).where(Member.slug == "breval")).one().state = "closed"
        session.flush()
        declared = Ledger(session).sharing(
            {"moitie": {"population": "0.5", "equal": "0.5"}}, {"exploitation": ("moitie", "90.00")}
        )
        april = periods.draft(session, "2026-04", declared, END, PARIS)
        assert periods.check(session, "2026-04") == []
        told = {one["member"]["slug"]: one for one in statements.documents(session, april)}
    # 45 by 1000 and 500 inhabitants, 45 in three parts: the company has none of the first.
    assert {slug: one["shares"] for slug, one in told.items()} == {
        "aubrac": "45.00", "breval": "0.00", "cidre": "15.00", "desert": "30.00",
    }  # fmt: skip
    assert told["breval"]["total"] == told["breval"]["adjustments"] == "-0.58"


@pytest.mark.slow
def test_a_creation_that_failed_after_the_close_is_given_back(staff: sa.Engine) -> None:
    close_month(staff)
    with territory_session(staff, "test") as session:
        service = session.scalars(sa.select(Service).where(Service.name == "atelier")).one()
        service.state, service.changed_at = "failed", END
        session.flush()
        closed(session, "2026-04")
        assert sum(Decimal(line["amount"]) for line in adjusted(session, "2026-04", "cidre")) == Decimal("-0.02")
        assert true_now(session, "2026-03") == told(session, "2026-03")


@pytest.mark.slow
def test_what_a_month_had_no_price_for_is_named(staff: sa.Engine) -> None:
    with territory_session(staff, "test") as session:
        ledger = Ledger(session)
        ledger.member("a", 1, 10)
        ledger.prices(("2026-01-01", {name: price for name, price in BOOK.items() if name != "volume"}))
        closed(session, "2026-03")
        ledger.volume(
            ledger.service("a", "web"), ("created", "2026-03-20 00:00", 1), ("deleted", "2026-03-21 00:00", 1)
        )
        with pytest.raises(Conflict) as error:
            periods.draft(session, "2026-04", Sharing(), END, PARIS)
    assert (error.value.code, error.value.facts["meter"]) == ("missing_price", "volume")
    assert error.value.facts["at"] == at("2026-03-20").isoformat()


@pytest.mark.slow
@pytest.mark.parametrize("role", ["owner", "staff"])
def test_corrections_are_sealed_with_their_month(owner: sa.Engine, staff: sa.Engine, role: str) -> None:
    close_month(staff)
    with territory_session(staff, "test") as session:
        deleted_earlier(session)
        closed(session, "2026-04")
    attempts = [
        "UPDATE usage_corrections SET quantity = 5", "DELETE FROM usage_corrections", "TRUNCATE usage_corrections",
        "INSERT INTO usage_corrections (period_id, corrects_id, resource_id, member_id, meter_id, counted, quantity,"
        " during) SELECT period_id, corrects_id, resource_id, member_id, 1, 1, 0, during FROM usage_corrections",
        "UPDATE statement_lines SET amount = 0 WHERE kind = 'adjustment'",
    ]  # fmt: skip
    for attempt in attempts:
        state = run(owner if role == "owner" else staff, attempt)
        assert state == "CL002" or (role == "staff" and state == "42501"), (attempt, state)


@pytest.mark.slow
def test_files_say_what_is_corrected(staff: sa.Engine) -> None:
    """CSV, JSON, workbook and FOCUS of April: the same line, by each one's form."""
    close_month(staff)
    with territory_session(staff, "test") as session:
        deleted_earlier(session)
        april = closed(session, "2026-04")
        documents = statements.documents(session, april)
        [line] = adjusted(session, "2026-04")
        [row] = statements.listed(session, "2026-04", "breval")
        held = statements_intervals.all_intervals(session, row["id"])
        charges = list(focus.rows(session, april, documents, Identity(name="Vallombre", siret="24000001800012")))
        for version in ("1.2", "1.4"):
            content = focus_files.as_csv(charges, version)
            owed = {focus.invoice_id(one): Decimal(one["payable"]) for one in documents if one["lines"]}
            assert focus_checker.faults(focus_checker.of_csv(content, version), version, owed) == []
    breval = next(one for one in documents if one["member"]["slug"] == "breval")
    assert json.loads(exports.json_file([breval]))[0]["lines"] == breval["lines"]
    told = exports.csv_file([breval], PARIS).decode("utf-8-sig").split("\r\n")
    assert told[0].endswith(';"Mois rectifié";"Ligne rectifiée";"Paiement"')
    assert [row for row in told if "rectification" in row] == [
        f'"2026-04";"";"Breval";"000000002";"00000000200015";{line["position"]};"rectification";"ecole";'
        f'"Volume de données";"Gio";-4841,666667;0,00012000;"Tarif 2026-01-01";;;;;-0,58;"01/04/2026";"30/04/2026";'
        f'"2026-03";{line["corrects_position"]};'
    ]
    book = opened(exports_xlsx.xlsx_file("2026-04", [breval], PARIS, held))
    [summed], [written] = rows(book, "Synthèse"), rows(book, "Rectifications")
    assert (cents(summed["Rectifications (EUR)"]), cents(summed["Total (EUR)"])) == (Decimal("-0.58"),) * 2
    assert (written["Mois rectifié"], written["Ligne rectifiée"]) == ("2026-03", line["corrects_position"])
    [interval] = [one for one in rows(book, "Intervalles") if one["Ligne"] == line["position"]]
    assert (interval["Quantité"], interval["Quantité (unité × heure)"]) == (-20, -4841.666667)
    [charge] = [one for one in charges if one.get("ChargeClass") == "Correction"]
    assert (charge["InvoiceId"], charge["BilledCost"]) == ("2026-04-00000000200015", Decimal("-0.58"))
    assert charge["x_CorrectedLine"] == f"2026-03-00000000200015/{line['corrects_position']}"
    assert (charge["ChargePeriodStart"], charge["ChargePeriodEnd"]) == (at("2026-02-28 23:00"), at("2026-03-31 22:00"))


# By proof, what breaks it.
adjusting = {
    "adjusted_usage_is_billed": [
        "UPDATE statement_lines SET unit_seconds = unit_seconds + 1 WHERE kind = 'adjustment'",
        "DELETE FROM statement_lines WHERE kind = 'adjustment'"],
    "adjusted_amount_is_usage_times_price": [
        "UPDATE statement_lines SET amount = amount - 1 WHERE kind = 'adjustment'"],
    "one_adjustment_of_each_line": [
        "INSERT INTO statement_lines (statement_id, period_id, member_id, position, kind, service_id, meter_id,"
        " price_id, unit_seconds, amount, corrects_id, corrects_position) SELECT statement_id, period_id, member_id,"
        " 60, kind, service_id, meter_id, price_id, 0, 0, corrects_id, corrects_position FROM statement_lines"
        " WHERE kind = 'adjustment'"],
    "adjustment_names_its_line": ["UPDATE statement_lines SET corrects_position = 1 WHERE kind = 'adjustment'"],
    "adjusted_month_is_closed": [
        "INSERT INTO periods (label, during) VALUES ('2026-02', tstzrange('2026-01-31 23:00Z', '2026-02-28 23:00Z'));"
        " UPDATE statement_lines SET corrects_id = (SELECT id FROM periods WHERE label = '2026-02')"
        " WHERE kind = 'adjustment'"],
    "correction_is_inside_its_month": [
        "UPDATE usage_corrections SET during = tstzrange(lower(during), '2026-04-02Z')"],
    "corrections_are_events": ["UPDATE usage_corrections SET quantity = 5", "DELETE FROM usage_corrections"],
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("proof", "change"), [(proof, one) for proof, changes in adjusting.items() for one in changes])
def test_what_does_not_add_up_is_not_closed(staff: sa.Engine, owner: sa.Engine, proof: str, change: str) -> None:
    close_month(staff)
    with territory_session(staff, "test") as session:
        deleted_earlier(session)
        periods.draft(session, "2026-04", Sharing(), END, PARIS)
        assert periods.check(session, "2026-04") == []
    with owner.begin() as connection:
        for statement in change.split(";"):
            assert connection.execute(sa.text(statement)).rowcount
    with pytest.raises(Conflict) as stopped, territory_session(staff, "finance") as session:
        periods.close(session, "2026-04", END)
    assert proof in stopped.value.facts["checks"]


def true_now(session: Session, label: str) -> dict[tuple[Any, ...], tuple[Decimal, Decimal]]:
    """The closed month metered and rated again from all that is known now: by line, unit-seconds and euros."""
    period = periods.find(session, label)
    query = sa.text(f"""
        WITH {prices_book.book()}
        SELECT service_id, meter_id, price_id, unit_seconds, {prices_book.ROUNDED} AS amount
        FROM ({rating.USED.format(source=metering.DERIVED)}) used WHERE unit_seconds <> 0""")
    chosen = metering.parameters(period, period.during.upper) | {"ends": period.during.upper}
    return {tuple(row[:3]): (row[3], row[4]) for row in session.execute(query, chosen)}


def told(session: Session, label: str) -> dict[tuple[Any, ...], tuple[Decimal, Decimal]]:
    """What closed statements say of a month, with all that corrects it."""
    corrects = sa.orm.aliased(Period)
    line = StatementLine
    query = (
        sa.select(line.service_id, line.meter_id, line.price_id, sa.func.sum(line.unit_seconds),
                  sa.func.sum(line.amount))
        .join(Period, Period.id == line.period_id).outerjoin(corrects, corrects.id == line.corrects_id)
        .where(Period.state == "closed", line.kind != "share", sa.func.coalesce(corrects.label, Period.label) == label)
        .group_by(line.service_id, line.meter_id, line.price_id).having(sa.func.sum(line.unit_seconds) != 0)
    )  # fmt: skip
    return {tuple(row[:3]): (row[3], row[4]) for row in session.execute(query)}


MONTHS = ("2026-03", "2026-04", "2026-05")
hours = st.integers(0, 24 * 100)  # from 20 February to the end of May
# Of a volume and a server: what, when, how big, and after how many closes it is told.
volume_facts = st.tuples(st.sampled_from(["resized", "deleted"]), hours, st.integers(1, 40), st.integers(0, 3))
server_facts = st.tuples(st.sampled_from(["stopped", "started", "resized", "deleted"]), hours, st.integers(1, 4),
                         st.integers(0, 3))  # fmt: skip


@pytest.mark.slow
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(volume_facts, max_size=4), st.lists(server_facts, max_size=5), st.randoms(use_true_random=False))
def test_facts_in_any_order_and_with_any_delay_sum_to_the_truth(
    staff: sa.Engine, volume: list[Any], server: list[Any], chance: Any
) -> None:
    with territory_session(staff, "test") as session:
        ledger = Ledger(session)
        ledger.prices(("2026-01-01", BOOK), ("2026-03-15", {"vcpu": "0.0071"}), ("2026-05-02", {"volume": "0.00013"}))
        ledger.member("a", 1, 10)
        service = ledger.service("a", "web")
        started = (("launched", "2026-02-25 08:00", 1, 1024), ("serving", "2026-02-25 08:01", 1, 1024))
        ledger.server(service, *started)
        ledger.volume(service, ("created", "2026-02-25 08:00", 10))
        things = {kind: resource(session, "web", kind) for kind in ("volume", "server")}
        facts = [(things["volume"], *one[:2], {"disk_gib": one[2]}, one[3]) for one in volume]
        facts += [(things["server"], *one[:2], {"vcpus": one[2], "ram_mib": one[2] * 1000}, one[3]) for one in server]
        # At instants of their own: of two facts at one instant, the one that was told last holds.
        facts = [(thing, kind, at("2026-02-20") + timedelta(hours=hour, seconds=place), size, delay)
                 for place, (thing, kind, hour, size, delay) in enumerate(facts)]  # fmt: skip
        chance.shuffle(facts)
        for closes, label in enumerate([*MONTHS, "2026-06"]):
            for thing, kind, when, size, delay in facts:
                if delay == closes:
                    ledger.tell(thing, kind, f"{when:%Y-%m-%d %H:%M:%S}", size)
            closed(session, label)
        for label in MONTHS:
            assert told(session, label) == true_now(session, label)
        session.rollback()
