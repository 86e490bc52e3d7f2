"""A prefect's authorisation ends: refused once it is over, told of before, and once more when it is; a new day ends it.

And what a service runs stays known to its people when the catalogue has it no more.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.orm import Session

from orchestrator.database import member_session, territory_session
from orchestrator.errors import InvalidInput
from orchestrator.settings import ROOT
from orchestrator.tables import Service
from tenants import applications, catalogue, changes, deadlines, notices, orders
from tenants.tables import Meter, Price
from tenants.tables_notices import Mail
from tests.tenants.approving import person
from tests.tenants.ordering import NOW, member, seed
from tests.tenants.test_changes import end

PARIS = "Europe/Paris"
LAST = datetime(2027, 6, 30, 12, tzinfo=UTC)
ASKED = {"name": "cameras", "disk_gib": 10, "prefect_authorisation": "2022-0412"}


@pytest.fixture
def commune(owner: sa.Engine) -> int:
    seed(owner)
    with territory_session(owner, "tests") as session:
        catalogue.load(session, places=[ROOT / "playbooks" / "stacks"])
        cameras = session.scalars(sa.select(Meter.id).where(Meter.code == "video_cameras")).one()
        session.add(Price(meter_id=cameras, during=Range(NOW, None), hourly=Decimal("0.001"), book="2026"))
    return member(owner)


def order(session: Session, commune: int, day: str) -> int:
    placed = orders.place(session, commune, "video-medium", {**ASKED, "authorisation_expiry": day}, f"key-{day}", NOW)
    return placed.flow_id or 0


@pytest.fixture
def cameras(owner: sa.Engine, commune: int) -> int:
    """The id of a commune's video protection, authorised until LAST."""
    with territory_session(owner, "tests") as session:
        flow = order(session, commune, f"{LAST:%Y-%m-%d}")
    end(owner, flow, "done", "active")
    with territory_session(owner, "tests") as session:
        return session.scalars(sa.select(Service.id)).one()


def warned(owner: sa.Engine, at: datetime) -> list[int]:
    with territory_session(owner, "worker w") as session:
        return deadlines.warn(session, at, PARIS)


def test_what_has_ended_is_refused(web: sa.Engine, commune: int) -> None:
    with pytest.raises(InvalidInput) as refused, member_session(web, commune, "agent") as session:
        order(session, commune, f"{NOW - timedelta(days=1):%Y-%m-%d}")
    assert refused.value.code == "day_over"
    assert [fault["parameter"] for fault in refused.value.facts["errors"]] == ["authorisation_expiry"]
    with member_session(web, commune, "agent") as session:
        assert order(session, commune, f"{NOW:%Y-%m-%d}")


def test_people_are_told_before_it_ends_and_when_it_has(owner: sa.Engine, commune: int, cameras: int) -> None:
    person(owner, "camille", commune, "requester")
    person(owner, "noor", None, "dsi_operator")
    assert warned(owner, LAST - timedelta(days=121)) == []
    assert warned(owner, LAST - timedelta(days=120)) == [cameras]
    assert warned(owner, LAST - timedelta(days=1)) == []
    assert warned(owner, LAST + timedelta(days=1)) == [cameras]
    assert warned(owner, LAST + timedelta(days=2)) == []
    notices.tell(owner, "tests", "https://cloud.example", NOW)
    with territory_session(owner, "tests") as session:
        told = session.execute(sa.select(Mail.receiver, Mail.facts["over"]).where(Mail.template == "answer_ends")).all()
    assert sorted(map(tuple, told)) == sorted(
        (f"{name}@vallombre.example", over) for name in ("camille", "noor") for over in (True, False)
    )


def test_a_new_day_takes_its_place(owner: sa.Engine, web: sa.Engine, commune: int, cameras: int) -> None:
    with pytest.raises(InvalidInput, match="jour passé"), member_session(web, commune, "agent") as session:
        changes.preview(session, cameras, {"answers": {"authorisation_expiry": "2026-01-01"}}, NOW)
    assert warned(owner, LAST) == [cameras]
    with territory_session(owner, "tests") as session:
        service = session.get_one(Service, cameras)
        answers = {**service.specification["answers"], "authorisation_expiry": "2032-06-30"}
        service.specification = {**service.specification, "answers": answers}
    assert warned(owner, LAST + timedelta(days=9)) == []


def test_what_is_withdrawn_lives_on_and_says_so(owner: sa.Engine, web: sa.Engine, commune: int, cameras: int) -> None:
    def runs() -> applications.Application:
        with member_session(web, commune, "agent") as session:
            found = applications.of(session, session.get_one(Service, cameras), LAST, PARIS)
        assert found
        return found

    before = runs()
    assert (before.version, before.upstream, before.offered) == ("1", "ZoneMinder 1.36.33", True)
    assert [(one.name, one.state) for one in before.deadlines] == [("authorisation_expiry", "soon")]
    with territory_session(owner, "dsi") as session:
        catalogue.load(session)
    with pytest.raises(InvalidInput) as refused, member_session(web, commune, "agent") as session:
        order(session, commune, "2030-01-01")
    assert refused.value.code == "unknown_offer"
    after = runs()
    assert (after.upstream, after.offered) == ("ZoneMinder 1.36.33", False)
    with member_session(web, commune, "agent") as session:
        assert changes.preview(session, cameras, {"answers": {"retention_days": 20}}, NOW).refused is None


@pytest.mark.parametrize(
    ("at", "day"),
    [
        (datetime(2027, 1, 14, 22, 59, tzinfo=UTC), "2027-01-14"),
        (datetime(2027, 1, 14, 23, 0, tzinfo=UTC), "2027-01-15"),
        (datetime(2027, 3, 27, 22, 59, tzinfo=UTC), "2027-03-27"),  # the night of the change to summer time
        (datetime(2027, 3, 28, 21, 59, tzinfo=UTC), "2027-03-28"),
        (datetime(2027, 3, 28, 22, 0, tzinfo=UTC), "2027-03-29"),
        (datetime(2027, 10, 30, 22, 0, tzinfo=UTC), "2027-10-31"),  # and of that back
        (datetime(2027, 10, 31, 22, 59, tzinfo=UTC), "2027-10-31"),
        (datetime(2027, 10, 31, 23, 0, tzinfo=UTC), "2027-11-01"),
    ],
)
def test_a_last_day_ends_with_the_french_day(at: datetime, day: str) -> None:
    rules = [{"name": "expiry", "label": {"fr": "Fin", "en": "End"}, "warn_days": 90}]
    deadlines.check(rules, {"expiry": day}, at)
    with pytest.raises(InvalidInput) as refused:
        deadlines.check(rules, {"expiry": f"{date.fromisoformat(day) - timedelta(days=1)}"}, at)
    assert refused.value.code == "day_over"
