"""A dispute from the member's objection to the line that settles it, and what is refused on the way."""

from __future__ import annotations

from decimal import Decimal

import pytest
import sqlalchemy as sa

from orchestrator.database import member_session, territory_session
from orchestrator.errors import Conflict, InvalidInput, NotFound
from orchestrator.tables import AuditEntry, Member
from tenants import checks, disputes, exports, exports_xlsx, focus, focus_files, periods, statements
from tenants.finance import Sharing
from tenants.focus_identity import Identity
from tests.tenants import focus_checker
from tests.tenants.ledger import PARIS
from tests.tenants.test_adjustments import END, closed
from tests.tenants.test_periods import close_month, refused

AMOUNT = Decimal("-0.40")


@pytest.fixture
def march(staff: sa.Engine) -> tuple[int, int]:
    """A closed month: breval, and its statement."""
    close_month(staff)
    with territory_session(staff, "test") as session:
        member = session.scalars(sa.select(Member.id).where(Member.slug == "breval")).one()
        return member, statements.listed(session, "2026-03", "breval")[0]["id"]


def opened(web: sa.Engine, march: tuple[int, int], position: int = 6) -> int:
    with member_session(web, march[0], "payer") as session:
        return disputes.open_(session, march[1], position, " Le disque était supprimé. ", END).id


@pytest.mark.slow
def test_a_settlement_is_a_line_of_the_next_month(staff: sa.Engine, web: sa.Engine, march: tuple[int, int]) -> None:
    number = opened(web, march)
    with territory_session(staff, "finance") as session:
        disputes.answer(session, number, "Nous regardons.", END)
        assert disputes.settle(session, number, "Geste", END, amount=AMOUNT).state == "settled"
        for _ in range(2):
            periods.draft(session, "2026-04", Sharing(), END, PARIS)
        april = closed(session, "2026-04")
        documents = statements.documents(session, april)
        [breval] = [one for one in documents if one["member"]["slug"] == "breval"]
        [line] = breval["lines"]
        assert (line["kind"], line["dispute"], line["label"], line["amount"]) == (
            "settlement",
            number,
            "Geste",
            "-0.40",
        )
        assert (line["corrects"], line["corrects_position"]) == ("2026-03", 6)
        assert (breval["adjustments"], breval["total"]) == ("-0.40", "-0.40")
        assert disputes.one(session, number)["carried"] == "2026-04"
        charges = list(focus.rows(session, april, documents, Identity(name="V", siret="24000001800012")))
        owed = {focus.invoice_id(one): Decimal(one["payable"]) for one in documents if one["lines"]}
        for version in ("1.2", "1.4"):
            content = focus_files.as_csv(charges, version)
            assert focus_checker.faults(focus_checker.of_csv(content, version), version, owed) == []
        # It is told once.
        closed(session, "2026-05")
        [later] = statements.documents(session, periods.find(session, "2026-05"), "breval")
        assert later["lines"] == []
        entries = session.scalars(sa.select(AuditEntry.action).where(AuditEntry.action.like("dispute.%"))).all()
        assert sorted(entries) == ["dispute.answer", "dispute.open", "dispute.settle"]
    told = exports.csv_file([breval], PARIS).decode("utf-8-sig")
    assert '"règlement de contestation";;"Geste";;;;;;;;;-0,40;' in told
    assert exports_xlsx.xlsx_file("2026-04", [breval], PARIS)


@pytest.mark.slow
def test_a_settlement_by_quantity_is_at_the_price_of_the_line(
    staff: sa.Engine, web: sa.Engine, march: tuple[int, int]
) -> None:
    number = opened(web, march)
    with territory_session(staff, "finance") as session:
        for endless in ("Infinity", "NaN", "1E+40"):
            with pytest.raises(InvalidInput):
                disputes.settle(session, number, "Moins", END, quantity=Decimal(endless))
        settled = disputes.settle(session, number, "Moins", END, quantity=Decimal(-4841))  # × 0.00012 = 0.58092
        assert (settled.amount, settled.quantity) == (Decimal("-0.58"), Decimal(-4841))


@pytest.mark.slow
def test_a_settlement_that_is_not_in_the_draft_stops_the_close(
    staff: sa.Engine, web: sa.Engine, march: tuple[int, int]
) -> None:
    number = opened(web, march)
    with territory_session(staff, "finance") as session:
        periods.draft(session, "2026-04", Sharing(), END, PARIS)
        disputes.settle(session, number, "Geste", END, amount=AMOUNT)
        april = periods.find(session, "2026-04")
        assert {one.check for one in checks.differences(session, april, END)} == {"settlements_are_decided"}
        # A later month waits for it.
        periods.draft(session, "2026-05", Sharing(), END, PARIS)
        assert periods.check(session, "2026-05") == []
        periods.draft(session, "2026-04", Sharing(), END, PARIS)
        assert periods.check(session, "2026-04") == []


@pytest.mark.slow
def test_what_is_refused(staff: sa.Engine, web: sa.Engine, march: tuple[int, int]) -> None:
    number = opened(web, march)
    with refused("disputed"):
        opened(web, march)
    with refused("not_found", NotFound):
        opened(web, march, 99)
    with member_session(web, 1, "somebody else") as session:
        assert disputes.listed(session) == [] or march[0] == 1
    with territory_session(staff, "finance") as session:
        for amount in (Decimal(0), Decimal("0.001"), None, Decimal("NaN"), Decimal("1E+20")):
            with refused("invalid_amount", InvalidInput):
                disputes.settle(session, number, "x", END, amount=amount)
        with refused("reason_missing", InvalidInput):
            disputes.reject(session, number, "  ", END)
    with territory_session(staff, "finance") as session:
        assert disputes.reject(session, number, "Le disque servait.", END).state == "rejected"
        periods.draft(session, "2026-04", Sharing(), END, PARIS)
        assert periods.check(session, "2026-04") == []
    for step in (lambda s: disputes.withdraw(s, number, END), lambda s: disputes.answer(s, number, "x", END)):
        with pytest.raises(Conflict) as raised, territory_session(staff, "finance") as session:
            step(session)
        assert raised.value.code == "dispute_state"
    with territory_session(staff, "finance") as session:
        draft = statements.listed(session, "2026-04", "breval")[0]["id"]
        with refused("statement_not_closed"):
            disputes.open_(session, draft, 1, "x", END)
    # Decided, another may be opened; its member withdraws that one.
    again = opened(web, march)
    with member_session(web, march[0], "payer") as session:
        assert disputes.withdraw(session, again, END).state == "withdrawn"
