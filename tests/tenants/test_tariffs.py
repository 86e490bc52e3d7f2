"""Prices by kind of member, in steps, free to a point, with fees and minimums: what a month of them costs."""

import random
import zipfile
from decimal import Decimal
from io import BytesIO
from itertools import product
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from api import statement_pdf
from orchestrator.database import territory_session
from orchestrator.errors import Conflict, InvalidInput, NotFound
from orchestrator.settings import Settings
from orchestrator.tables import Member
from tenants import (
    checks,
    costs,
    exports,
    exports_xlsx,
    finance,
    focus,
    focus_files,
    periods,
    prices,
    prices_comparison,
    prices_drafts,
    statements,
    statements_intervals,
)
from tests.tenants import focus_checker
from tests.tenants.ledger import BOOK, LATER, PARIS, Ledger, at

MONTH = "2026-03"  # 743 hours in Paris
HOURS = 743
STEPPED = {"price": "0.001", "free": "10", "steps": [{"above": "100", "price": "0.0005"}]}


def tariff(day: str, hourly: dict[str, object], kind: str | None = None) -> dict[str, object]:
    return {"from": day, "book": f"Tarif {day} {kind or ''}".strip(), "hourly": hourly} | (
        {"for": kind} if kind else {}
    )


def adopt(session: Session, *tariffs: dict[str, object]) -> None:
    prices.apply(session, finance.PriceBook.model_validate({"tariffs": list(tariffs)}), PARIS)


def lines(session: Session, member: str) -> list[tuple[object, ...]]:
    [document] = statements.documents(session, periods.find(session, MONTH), member)
    assert Decimal(document["usage"]) == sum(Decimal(line["amount"]) for line in document["lines"])
    return [(one["kind"], one["service"], one["label"], one["amount"]) for one in document["lines"]]


def proved(session: Session) -> None:
    periods.draft(session, MONTH, finance.Sharing(), LATER, PARIS)
    assert periods.check(session, MONTH) == []


@pytest.mark.slow
def test_steps_fill_from_the_oldest_service_on(staff: sa.Engine) -> None:
    with territory_session(staff, "test") as session:
        ledger = Ledger(session)
        ledger.member("a", 1, 10)
        adopt(session, tariff("2026-01-01", BOOK | {"volume": STEPPED}))
        for name, gib in (("old", 60), ("new", 90)):
            ledger.volume(ledger.service("a", name), ("created", "2026-02-01 00:00", gib))
        proved(session)
        # old: 10 free, 50 at 0.001; new: 40 at 0.001, 50 at 0.0005
        assert lines(session, "a") == [
            ("usage", "new", "Volume de données (au-delà de 10)", str(Decimal("29.72"))),
            ("usage", "new", "Volume de données (au-delà de 100)", "18.58"),
            ("usage", "old", "Volume de données (franchise de 10)", "0.00"),
            ("usage", "old", "Volume de données (au-delà de 10)", "37.15"),
        ]
        whole = costs.month(session, 1, MONTH, LATER, PARIS)
        assert whole.amount == Decimal("85.45")
        one = costs.month(session, 1, MONTH, at("2026-03-20 00:00"), PARIS, service_id=2)
        assert one.amount + one.ahead == Decimal("48.30")
        [document] = statements.documents(session, periods.find(session, MONTH))
        assert "Volume de données (au-delà de 100)".encode() in exports.csv_file([document], PARIS)


@pytest.mark.slow
def test_a_price_of_half_a_month_has_half_of_each_step(staff: sa.Engine) -> None:
    with territory_session(staff, "test") as session:
        ledger = Ledger(session)
        ledger.member("a", 1, 10)
        adopt(session, tariff("2026-01-01", BOOK | {"volume": STEPPED}))
        adopt(
            session,
            tariff("2026-01-01", BOOK | {"volume": STEPPED}),
            tariff("2026-03-11", {"volume": STEPPED | {"price": "0.002"}}),
        )
        ledger.volume(ledger.service("a", "web"), ("created", "2026-02-01 00:00", 110))
        proved(session)
        first, rest = 240, HOURS - 240
        wanted = [
            Decimal(0), Decimal(90) * first * Decimal("0.001"), Decimal(10) * first * Decimal("0.0005"),
            Decimal(0), Decimal(90) * rest * Decimal("0.002"), Decimal(10) * rest * Decimal("0.0005"),
        ]  # fmt: skip
        assert [Decimal(line[-1]) for line in lines(session, "a")] == [
            amount.quantize(Decimal("0.01"), "ROUND_HALF_UP") for amount in wanted
        ]


@pytest.mark.slow
def test_a_kind_of_members_has_its_own_price_while_it_lasts(staff: sa.Engine) -> None:
    with territory_session(staff, "test") as session:
        ledger = Ledger(session)
        ledger.member("a", 1, 10)
        ledger.member("sarl", 2, None, "company")
        adopt(session, tariff("2026-01-01", BOOK), tariff("2026-03-11", {"public_address": "0.1"}, "company"))
        for member in ("a", "sarl"):
            ledger.address(
                ledger.service(member, f"web-{member}"),
                ("created", "2026-03-10 23:00"),
                ("deleted", "2026-03-20 23:00"),
            )
            ledger.address(
                ledger.service(member, f"old-{member}"),
                ("created", "2026-03-01 23:00"),
                ("deleted", "2026-03-02 23:00"),
            )
        proved(session)
        assert [line[-1] for line in lines(session, "a")] == ["0.09", "0.91"]
        assert [line[-1] for line in lines(session, "sarl")] == ["0.09", "24.00"]
        assert prices.in_force(session, at("2026-03-12 00:00"), 2).rows["public_address"].hourly == Decimal("0.1")
        assert prices.in_force(session, at("2026-03-12 00:00")).rows["public_address"].hourly == Decimal("0.0038")


@pytest.mark.slow
def test_fees_and_minimums(staff: sa.Engine) -> None:
    book = BOOK | {"activation": "12.50", "minimum_service": "5", "minimum_member": "20.005"}
    with territory_session(staff, "test") as session:
        ledger = Ledger(session)
        ledger.member("a", 1, 10)
        ledger.member("idle", 2, 10)
        adopt(session, tariff("2026-01-01", book))
        web, old = ledger.service("a", "web"), ledger.service("a", "old")
        ledger.server(web, ("launched", "2026-03-31 09:00", 1, 1024), ("serving", "2026-03-31 10:00", 1, 1024))
        ledger.server(old, ("launched", "2026-02-01 09:00", 1, 1024), ("serving", "2026-02-01 10:00", 1, 1024))
        proved(session)
        assert lines(session, "a") == [
            ("usage", "old", "Processeur virtuel", "4.83"),
            ("usage", "old", "Mémoire vive", "1.86"),
            ("usage", "web", "Processeur virtuel", "0.08"),
            ("usage", "web", "Mémoire vive", "0.03"),
            ("fee", "web", "Mise en service d’une machine", "12.50"),
            ("minimum", "web", "Minimum par service", "4.89"),
            ("minimum", statements.ALL_SERVICES, "Minimum par membre", "8.32"),
        ]
        assert lines(session, "idle") == []
        whole = costs.month(session, 1, MONTH, LATER, PARIS)
        assert whole.amount == Decimal("32.51")
        before = costs.month(session, 1, MONTH, at("2026-03-31 12:00"), PARIS)
        assert before.forecast == Decimal("32.51")


@pytest.mark.slow
def test_any_split_gives_the_same_and_nothing_is_negative(staff: sa.Engine) -> None:
    """One volume, or the same held in pieces one after the other: the same lines. Any steps: what plain sums give."""
    chance = random.Random(7)
    with territory_session(staff, "test") as session:
        ledger = Ledger(session)
        adopt(session, tariff("2026-01-01", BOOK | {"volume": STEPPED}))
        held: dict[str, int] = {}
        for number in range(1, 9):
            ledger.member(f"m{number}", number, 10)
            held[f"m{number}"] = 0
            for place in range(chance.randrange(1, 4)):
                gib = chance.choice([1, 5, 10, 33, 90, 200])
                held[f"m{number}"] += gib
                service = ledger.service(f"m{number}", f"s{place}")
                days = sorted(chance.sample(range(1, 31), chance.randrange(0, 5)))
                # a growth to the same size is an event that cuts the interval
                cuts = [("resized", f"2026-03-{day:02} 04:05:06.7", gib) for day in days]
                ledger.volume(service, ("created", "2026-02-01 00:00", gib), *cuts)
        proved(session)
        for name, gib in held.items():
            [document] = statements.documents(session, periods.find(session, MONTH), name)
            parts: dict[int, Decimal] = {}
            for line in document["lines"]:
                assert Decimal(line["amount"]) >= 0
                parts[line["step"]] = parts.get(line["step"], Decimal(0)) + Decimal(line["unit_seconds"]) / 3600
            wanted = {1: min(gib, 10), 2: min(max(gib - 10, 0), 90), 3: max(gib - 100, 0)}
            assert parts == {step: units * HOURS for step, units in wanted.items() if units}
        first = statements.documents(session, periods.find(session, MONTH))
        proved(session)
        assert statements.documents(session, periods.find(session, MONTH)) == first


@pytest.mark.slow
@pytest.mark.parametrize(
    ("proof", "change"),
    [
        ("steps_are_filled", "UPDATE statement_lines SET step = 4 - step WHERE step IN (1, 3)"),
        ("steps_are_filled", "UPDATE statement_lines SET unit_seconds = unit_seconds + 1 WHERE step = 2"),
        ("fees_and_minimums_are_due", "UPDATE statement_lines SET amount = amount + 1 WHERE kind = 'minimum'"),
        ("fees_and_minimums_are_due", "DELETE FROM statement_lines WHERE kind = 'fee'"),
        ("lines_are_intervals", "UPDATE members SET kind = 'company'"),
    ],
)
def test_proofs_of_steps_and_fees_can_fail(staff: sa.Engine, proof: str, change: str) -> None:
    book = BOOK | {"activation": "12.50", "minimum_member": "500", "volume": STEPPED}
    with territory_session(staff, "test") as session:
        ledger = Ledger(session)
        ledger.member("a", 1, 10)
        adopt(session, tariff("2026-01-01", book), tariff("2026-01-01", {"vcpu": "1"}, "company"))
        web = ledger.service("a", "web")
        ledger.server(web, ("launched", "2026-03-31 09:00", 1, 1024), ("serving", "2026-03-31 10:00", 1, 1024))
        ledger.volume(web, ("created", "2026-03-01 00:00", 150))
        proved(session)
        assert session.execute(sa.text(change)).rowcount
        found = checks.differences(session, periods.find(session, MONTH), LATER)
        assert proof in {one.check for one in found}


def test_steps_that_do_not_ascend_are_refused(staff: sa.Engine) -> None:
    for steps in ([{"above": "10", "price": "1"}], [{"above": "30", "price": "1"}, {"above": "20", "price": "2"}]):
        with pytest.raises(ValueError, match="croître"):
            finance.Terms.model_validate({"price": "1", "free": "10", "steps": steps})
    assert finance.Terms.model_validate({"price": "1"}).ladder is None


def test_a_kind_without_a_price_stops_with_meter_and_day(staff: sa.Engine) -> None:
    with territory_session(staff, "test") as session:
        ledger = Ledger(session)
        ledger.member("a", 1, 10)
        adopt(session, tariff("2026-01-01", {"public_address": "0.1"}, "company"))
        ledger.address(ledger.service("a", "web"), ("created", "2026-03-02 00:00"))
        with pytest.raises(Conflict) as error:
            periods.draft(session, MONTH, finance.Sharing(), LATER, PARIS)
        assert error.value.facts == {"meter": "public_address", "at": at("2026-03-02 00:00").isoformat()}
        assert session.scalars(sa.select(Member.kind)).all() == ["commune"]


@pytest.mark.slow
def test_every_file_names_step_fee_and_minimum(staff: sa.Engine, tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "territory.yaml").write_text("name: Vallombre\nsiret: '24000001800012'\n")
    book = BOOK | {"activation": "12.50", "minimum_service": "30", "minimum_member": "500", "volume": STEPPED}
    with territory_session(staff, "test") as session:
        ledger = Ledger(session)
        ledger.member("a", 1, 10)
        adopt(session, tariff("2026-01-01", book))
        web = ledger.service("a", "web")
        ledger.server(web, ("launched", "2026-03-31 09:00", 1, 1024), ("serving", "2026-03-31 10:00", 1, 1024))
        ledger.volume(web, ("created", "2026-03-29 00:00", 3000))
        proved(session)
        period = periods.find(session, MONTH)
        documents = statements.documents(session, period)
        asked = {focus.invoice_id(one): Decimal(one["total"]) for one in documents}
        for kind, version in product(("csv", "parquet"), ("1.2", "1.4")):
            _, content = focus_files.make(session, period, documents, tmp_path, version=version, kind=kind, member=None)
            read = {"csv": focus_checker.of_csv, "parquet": focus_checker.of_parquet}[kind](content, version)
            assert focus_checker.faults(read, version, asked) == []
            assert [row["ChargeFrequency"] for row in read.rows].count("One-Time") == 1
        [document] = documents
        held = statements_intervals.all_intervals(session, 1)
    for named in ("franchise de 10)", "au-delà de 100)", "frais", "complément au minimum", statements.ALL_SERVICES):
        assert named.encode() in exports.csv_file(documents, PARIS)
    with zipfile.ZipFile(BytesIO(exports_xlsx.xlsx_file(MONTH, documents, PARIS, held))) as made:
        assert "au-delà de 100" in made.read("xl/worksheets/sheet2.xml").decode()
    shown = str(statement_pdf._lines(document, statement_pdf.Reader("en", ZoneInfo(PARIS))))
    for named in ("Data volume, beyond 100", "Data volume, 10 free", "Setting up a machine", "Minimum of a member"):
        assert named in shown
    assert statement_pdf.paper(document, [], settings, "fr").startswith(b"%PDF")


def test_a_draft_for_one_kind_is_compared_with_a_month(staff: sa.Engine) -> None:
    with territory_session(staff, "test") as session:
        ledger = Ledger(session)
        ledger.member("a", 1, 10)
        ledger.member("sarl", 2, None, "company")
        adopt(session, tariff("2026-01-01", BOOK))
        for member in ("a", "sarl"):
            ledger.address(ledger.service(member, member), ("created", "2026-02-01 00:00"))
        proved(session)
        terms = {"price": "0,01", "free": "0,5"}
        draft = prices_drafts.write(session, None, "T", "2027-01-01", {"public_address": terms}, "company")
        found = prices_comparison.compare(session, draft, MONTH)
        assert found is not None
        sums = {one["slug"]: (one["before"], one["after"]) for one in found.cells}
        assert sums == {"a": (Decimal("2.82"), Decimal("2.82")), "sarl": (Decimal("2.82"), Decimal("3.72"))}
        assert (found.after - found.before, found.periods) == (Decimal("0.90"), [MONTH])
        same = prices_drafts.write(session, None, "T", "2027-01-01", {"public_address": "0.0038"})
        again = prices_comparison.compare(session, same)
        assert again is not None and again.before == again.after
        with pytest.raises(NotFound):
            prices_comparison.compare(session, draft, "2025-01")
        with pytest.raises(InvalidInput) as told:
            prices_drafts.adopt(session, draft.id, PARIS, LATER, "2026-06-02")
        assert told.value.facts["errors"][0]["parameter"] == "told_on"
        prices_drafts.adopt(session, draft.id, PARIS, LATER, "2026-05-31")
        [kept] = [row for row in prices.listed(session) if row["for"]]
        assert (str(kept["told_on"]), kept["steps"]) == (
            "2026-05-31", [{"above": "0", "hourly": "0"}, {"above": "0.5", "hourly": "0.01"}],
        )  # fmt: skip
