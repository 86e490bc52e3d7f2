"""Fees and minimums of closed months, when what they follow from is told late."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator.database import territory_session
from orchestrator.errors import Conflict
from orchestrator.tables import Member, Resource, Service
from tenants import periods, statements
from tenants.finance import Sharing
from tests.tenants.ledger import BOOK, PARIS, Ledger, at
from tests.tenants.test_adjustments import END, adjusted, closed
from tests.tenants.test_periods import close_month


def due(session: Session, label: str, member: str = "a") -> list[tuple[Any, ...]]:
    return [
        (one["meter"], one["corrects"], one["amount"], one["corrects_position"], one["why"])
        for one in adjusted(session, label, member) if "unit_seconds" not in one
    ]  # fmt: skip


def gone(session: Session, service: Service, since: str, until: str) -> Resource:
    """A server that served from the one instant to the other, and was told of when it was no more."""
    thing = Resource(
        member_id=service.member_id, service_id=service.id, kind="server", cloud_id=since, deleted_at=at(until)
    )
    session.add(thing)
    session.flush()
    for kind, when in (("launched", since), ("serving", since), ("deleted", until)):
        Ledger(session).tell(thing, kind, when, {"vcpus": 1, "ram_mib": 1024})
    return thing


@pytest.mark.slow
def test_a_fee_and_a_minimum_follow_what_is_told_late(staff: sa.Engine) -> None:
    """`web` served in May as it seemed: its fee is May's. In truth it first did in April, an hour, as another server.

    So April has the fee and the minimum of `web` less the hour, 5 − 0.01, and May, whose use is the same, gives the fee
    back. Then that hour turns out to have been none: what lacked to the minimum is given back, the fee stays. `b` paid
    10 − 7.20 to its minimum for 720 hours of an address, which was gone after 20 days: 480 h make 4.80, so that 0.20
    lack to the service's minimum and 5.00 to its own. It has left, and owes for what served an instant in April.
    """
    with territory_session(staff, "test") as session:
        ledger = Ledger(session)
        ledger.prices(("2026-01-01", {"vcpu": "0.01", "ram": "0", "public_address": "0.01", "activation": "12.50",
                                      "minimum_service": "5", "minimum_member": "10"}))  # fmt: skip
        ledger.member("a", 1, 10)
        ledger.member("b", 2, 10)
        web, other = ledger.service("a", "web"), ledger.service("b", "autre")
        late = ledger.address(other, ("created", "2026-03-31 22:00"))
        closed(session, "2026-04")
        ledger.server(web, ("launched", "2026-05-01 08:00", 1, 1024), ("serving", "2026-05-01 08:00", 1, 1024),
                      cloud_id="second")  # fmt: skip
        closed(session, "2026-05")
        first = gone(session, web, "2026-04-10 08:00", "2026-04-10 09:00")
        ledger.tell(session.get_one(Resource, late), "deleted", "2026-04-20 22:00", {})
        periods.draft(session, "2026-06", Sharing(), END, PARIS)
        for broken in ("DELETE FROM statement_lines", "UPDATE statement_lines SET amount = amount + 1"):
            with session.begin_nested() as tried:
                session.execute(sa.text(f"{broken} WHERE kind = 'adjustment' AND unit_seconds IS NULL"))
                found = {one.check for one in periods.check(session, "2026-06")}
                assert "adjusted_fees_and_minimums_are_due" in found
                tried.rollback()
        closed(session, "2026-06")
        begun, missed = statements.WHY["once", True], statements.WHY["month", True]
        assert due(session, "2026-06") == [
            ("activation", "2026-04", "12.50", None, begun),
            ("minimum_service", "2026-04", "4.99", None, missed),
            ("minimum_member", "2026-04", "5.00", None, missed),
            ("activation", "2026-05", "-12.50", 3, statements.WHY["once", False]),
        ]
        assert [one[:4] for one in due(session, "2026-06", "b") if one[1] == "2026-04"] == [
            ("minimum_service", "2026-04", "0.20", None), ("minimum_member", "2026-04", "2.20", 2),
        ]  # fmt: skip
        ledger.tell(first, "deleted", "2026-04-10 08:00", {"vcpus": 1, "ram_mib": 1024})
        gone(session, ledger.service("b", "rien"), "2026-04-12 08:00", "2026-04-12 08:00")
        session.scalars(sa.select(Member).where(Member.slug == "b")).one().state = "closed"
        closed(session, "2026-07")
        assert [one[:4] for one in due(session, "2026-07", "b")] == [("activation", "2026-04", "12.50", None)]
        assert [one[:3] for one in due(session, "2026-07") if one[0] != "activation"] == [
            ("minimum_service", "2026-04", "-4.99"), ("minimum_member", "2026-04", "-5.00"),
        ]  # fmt: skip
        closed(session, "2026-08")
        assert adjusted(session, "2026-08", "a") == []


@pytest.mark.slow
def test_a_closed_month_has_no_first_fee(staff: sa.Engine) -> None:
    close_month(staff)
    with territory_session(staff, "test") as session:
        ledger = Ledger(session)
        with pytest.raises(Conflict) as error:
            ledger.prices(("2026-01-01", BOOK), ("2026-03-15", {"vcpu": "0.0070"}), ("2026-03-20", {"activation": "9"}))
        assert (error.value.code, error.value.facts["meter"]) == ("period_closed", "activation")
