"""The price book: dated, without overlap, never rewritten."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.exc import DatabaseError

from orchestrator.database import member_session, territory_session
from orchestrator.errors import Conflict, InvalidInput
from orchestrator.settings import ROOT, Settings
from tenants import finance, pools, prices
from tenants.tables import Period
from tests.tenants.ordering import count_trades

PARIS = "Europe/Paris"
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def book(*tariffs: tuple[str, dict[str, str]]) -> finance.PriceBook:
    return finance.PriceBook.model_validate(
        {"tariffs": [{"from": day, "book": f"Tarif {day}", "hourly": hourly} for day, hourly in tariffs]}
    )


FIRST = book(("2026-01-01", {"vcpu": "0.00650", "ram": "0.0025"}))


def test_estimate_is_730_hours_rounded_line_by_line(staff: sa.Engine, web: sa.Engine) -> None:
    with territory_session(staff, "test") as session:
        prices.apply(session, FIRST, PARIS)
    with member_session(web, 1, "somebody") as session:
        estimate = prices.monthly(session, {"ram": Decimal("1.5"), "vcpu": Decimal(3)}, AT)
    # 3 × 0.0065 × 730 = 14.235 → 14.24 (half up); 1.5 × 0.0025 × 730 = 2.7375 → 2.74
    assert [(line.meter, line.amount) for line in estimate.lines] == [
        ("vcpu", Decimal("14.24")), ("ram", Decimal("2.74")),
    ]  # fmt: skip
    assert estimate.monthly == Decimal("16.98")
    assert estimate.document()["monthly"] == "16.98"


def test_missing_price_names_meter_and_instant(staff: sa.Engine) -> None:
    with territory_session(staff, "test") as session:
        prices.apply(session, FIRST, PARIS)
        with pytest.raises(Conflict) as refused:
            prices.monthly(session, {"volume": Decimal(10)}, AT)
    assert (refused.value.code, refused.value.facts["meter"]) == ("missing_price", "volume")
    assert refused.value.facts["at"] == AT.isoformat()


def test_new_tariff_ends_the_former_at_local_midnight(staff: sa.Engine) -> None:
    with territory_session(staff, "test") as session:
        assert len(prices.apply(session, FIRST, PARIS)) == 2
        assert prices.apply(session, FIRST, PARIS) == []
    both = book(("2026-01-01", {"vcpu": "0.0065", "ram": "0.0025"}), ("2026-07-01", {"vcpu": "0.007"}))
    with territory_session(staff, "test") as session:
        added = prices.apply(session, both, PARIS)
        rows = prices.listed(session)
    assert [(new.meter, new.hourly) for new in added] == [("vcpu", Decimal("0.007"))]
    july = datetime(2026, 6, 30, 22, tzinfo=UTC)
    assert [(row["meter"], row["from"], row["until"]) for row in rows] == [
        ("vcpu", july, None),
        ("vcpu", datetime(2025, 12, 31, 23, tzinfo=UTC), july),
        ("ram", datetime(2025, 12, 31, 23, tzinfo=UTC), None),
    ]


@pytest.mark.parametrize(
    "changed", [("2026-01-01", {"vcpu": "0.0066", "ram": "0.0025"}), ("2026-01-01", {"vcpu": "0.0065"})]
)
def test_published_price_is_never_rewritten(staff: sa.Engine, changed: tuple[str, dict[str, str]]) -> None:
    with territory_session(staff, "test") as session:
        prices.apply(session, FIRST, PARIS)
    with pytest.raises(Conflict, match="déjà publié"), territory_session(staff, "test") as session:
        prices.apply(session, book(changed), PARIS)


def test_closed_period_keeps_its_prices_but_a_new_meter_may_begin_before_it(staff: sa.Engine) -> None:
    march = Range(datetime(2026, 2, 28, 23, tzinfo=UTC), datetime(2026, 3, 31, 22, tzinfo=UTC))
    known = {"vcpu": "0.0065", "ram": "0.0025"}
    with territory_session(staff, "test") as session:
        prices.apply(session, FIRST, PARIS)
        session.add(
            Period(label="2026-03", during=march, state="closed", closed_at=AT, closed_by="test", sealed_from=AT)
        )
    with territory_session(staff, "test") as session:
        added = prices.apply(session, book(("2026-01-01", known | {"snapshot": "0.0001"})), PARIS)
    assert [new.meter for new in added] == ["snapshot"]
    later = book(("2026-01-01", known | {"snapshot": "0.0001"}), ("2026-03-15", {"vcpu": "0.0070"}))
    with pytest.raises(Conflict) as refused, territory_session(staff, "test") as session:
        prices.apply(session, later, PARIS)
    assert (refused.value.code, refused.value.facts["period"]) == ("period_closed", "2026-03")


def test_database_refuses_rewriting_and_overlap(staff: sa.Engine, owner: sa.Engine) -> None:
    with territory_session(staff, "test") as session:
        prices.apply(session, FIRST, PARIS)
    for statement, state in (
        ("UPDATE prices SET hourly = hourly * 2", "CL003"),
        ("INSERT INTO prices (meter_id, during, hourly, book) VALUES (2, '[2026-05-01,2026-06-01)', 1, 'x')", "23P01"),
    ):
        with pytest.raises(DatabaseError) as refused, owner.begin() as connection:
            connection.execute(sa.text(statement))
        assert refused.value.orig.sqlstate == state


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("tariffs: [", "broken_yaml", "prices.yaml:1"),
        ("tariffs:\n- from: 2026-01-01\n  book: x\n  hourly: {vcpu: -1}", "invalid_declaration", "ligne 4"),
        ("tariffs:\n- from: demain\n  book: x\n  hourly: {vcpu: '1'}", "invalid_declaration", "ligne 2"),
        ("tariffs:\n- {from: 2026-01-01, book: x, hourly: {gpu: '1'}}", "unknown_meter", "gpu"),
    ],
)
def test_bad_price_book_is_refused(staff: sa.Engine, tmp_path: Path, text: str, code: str, said: str) -> None:
    (tmp_path / "finance").mkdir()
    (tmp_path / "finance" / "prices.yaml").write_text(text)
    with pytest.raises(InvalidInput) as refused, territory_session(staff, "test") as session:
        prices.apply(session, finance.price_book(tmp_path), PARIS)
    assert refused.value.code == code
    assert said in refused.value.sentence


@pytest.mark.slow
def test_shipped_territory_can_be_applied(settings: Settings, staff: sa.Engine) -> None:
    territory = ROOT / "tenants" / "territories" / "vallombre"
    with territory_session(staff, "test") as session:
        count_trades(session)
        assert prices.apply(session, finance.price_book(territory), PARIS)
        assert pools.apply_keys(session, finance.sharing(territory))
        assert pools.apply_keys(session, finance.sharing(territory)) == []
