"""A month closes once the cloud was read to its end; what was made by hand is a line of its own, late or not."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from orchestrator import events, outsiders
from orchestrator.cloud_history import Found
from orchestrator.database import territory_session
from orchestrator.errors import Text
from orchestrator.events import Size
from orchestrator.tables import Member, Place
from orchestrator.tables_reconcile import CloudReading
from tenants import periods, periods_closing, readings, statements
from tenants.finance import Sharing
from tests.tenants.ledger import LATER, PARIS, at
from tests.tenants.test_month import write_month
from tests.tenants.test_periods import MONTH, refused


def member(session: Session) -> int:
    return session.scalars(sa.select(Member.id).where(Member.slug == "breval")).one()


@pytest.mark.slow
def test_a_month_waits_until_the_cloud_was_read_to_its_end(staff: sa.Engine) -> None:
    with territory_session(staff, "test") as session:
        periods.draft(session, MONTH, write_month(session), LATER, PARIS)
        assert periods.check(session, MONTH) == []
        place = Place(member_id=member(session), project_id="p", network_id="n", subnet_id="s", router_id="r",
                      security_group_id="g", applied_at=at("2026-01-01 10:00"))  # fmt: skip
        reading = CloudReading(member_id=member(session))
        session.add_all([place, reading])
        session.flush()
        with refused("cloud_not_read"):
            periods.close(session, MONTH, LATER)
        reading.read_until = at("2026-03-31 21:59:59")
        session.flush()
        assert readings.read_until(session) == reading.read_until
        [obstacle] = periods_closing.dry_run(session, MONTH, LATER).obstacles
        assert isinstance(obstacle, Text) and "31/03/2026 à 21:59 (UTC) pour Breval" in obstacle
        place.applied_at = at("2026-04-02 10:00")  # made after the month: it has nothing to tell of it
        session.flush()
        assert readings.behind(session, at("2026-03-31 22:00")) is None
        place.applied_at, reading.read_until = at("2026-01-01 10:00"), at("2026-03-31 22:00")
        session.flush()
        assert periods.close(session, MONTH, LATER).state == "closed"


def make(session: Session) -> None:
    """A server that somebody made in the project of Breval, from 20 March 12:00 UTC to the 21st."""
    began, ended = at("2026-03-20 12:00"), at("2026-03-21 12:00")
    found = Found("server", "by-hand", "Essai", "ACTIVE", None, began, began, 2, 4096, launched_at=began)
    resource, _service = outsiders.make(session, member(session), found, "paul")
    for kind in ("created", "launched", "serving"):
        events.record_event(session, resource, kind, began, size=Size(2, 4096), source="reconcile")
    events.record_deletion(session, "server", "by-hand", ended, source="reconcile")


def lines(session: Session, month: str) -> list[tuple[str, str, str, str]]:
    [document] = statements.documents(session, periods.find(session, month), "breval")
    return [
        (line["kind"], line["service"], line["meter"], line["amount"])
        for line in document["lines"] if line.get("service") == "hors-clocher-essai"
    ]  # fmt: skip


@pytest.mark.slow
def test_what_was_made_by_hand_is_billed_under_a_line_of_its_own(staff: sa.Engine) -> None:
    with territory_session(staff, "test") as session:
        declared = write_month(session)
        make(session)
        periods.draft(session, MONTH, declared, LATER, PARIS)
        # At the prices from the 15th on: 2 × 24 h × 0.0070 = 0.336 → 0.34; 4 GiB × 24 h × 0.0025 = 0.24.
        assert lines(session, MONTH) == [
            ("usage", "hors-clocher-essai", "vcpu", "0.34"), ("usage", "hors-clocher-essai", "ram", "0.24"),
        ]  # fmt: skip
        assert periods.check(session, MONTH) == []


@pytest.mark.slow
def test_found_after_its_month_was_closed_it_is_an_adjustment(staff: sa.Engine) -> None:
    with territory_session(staff, "test") as session:
        periods.draft(session, MONTH, write_month(session), LATER, PARIS)
        periods.check(session, MONTH)
        periods.close(session, MONTH, LATER)
        make(session)
        periods.draft(session, "2026-04", Sharing(), LATER, PARIS)
        assert {line[0] for line in lines(session, "2026-04")} == {"adjustment"}
        assert sorted(line[3] for line in lines(session, "2026-04")) == ["0.24", "0.34"]
        assert periods.check(session, "2026-04") == []
