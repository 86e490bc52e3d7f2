"""The sample month: invented, repeatable, marked everywhere; exports that run no formula; the bench."""

import pytest
import sqlalchemy as sa

from orchestrator.database import territory_session
from orchestrator.errors import Conflict
from tenants import bench_month, exports, periods, sample, statements
from tenants.finance import Sharing
from tests.tenants.ledger import BOOK, LATER, PARIS, Ledger

MONTH = "2026-04"


def build(session, ledger: Ledger) -> Sharing:
    ledger.prices(("2026-01-01", BOOK))
    ledger.member("aubrac", 1, 5000)
    ledger.member("petit", 2, 300)
    ledger.member("atelier", 3, None, "company")
    return ledger.sharing({"parts": {"equal": "1"}}, {"exploitation": ("parts", "100.00")})


@pytest.mark.slow
def test_sample_month_is_closed_and_says_that_it_is_one(staff: sa.Engine) -> None:
    with territory_session(staff, "test") as session:
        declared = build(session, Ledger(session))
        period = sample.build(session, MONTH, declared, LATER, PARIS)
        assert periods.check(session, MONTH) == []
        periods.close(session, MONTH, LATER)
        documents = statements.documents(session, period)
        assert sample.build(session, MONTH, declared, LATER, PARIS).state == "closed"
        # What was invented is in no real month.
        periods.draft(session, "2026-05", Sharing(), LATER, PARIS)
        assert {row["total"] for row in statements.listed(session, "2026-05")} == {0}
    assert all(document["sample"] and len(document["lines"]) > 3 for document in documents)
    assert {line["service"][:8] for d in documents for line in d["lines"] if line["kind"] == "usage"} == {"exemple-"}
    assert {row.split(";")[1] for row in exports.csv_file(documents, PARIS).decode().splitlines()[1:]} == {
        f'"{exports.SAMPLE}"'
    }
    assert exports.json_file(documents).decode().count(exports.SAMPLE) == 3
    assert exports.file_name(MONTH, True, None, "csv") == "exemple-releve-2026-04.csv"


def test_sample_refuses_a_month_of_real_use(staff: sa.Engine) -> None:
    with territory_session(staff, "test") as session:
        ledger = Ledger(session)
        declared = build(session, ledger)
        ledger.address(ledger.service("aubrac", "web"), ("created", "2026-04-30 00:00"))
        with pytest.raises(Conflict, match="De vrais services"):
            sample.build(session, MONTH, declared, LATER, PARIS)
        with pytest.raises(Conflict, match="pas passé"):
            sample.build(session, "2026-06", declared, LATER, PARIS)
        periods.draft(session, "2026-02", Sharing(), LATER, PARIS)
        with pytest.raises(Conflict, match="pas un exemple"):
            sample.build(session, "2026-02", declared, LATER, PARIS)


def test_no_cell_can_run_as_a_formula(staff: sa.Engine) -> None:
    with territory_session(staff, "test") as session:
        ledger = Ledger(session)
        ledger.member("a", 1, 10)
        session.execute(sa.text("""UPDATE members SET name = '=cmd|"x"!A1; n'"""))
        session.expire_all()
        period = periods.draft(session, MONTH, Sharing(), LATER, PARIS)
        text = exports.csv_file(statements.documents(session, period), PARIS).decode("utf-8-sig")
    assert '''"'=cmd|""x""!A1; n"''' in text
    assert text.count("\r\n") == text.count("\n") == 4  # headings; total, VAT, what is to be paid
    for sign in "=+-@\t\r\n＝＋－＠":
        assert exports.safe(f"{sign}1") == f"'{sign}1"


@pytest.mark.slow
def test_bench_uses_a_database_of_its_own(settings, owner: sa.Engine) -> None:
    found = bench_month.run(settings, 40)
    assert (found["servers"], found["statements"]) == (40, 40)
    assert found["intervals"] > 40 and found["lines"] > 100
    with owner.connect() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM members")).scalar_one() == 0
        names = connection.execute(sa.text("SELECT datname FROM pg_database WHERE datname LIKE 'clocher_scratch%'"))
        assert names.all() == []
