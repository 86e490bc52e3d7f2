"""A whole month, byte for byte: March 2026, when the clock goes forward (743 hours) and a price changes on the 15th.

Worked by hand, in euros:
- aubrac/mairie, 2 vCPU and 4 GiB all month. 14 days before the 15th: 336 h × 2 × 0.0065 = 4.368 → 4.37; the other
  407 h × 2 × 0.0070 = 5.698 → 5.70; memory 743 h × 4 × 0.0025 = 7.43. Together 17.50.
- breval/ecole, memory: 892,739.75 s × 2 until stopped, 46 h × 2 after, 128 h × 4 once grown = 3,959,879.5 GiB·s;
  × 0.0025 / 3600 = 2.7499… → 2.75. Stopped 60 h: vCPU 60 × 0.0006 = 0.036 → 0.04, memory 120 × 0.0002 = 0.024 → 0.02.
- cidre/atelier, 125 GiB during the last hour: 125 × 0.00012 = 0.015 → 0.02, half up.
- exploitation, 100.00, half by population (1000, 3000, none, 500 of 4500), half in four equal parts: 23.6111, 45.8333,
  12.50, 18.0555; the cent that is left goes to the largest fraction, desert: 23.61 + 45.83 + 12.50 + 18.06.
- energie, 50.01, by usage (17.50, 9.60, 0.02, 0.00): 32.2704, 17.7026, 0.0368, 0; the cent goes to cidre.
"""

import random
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator.database import territory_session
from tenants import exports, periods, statements, statements_intervals
from tenants.finance import Sharing
from tenants.rating import ROUNDED
from tests.tenants.ledger import BOOK, LATER, PARIS, Ledger

EXPECTED = Path(__file__).parent / "expected"
TOTALS = {"aubrac": "73.38", "breval": "73.13", "cidre": "12.56", "desert": "18.06"}


def write_month(session: Session) -> Sharing:
    """The facts of the month above; written from the last member to the first, which must not matter."""
    ledger = Ledger(session)
    ledger.prices(("2026-01-01", BOOK), ("2026-03-15", {"vcpu": "0.0070"}))
    ledger.member("desert", 4, 500)
    ledger.member("cidre", 3, None, "company")
    ledger.member("breval", 2, 3000)
    ledger.member("aubrac", 1, 1000)
    atelier = ledger.service("cidre", "atelier")
    ledger.volume(atelier, ("created", "2026-03-31 21:00", 125))
    ledger.address(atelier, ("created", "2026-03-31 21:00"))
    ecole = ledger.service("breval", "ecole")
    ledger.server(
        ecole,
        ("launched", "2026-03-10 10:00:00.5", 1, 2048),
        ("serving", "2026-03-10 10:01:00.25", 1, 2048),
        ("stopped", "2026-03-20 18:00", 1, 2048),
        ("started", "2026-03-23 06:00", 1, 2048),
        ("resized", "2026-03-25 04:00", 2, 4096),
        ("deleted", "2026-03-30 12:00", 2, 4096),
    )
    ledger.volume(ecole, ("created", "2026-03-10 10:00", 20), ("deleted", "2026-03-30 12:05", 20))
    ledger.address(ecole, ("created", "2026-03-10 10:00"), ("deleted", "2026-03-30 12:05"))
    ledger.server(
        ledger.service("aubrac", "mairie"),
        ("launched", "2026-02-10 08:00", 2, 4096),
        ("serving", "2026-02-10 08:01", 2, 4096),
    )
    return ledger.sharing(
        {"mixte": {"population": "0.5", "equal": "0.5"}, "usage": {"usage": "1"}},
        {"exploitation": ("mixte", "100.00"), "energie": ("usage", "50.01")},
    )


def test_month_is_what_was_worked_out(staff: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statements, "AT_ONCE", 3)  # sealed in two goes
    with territory_session(staff, "test") as session:
        declared = write_month(session)
        period = periods.draft(session, "2026-03", declared, LATER, PARIS)
        drafted = statements.documents(session, period)
        assert {d["member"]["slug"]: d["total"] for d in drafted} == TOTALS
        assert sum(Decimal(total) for total in TOTALS.values()) == Decimal("27.12") + 100 + Decimal("50.01")
        assert periods.check(session, "2026-03") == []
    with territory_session(staff, "test") as session:
        periods.close(session, "2026-03", LATER)
    with territory_session(staff, "test") as session:
        closed = statements.documents(session, periods.find(session, "2026-03"))
        assert statements.first_break(session) is None
    assert exports.csv_file(closed, PARIS) == (EXPECTED / "2026-03.csv").read_bytes()
    assert exports.json_file(closed) == (EXPECTED / "2026-03.json").read_bytes()


@pytest.mark.slow
def test_draft_again_is_the_same_to_the_byte(staff: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    exported = []
    with territory_session(staff, "test") as session:
        declared = write_month(session)
    for many in (0, periods.MANY):  # the planner is told of big months
        monkeypatch.setattr(periods, "MANY", many)
        with territory_session(staff, "test") as session:
            period = periods.draft(session, "2026-03", declared, LATER, PARIS)
            documents = statements.documents(session, period)
            exported.append((exports.csv_file(documents, PARIS), exports.json_file(documents)))
    assert exported[0] == exported[1]
    assert b"PROJET" in exported[0][0]


@pytest.mark.slow
def test_line_leads_to_its_intervals(staff: sa.Engine) -> None:
    with territory_session(staff, "test") as session:
        periods.draft(session, "2026-03", write_month(session), LATER, PARIS)
        [line] = session.scalars(
            sa.select(statements.StatementLine)
            .join(statements.Meter, statements.Meter.id == statements.StatementLine.meter_id)
            .where(statements.Meter.code == "ram_stopped")
        )
        [interval] = statements_intervals.intervals(session, line)
    assert (interval["resource"].split("-")[0], interval["quantity"]) == ("server", 2)
    assert (interval["until"] - interval["from"]).total_seconds() * 2 == line.unit_seconds == 432000


def test_lines_are_rounded_half_up_once(owner: sa.Engine) -> None:
    chance = random.Random("rounding")
    cases = [
        (Decimal(chance.randrange(10**15)).scaleb(-6), Decimal(chance.randrange(10**9)).scaleb(-8)) for _ in range(500)
    ]
    # Exactly half a cent, and less than half by the least that a microsecond of a thousandth of a unit weighs.
    cases += [(Decimal(18), Decimal(1)), (Decimal("17.9999999999999999"), Decimal("1.00000000"))]
    query = sa.text(
        f"SELECT {ROUNDED} FROM unnest(CAST(:seconds AS numeric[]), CAST(:prices AS numeric[])) WITH ORDINALITY"
        " AS t (unit_seconds, hourly, turn) ORDER BY turn"
    )
    with owner.connect() as connection:
        seconds, prices = ([case[side] for case in cases] for side in (0, 1))
        found = connection.execute(query, {"seconds": seconds, "prices": prices}).scalars().all()
    # Half up of an amount that is not negative: the floor of the cents and a half.
    cents = [int(Fraction(held) * Fraction(hourly) / 36 + Fraction(1, 2)) for held, hourly in cases]
    assert [Decimal(c).scaleb(-2) for c in cents] == found
    assert found[-2:] == [Decimal("0.01"), Decimal("0.00")]
