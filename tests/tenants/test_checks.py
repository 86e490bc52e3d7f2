"""What a period proves of itself: each proof fails when its facts are broken, and then nothing is closed."""

import random
from decimal import Decimal
from itertools import pairwise

import pytest
import sqlalchemy as sa

from orchestrator.database import territory_session
from orchestrator.errors import Conflict
from tenants import checks, checks_adjustments, periods, vat
from tenants.finance import CRITERIA
from tenants.tables import Statement
from tests.tenants.ledger import BOOK, LATER, PARIS, Ledger
from tests.tenants.test_adjustments import adjusting
from tests.tenants.test_month import write_month

MONTH = "2026-03"
# By proof, what breaks it: statements that the database itself does not refuse.
BROKEN = {
    "line_is_usage_times_price": ["UPDATE statement_lines SET amount = amount + 0.01 WHERE kind = 'usage'"],
    "lines_are_intervals": [
        "UPDATE statement_lines SET unit_seconds = unit_seconds + 1 WHERE kind = 'usage'",
        "DELETE FROM statement_lines WHERE kind = 'usage' AND position = 1",
        # A tariff that came later: the sum of hours by meter is as it was.
        "UPDATE prices SET during = tstzrange(lower(during), '2026-03-20Z') WHERE meter_id = 2 AND upper_inf(during);"
        " INSERT INTO prices (meter_id, during, hourly, book)"
        " VALUES (2, tstzrange('2026-03-20Z', NULL), 0.0070, 'même prix')",
        # Somebody else's line.
        "UPDATE statement_lines l SET statement_id = t.id, member_id = t.member_id, position = 50 FROM statements t"
        " WHERE l.kind = 'usage' AND l.position = 1 AND l.member_id = 4 AND t.member_id = 1",
    ],
    "usage_is_in_one_line": [
        "INSERT INTO statement_lines (statement_id, period_id, member_id, position, kind, service_id, meter_id,"
        " price_id,"
        " unit_seconds, amount) SELECT statement_id, period_id, member_id, 60, kind, service_id, meter_id, price_id, 0,"
        " 0"
        " FROM statement_lines WHERE kind = 'usage' LIMIT 1",
    ],
    "steps_are_filled": ["UPDATE statement_lines SET step = 1 WHERE kind = 'usage' AND position = 1"],
    "fees_and_minimums_are_due": [
        "INSERT INTO statement_lines (statement_id, period_id, member_id, position, kind, meter_id, price_id, amount)"
        " SELECT statement_id, period_id, member_id, 60, 'fee', meter_id, price_id, 0 FROM statement_lines"
        " WHERE kind = 'usage' LIMIT 1",
    ],
    "vat_follows_the_regime": [
        "UPDATE statements SET vat = vat + 0.01 WHERE vat_regime = 'normal'",
        "UPDATE statements SET vat_regime = 'exempt' WHERE member_id = 1",
        "INSERT INTO vat_rates (since, rate, source, made_by) VALUES ('2026-03-31', 19.60, 'CGI', 't')",
    ],
    "exempt_is_billed_at_cost": [
        "UPDATE statements SET vat_regime = 'exempt', vat_rate = NULL, vat = 0"
        " WHERE id IN (SELECT statement_id FROM statement_lines WHERE kind = 'usage')",
    ],
    "pool_is_sum_of_shares": [
        "UPDATE statement_lines SET amount = amount + 0.01 WHERE kind = 'share'",
        "UPDATE cost_pools SET amount = amount + 0.01",
    ],
    "pool_is_sum_of_parts": ["UPDATE cost_pools SET declared = declared + 0.01"],
    "parts_are_entries": [
        "INSERT INTO cost_entries (kind, label, account, section, dated, starts, months, amount, supplier, made_by)"
        " VALUES ('supplier', 'Contrat', '6156', 'fonctionnement', '2026-03-05', '2026-03-01', 1, 10, 'Lumen', 't')",
    ],
    "billing_is_in_force": [
        "UPDATE statements SET billing = 'information' WHERE member_id = 1",
        "INSERT INTO billing_modes (member_id, during, mode, withheld, reference, made_by)"
        " VALUES (1, '[2026-01-01,)', 'deduction', 12, 'D-1', 't')",
    ],
    "one_share_of_each_pool": [
        "INSERT INTO statement_lines (statement_id, period_id, member_id, position, kind, pool_id, share, amount)"
        " SELECT statement_id, period_id, member_id, 70, kind, pool_id, 0, 0 FROM statement_lines"
        " WHERE kind = 'share' LIMIT 1",
        "DELETE FROM statement_lines l USING cost_pools c"
        " WHERE c.id = l.pool_id AND c.code = 'energie' AND l.amount = 0",
        # A cost of another month.
        "INSERT INTO periods (label, during) VALUES ('2026-02', tstzrange('2026-01-31 23:00Z', '2026-02-28 23:00Z'));"
        " UPDATE cost_pools SET period_id = (SELECT id FROM periods WHERE label = '2026-02') WHERE code = 'energie'",
    ],
    "share_follows_the_key": [
        "UPDATE statement_lines SET share = share + 0.00001 WHERE kind = 'share' AND member_id = 1",
        "UPDATE statements SET population = population + 1 WHERE member_id = 1",
        "UPDATE allocation_keys SET weights = '{\"population\": \"0.6\", \"equal\": \"0.4\"}' WHERE code = 'mixte'",
    ],
    "cents_follow_remainders": [
        # A cent from one to another: every sum holds, and each amount is less than a cent from its share.
        "UPDATE statement_lines l SET amount = l.amount + CASE member_id WHEN 3 THEN 0.01 ELSE -0.01 END"
        " FROM cost_pools c WHERE c.id = l.pool_id AND c.code = 'exploitation' AND member_id IN (1, 3);"
        " UPDATE statements SET total = total + CASE member_id WHEN 3 THEN 0.01 ELSE -0.01 END"
        " WHERE member_id IN (1, 3)",
    ],
    "who_left_does_not_weigh": [
        "UPDATE statements SET weighs = false WHERE member_id = 4",
        "UPDATE members SET state = 'closed' WHERE slug = 'desert'",
    ],
    "key_is_in_force": [
        "UPDATE allocation_keys SET during = daterange(lower(during), '2026-03-01') WHERE code = 'mixte'",
    ],
    "period_is_sum_of_statements": [
        "UPDATE statements SET total = total + 0.01",
        # Lines and totals agree, and give a cost that nobody had.
        "UPDATE statement_lines SET amount = amount + 1 WHERE kind = 'share'; UPDATE statements t SET total ="
        " (SELECT sum(amount) FROM statement_lines l WHERE l.statement_id = t.id)",
    ],
    "total_is_sum_of_lines": ["UPDATE statements SET total = total + 0.01"],
    "intervals_are_events": ["UPDATE usage_intervals SET quantity = quantity * 2"],
    "one_price_at_every_instant": [
        "UPDATE prices SET during = tstzrange(lower(during), '2026-03-01Z') WHERE meter_id = 3",
    ],
    "every_member_has_a_statement": [
        "DELETE FROM statement_lines l USING statements t WHERE t.id = l.statement_id AND t.member_id = 1;"
        " DELETE FROM statements WHERE member_id = 1",
    ],
    "interval_is_inside_period": [
        "UPDATE periods SET during = tstzrange(lower(during) + interval '1 day', upper(during))",
    ],
}  # fmt: skip


def test_every_proof_can_fail() -> None:
    assert BROKEN.keys() | adjusting.keys() == {
        *checks.CHECKS, *checks_adjustments.CHECKS, *vat.CHECKS, "intervals_are_events", "corrections_are_events",
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("proof", "change"), [(proof, change) for proof, changes in BROKEN.items() for change in changes]
)
def test_what_does_not_add_up_is_not_closed(staff: sa.Engine, owner: sa.Engine, proof: str, change: str) -> None:
    with territory_session(staff, "test") as session:
        periods.draft(session, MONTH, write_month(session), LATER, PARIS)
        assert periods.check(session, MONTH) == []
    with owner.begin() as connection:
        for statement in change.split(";"):
            assert connection.execute(sa.text(statement)).rowcount
    with pytest.raises(Conflict) as refused, territory_session(staff, "finance") as session:
        periods.close(session, MONTH, LATER)
    assert refused.value.code == "not_checked"
    assert proof in refused.value.facts["checks"]
    with territory_session(staff, "test") as session:
        assert session.scalars(sa.select(Statement.hash).distinct()).all() == [None]
        assert proof in {found.check for found in periods.check(session, MONTH)}
        assert periods.find(session, MONTH).state == "draft"


def test_proofs_hold_where_little_is_shared(staff: sa.Engine) -> None:
    """Nobody has inhabitants in a key that does not ask for them; a pool of nothing; one that gives money back."""
    with territory_session(staff, "test") as session:
        ledger = Ledger(session)
        ledger.prices(("2026-01-01", BOOK))
        for number in (3, 1, 2):
            ledger.member(f"m{number}", number, None)
        ledger.address(ledger.service("m2", "web"), ("created", "2026-03-31 20:00"))
        keys = {"parts": {"equal": "1", "population": "0"}, "usage": {"usage": "0.7", "equal": "0.3"}}
        costs = {"rien": ("parts", "0.00"), "aide": ("usage", "-99999999999.98"), "tout": ("parts", "99999999999.98")}
        periods.draft(session, MONTH, ledger.sharing(keys, costs), LATER, PARIS)
        assert periods.check(session, MONTH) == []


@pytest.mark.slow
def test_proofs_hold_for_any_key_and_cost(staff: sa.Engine) -> None:
    """Sums that leave many cents, ties, thirds, members without use: what `sharing` gives is what the proofs expect."""
    chance = random.Random(10)  # has ties of hundreds of millions beside fourteen times as much
    with territory_session(staff, "test") as session:
        ledger = Ledger(session)
        ledger.prices(("2025-01-01", BOOK))
        for place, number in enumerate(chance.sample(range(1, 99), 13)):
            ledger.member(f"m{number}", number, 0)
            begun = f"{f'2026-{chance.randrange(1, 6):02}' if place else '2025-02'}-09 10:00:00.123457"
            size = chance.randrange(1, 4)
            ledger.server(
                ledger.service(f"m{number}", "web"), ("launched", begun, size, 2048), ("serving", begun, size, 2048)
            )
        for month in range(1, 6):
            for member in ledger.members.values():
                member.population = chance.choice([0, 333, 1000, chance.randrange(1, 90000)])
            session.flush()
            keys = {f"k{month}-{n}": key_of(chance) for n in range(10)}
            costs = {f"c{n}": (chance.choice(list(keys)), amount_of(chance)) for n in range(40)}
            periods.draft(session, f"2026-{month:02}", ledger.sharing(keys, costs), LATER, PARIS)
            assert periods.check(session, f"2026-{month:02}") == []


def key_of(chance: random.Random) -> dict[str, str]:
    """Weights of six decimals that sum to 1; some are zero."""
    cuts = sorted(chance.choice([0, 333333, 500000, chance.randrange(10**6)]) for _ in range(3))
    parts = [after - before for before, after in pairwise([0, *cuts, 10**6])]
    return {name: f"{Decimal(part).scaleb(-6):f}" for name, part in zip(CRITERIA, parts, strict=True)}


def amount_of(chance: random.Random) -> str:
    """Euros and cents, from none to many, some given back."""
    return f"{Decimal(chance.randrange(-(10 ** chance.randrange(1, 13)), 10 ** chance.randrange(1, 13))).scaleb(-2):f}"
