"""Planned upgrades: announced in time, in the member's window, after a proof, put off once, told how they went."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from orchestrator.database import member_session, territory_session
from orchestrator.settings import Settings
from orchestrator.tables import AuditEntry, Flow, Service
from orchestrator.tables_backups import Backup
from tenants import notices, operations, reading, upgrades, upgrades_planned, upgrades_working, windows
from tenants.tables_notices import Mail
from tenants.tables_upgrades import PlannedUpgrade
from tenants.upgrades_planned import Rules
from tenants.windows import Window
from tests.orchestrator.flowing import eventually
from tests.tenants.approving import person
from tests.tenants.test_changes import end
from tests.tenants.test_upgrades import publish
from tests.tenants.vaulted import PARIS, Valley, backed_up, refused

AT = datetime.fromisoformat("2026-11-23T12:00:00+00:00")  # a Monday
NIGHT = datetime.fromisoformat("2026-12-01T20:00:00+00:00")  # the first Tuesday, 21 o'clock, a week later
HOUR = timedelta(hours=1)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("window", "since", "begins", "lasts"),
    [
        (Window(weekdays=(2, 4), hour=21, hours=4), "2026-11-24T20:00:00Z", "2026-11-24T20:00:00Z", 4),
        (Window(weekdays=(2, 4), hour=21, hours=4), "2026-11-24T20:00:01Z", "2026-11-26T20:00:00Z", 4),
        (Window(weekdays=(7,), hour=0, hours=5), "2026-10-20T00:00:00Z", "2026-10-24T22:00:00Z", 6),
        (Window(weekdays=(7,), hour=0, hours=5), "2027-03-22T12:00:00Z", "2027-03-27T23:00:00Z", 4),
        (Window(weekdays=(7,), hour=2, hours=1), "2027-03-22T12:00:00Z", "2027-04-04T00:00:00Z", 1),
    ],
    ids=["at once", "the next", "the long night", "the short night", "the hour that is none"],
)
def test_a_window_is_local_time_whatever_the_clock_does(window: Window, since: str, begins: str, lasts: int) -> None:
    assert windows.opening(window, at(since), PARIS) == (at(begins), at(begins) + lasts * HOUR)


@pytest.fixture
def place(owner: sa.Engine, settings: Settings, tmp_path: Path) -> Valley:
    """An application whose version 2 is published, and people who are told."""
    made = backed_up(owner, settings, AT)
    publish(made, tmp_path)
    person(owner, "camille", made.commune, "requester")
    person(owner, "dsi", None, "dsi_admin")
    return made


def rules(place: Valley) -> Rules:
    return Rules.of(place.settings)


def plan(place: Valley, **more: object) -> list[dict[str, object]]:
    with territory_session(place.owner, "dsi") as session:
        return upgrades_planned.plan(session, "hello", AT, rules(place), **more)  # type: ignore[arg-type]


def work(place: Valley, worker: sa.Engine, moment: datetime) -> None:
    with territory_session(worker, "worker tests") as session:
        upgrades_working.work(session, place.settings, moment)


def row(place: Valley) -> PlannedUpgrade:
    with territory_session(place.owner, "tests") as session:
        return session.scalars(sa.select(PlannedUpgrade).order_by(PlannedUpgrade.id.desc())).first()  # type: ignore[return-value]


def live(place: Valley) -> list[str]:
    with territory_session(place.owner, "tests") as session:
        query = sa.select(Flow.kind).where(Flow.service_id == place.service_id, Flow.state == "queued")
        return list(session.scalars(query.order_by(Flow.id)))


def told(place: Valley) -> list[tuple[str, str]]:
    """Who was mailed of which step."""
    notices.tell(place.owner, "worker tests", "https://portal", AT)
    with territory_session(place.owner, "tests") as session:
        mails = session.scalars(sa.select(Mail).where(Mail.template == "upgrade").order_by(Mail.id))
        return [(mail.receiver.partition("@")[0], mail.facts["step"]) for mail in mails]


def finish(place: Valley, moment: datetime, *, good: bool) -> None:
    """What the flow that upgrades leaves behind."""
    with territory_session(place.owner, "flow tests") as session:
        flow = session.scalars(sa.select(Flow).where(Flow.kind == "upgrade_service")).one()
        if good:
            service = session.get_one(Service, place.service_id)
            service.specification = {**service.specification, **flow.parameters["wanted"]}
        flow.error_code = None if good else "upgrade_failed"
        flow.state, flow.ended_at = "done" if good else "failed", moment


def begin(place: Valley, worker: sa.Engine) -> None:
    """Told, proved, and begun in its window."""
    plan(place)
    work(place, worker, AT + HOUR)
    work(place, worker, NIGHT - HOUR)
    place.proved(NIGHT - HOUR / 2)
    work(place, worker, NIGHT)
    assert (row(place).state, live(place)) == ("started", ["upgrade_service"])


@pytest.mark.slow
def test_a_dry_run_says_what_and_when_and_writes_nothing(place: Valley) -> None:
    [found] = plan(place, dry_run=True)
    assert (found["id"], found["name"], found["running"], found["version"]) == (None, "salut", "1", "2")
    assert (found["starts_at"], found["ends_at"]) == (NIGHT, NIGHT + 4 * HOUR)
    [later] = plan(place, dry_run=True, day=date(2026, 12, 16))
    assert later["starts_at"] == at("2026-12-17T20:00:00Z")
    assert row(place) is None
    with refused("day_over"):
        plan(place, day=date(2026, 11, 22))
    with refused("day_too_far"):
        plan(place, day=date(9999, 12, 31))


@pytest.mark.slow
def test_each_is_planned_once_and_only_what_is_older(place: Valley) -> None:
    assert [one["name"] for one in plan(place)] == ["salut"]
    with refused("nothing_to_plan"):
        plan(place)
    with territory_session(place.owner, "dsi") as session:
        assert upgrades_planned.plannable(session, AT) == []


@pytest.mark.slow
def test_it_is_told_proved_in_time_and_begun_in_its_window_only(place: Valley, worker: sa.Engine) -> None:
    plan(place, day=date(2026, 12, 15))
    work(place, worker, AT)
    assert told(place) == [], "it is three weeks away"
    night = at("2026-12-15T20:00:00Z")
    work(place, worker, night - timedelta(days=7))
    assert told(place) == [("camille", "announce")]
    work(place, worker, night - 7 * HOUR)
    assert live(place) == []
    work(place, worker, night - 6 * HOUR)
    assert live(place) == ["prove_backup"]
    place.proved(night - 5 * HOUR)
    work(place, worker, night - timedelta(seconds=1))
    assert (row(place).state, live(place)) == ("planned", [])
    work(place, worker, night)
    assert (row(place).state, live(place)) == ("started", ["upgrade_service"])
    finish(place, night + HOUR, good=True)
    work(place, worker, night + HOUR)
    assert row(place).state == "done"
    assert told(place)[1:] == [("camille", "done")]


@pytest.mark.slow
def test_a_failed_one_is_told_to_both_and_not_tried_again(place: Valley, worker: sa.Engine) -> None:
    begin(place, worker)
    finish(place, NIGHT + HOUR, good=False)
    work(place, worker, NIGHT + HOUR)
    assert (row(place).state, row(place).said) == ("failed", "upgrade_failed")
    assert told(place)[1:] == [("camille", "failed"), ("dsi", "failed")]
    work(place, worker, NIGHT + 2 * HOUR)
    assert live(place) == []


@pytest.mark.slow
def test_without_a_proof_it_waits_for_the_next_window(place: Valley, worker: sa.Engine) -> None:
    plan(place)
    work(place, worker, AT)
    work(place, worker, NIGHT - 3 * HOUR)
    place.proved(NIGHT - 2 * HOUR, good=False)
    work(place, worker, NIGHT)
    work(place, worker, NIGHT + 2 * HOUR)
    assert live(place) == [], "neither tried twice nor begun without"
    work(place, worker, NIGHT + 4 * HOUR - timedelta(minutes=29))
    assert (row(place).state, row(place).starts_at) == ("planned", at("2026-12-03T20:00:00Z"))
    assert told(place)[1:] == [("camille", "miss"), ("dsi", "miss")]
    with territory_session(place.owner, "tests") as session:
        missed = session.scalars(sa.select(AuditEntry).where(AuditEntry.action == "upgrade.miss")).one()
        assert missed.detail["why"] == "no_proof"


@pytest.mark.slow
def test_a_proof_that_is_fresh_is_not_made_again(place: Valley, worker: sa.Engine) -> None:
    plan(place)
    work(place, worker, AT)
    with territory_session(place.owner, "tests") as session:
        session.execute(sa.update(Backup).values(proved_at=NIGHT - 23 * HOUR, proof_seconds=1))
    work(place, worker, NIGHT - HOUR)
    assert live(place) == []
    work(place, worker, NIGHT)
    assert live(place) == ["upgrade_service"]


@pytest.mark.slow
def test_its_member_puts_it_off_once_with_a_reason(place: Valley, web: sa.Engine, worker: sa.Engine) -> None:
    plan(place)
    work(place, worker, AT)
    with refused("reason_missing"), member_session(web, place.commune, "camille") as session:
        upgrades_planned.postpone(session, place.service_id, " ", AT, rules(place))
    with refused("not_found"), member_session(web, place.agglomeration, "other") as session:
        upgrades_planned.postpone(session, place.service_id, "Élections.", AT, rules(place))
    with member_session(web, place.commune, "camille") as session:
        upgrades_planned.postpone(session, place.service_id, "Élections.", AT, rules(place))
    assert (row(place).starts_at, row(place).reason) == (at("2026-12-15T20:00:00Z"), "Élections.")
    assert told(place)[1:] == [("dsi", "postpone")]
    work(place, worker, NIGHT)
    assert live(place) == []
    with refused("postponed_already"), member_session(web, place.commune, "camille") as session:
        upgrades_planned.postpone(session, place.service_id, "Encore.", AT, rules(place))


@pytest.mark.slow
def test_a_member_chooses_its_window_and_what_is_planned_moves(place: Valley, web: sa.Engine) -> None:
    plan(place)
    with refused("invalid_window"), member_session(web, place.commune, "camille") as session:
        windows.put(session, "brevaux", AT, weekdays=[], hour=3, hours=2)
    with member_session(web, place.commune, "camille") as session:
        upgrades_planned.put_window(session, "brevaux", AT, rules(place), weekdays=[7, 6], hour=22, hours=3)
    assert (row(place).starts_at, row(place).ends_at) == (at("2026-12-05T21:00:00Z"), at("2026-12-06T00:00:00Z"))
    with refused("unknown_member"), member_session(web, place.commune, "camille") as session:
        windows.put(session, "agglo", AT, weekdays=[1], hour=3, hours=2)
    with member_session(web, place.commune, "camille") as session:
        upgrades_planned.remove_window(session, "brevaux", AT, rules(place))
        assert not windows.of(session, place.commune, place.settings.territory_dir).own
    assert row(place).starts_at == NIGHT


@pytest.mark.slow
def test_what_begins_meanwhile_is_neither_put_off_nor_moved(place: Valley, web: sa.Engine, worker: sa.Engine) -> None:
    plan(place)
    work(place, worker, AT)

    def put_off() -> None:
        with member_session(web, place.commune, "camille") as session:
            upgrades_planned.postpone(session, place.service_id, "Élections.", AT, rules(place))

    def choose() -> None:
        with member_session(web, place.commune, "camille") as session:
            upgrades_planned.put_window(session, "brevaux", AT, rules(place), weekdays=[7], hour=22, hours=3)

    with ThreadPoolExecutor(2) as pool:
        with territory_session(worker, "worker tests") as session:  # as its duty does: first the row, then the service
            begun = session.scalars(sa.select(PlannedUpgrade).with_for_update()).one()
            late = [pool.submit(put_off), pool.submit(choose)]
            eventually(lambda: blocked(place) == 2, "both wait for what begins")
            reading.find(session, Service, place.service_id, lock=True)
            begun.state = "started"
        with refused("not_planned"):
            late[0].result()
        late[1].result()
    assert (row(place).state, row(place).starts_at, row(place).reason) == ("started", NIGHT, None)


def blocked(place: Valley) -> int:
    """How many wait for a lock."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with place.owner.connect() as connection:
        return connection.scalar(sa.text(query)) or 0


@pytest.mark.slow
def test_what_the_member_did_itself_is_done(place: Valley, worker: sa.Engine) -> None:
    plan(place)
    work(place, worker, AT)
    with territory_session(place.owner, "tests") as session:
        session.execute(sa.update(Backup).values(proved_at=AT, proof_seconds=1))
    with territory_session(place.owner, "tests") as session:
        upgrades.upgrade(session, place.service_id, AT, most=5)
    work(place, worker, AT)
    assert row(place).state == "planned"
    finish(place, AT, good=True)
    work(place, worker, AT)
    assert (row(place).state, row(place).said) == ("done", "done_before")


@pytest.mark.slow
def test_another_version_than_was_told_is_not_begun(place: Valley, worker: sa.Engine, tmp_path: Path) -> None:
    plan(place)
    work(place, worker, AT)
    with territory_session(place.owner, "tests") as session:
        session.execute(sa.update(PlannedUpgrade).values(version="1.9"))
    work(place, worker, NIGHT)
    assert (row(place).state, row(place).said) == ("cancelled", "other_version")
    assert told(place)[1:] == [("camille", "cancel")]
    with territory_session(place.owner, "tests") as session:
        entry = session.scalars(sa.select(AuditEntry).where(AuditEntry.action == "upgrade.cancel")).one()
        assert notices.event_of(entry) == "upgrade.cancelled", "programs were told that it would come"


@pytest.mark.slow
def test_what_was_told_late_comes_later(place: Valley, worker: sa.Engine) -> None:
    plan(place)
    work(place, worker, NIGHT)
    assert (row(place).told_at, row(place).starts_at) == (NIGHT, at("2026-12-08T20:00:00Z"))


@pytest.mark.slow
def test_the_dsi_gives_one_up_and_plans_anew(place: Valley, worker: sa.Engine) -> None:
    [made] = plan(place)
    with territory_session(place.owner, "dsi") as session:
        upgrades_planned.cancel(session, made["id"], AT)  # type: ignore[arg-type]
    assert told(place) == [], "nobody knew of it"
    with refused("not_planned"), territory_session(place.owner, "dsi") as session:
        upgrades_planned.cancel(session, made["id"], AT)  # type: ignore[arg-type]
    assert plan(place)


@pytest.mark.slow
def test_a_service_that_stands_still_waits(place: Valley, worker: sa.Engine) -> None:
    plan(place)
    work(place, worker, AT)
    with territory_session(place.owner, "tests") as session:
        session.execute(sa.update(Backup).values(proved_at=NIGHT, proof_seconds=1))
        flow = operations.ask(session, place.service_id, "stop")
    end(place.owner, flow.id, "done", "stopped")
    work(place, worker, NIGHT)
    assert row(place).said == "not_allowed_now"
    assert live(place) == []
